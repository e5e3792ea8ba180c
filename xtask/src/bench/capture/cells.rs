//! The cells of the bench: a point, a value of the work, a span, and the prices of that time.

use std::fmt::Write as _;

/// Prices of ERCOT's hubs by SCED run, by settled quarter hour, and day-ahead.
const HUBS: &[&str] = &[
    "ercot_sced_lmp5_5hubs_2024-01-01_2024-06-30.csv.gz",
    "ercot_rtm_spp15_5hubs_reconstructed_2024-01-01_2024-06-30.csv.gz",
    "ercot_dam_spp_hourly_2021-01-01_2024-06-30.csv.gz",
];
/// Prices of one hub over its scarcest days, of which no runs are to be had.
const HOUSTON: &[&str] = &[
    "ercot_rtm_spp15_HB_HOUSTON_2021-01-08_2024-06-30.csv.gz",
    "ercot_dam_spp_hourly_2021-01-01_2024-06-30.csv.gz",
];
const VICTORIA: &[&str] = &["aemo_nem_VIC1_price_demand_5min_2024-12_2025-05.csv.gz"];
const GANSU: &[&str] = &["china_gansu_spot_15min_2024-01-01_2024-10-23.csv.gz"];

/// Conventions of knowledge, as `--known` has them: where dispatch runs are told, and where each
/// interval has one price.
const BY_RUNS: &[&str] = &["live", "b2", "b1", "a"];
const BY_STEPS: &[&str] = &["live", "b2"];
const BY_INTERVALS: &[&str] = &["live", "a"];
const LIVE: &[&str] = &["live"];

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub name: String,
    pub market: &'static str,
    pub point: &'static str,
    pub value: u32,
    pub from: &'static str,
    pub to: &'static str,
    pub prices: &'static [&'static str],
    pub known: &'static [&'static str],
    /// Whether it is one of those whose mean is the figure to compare.
    pub mean: bool,
    /// Starts the unit may make in a day.
    pub starts: Option<u32>,
    /// Whether the short bench has it.
    pub quick: bool,
}

impl Cell {
    fn new(
        place: (&'static str, &'static str),
        value: u32,
        span: (&'static str, &'static str),
        prices: &'static [&'static str],
        known: &'static [&'static str],
    ) -> Self {
        Self {
            name: format!("{}-{value}", place.1),
            market: place.0,
            point: place.1,
            value,
            from: span.0,
            to: span.1,
            prices,
            known,
            mean: false,
            starts: None,
            quick: false,
        }
    }

    fn named(self, more: &str) -> Self {
        Self { name: format!("{}-{more}", self.name), ..self }
    }

    fn quick(self) -> Self {
        Self { quick: true, ..self }
    }

    /// The site as its file has it: the block of the common task, at this point.
    pub fn site(&self) -> String {
        let (timezone, kind, currency) = match self.market {
            "nem" => ("Australia/Brisbane", "", "AUD"),
            "gansu" => ("Asia/Shanghai", "", "CNY"),
            _ => ("America/Chicago", "HU", "USD"),
        };
        let mut text = format!(
            "schema = 1\n[site]\nname = \"Block\"\ntimezone = \"{timezone}\"\n\
             market = \"{}\"\nsettlement_point = {{ name = \"{}\", type = \"{kind}\" }}\n\
             [limits]\nimport = \"100 MW\"\n[value]\nsource = \"energy\"\n\
             [policy]\nname = \"look_ahead\"\n\
             [[cohort]]\nname = \"task_c\"\ndriver = \"none\"\nvalue = \"{} {currency}/MWh\"\n\
             {}",
            self.market,
            self.point,
            self.value,
            super::super::unit(currency)
        );
        if let Some(starts) = self.starts {
            let _ = writeln!(text, "wear = {{ starts_per_day = {starts} }}");
        }
        text
    }
}

/// All cells.
pub fn all() -> Vec<Cell> {
    let spring = ("2024-03-01", "2024-07-01");
    let hub = |point, value| Cell {
        mean: true,
        ..Cell::new(("ercot", point), value, spring, HUBS, BY_RUNS)
    };
    let west = hub("HB_WEST", 40);
    let limited = Cell { known: LIVE, mean: false, starts: Some(2), ..west.clone() };
    let mut cells = vec![west.quick(), hub("HB_WEST", 60)];
    for point in ["HB_HOUSTON", "HB_PAN"] {
        cells.extend([40, 60].map(|value| hub(point, value)));
    }
    cells.push(limited.named("2-starts").quick());
    let victoria =
        |value| Cell::new(("nem", "VIC1"), value, ("2025-02-01", "2025-05-31"), VICTORIA, BY_STEPS);
    cells.extend([victoria(40), victoria(60).quick(), victoria(100)]);
    let houston =
        |value, span| Cell::new(("ercot", "HB_HOUSTON"), value, span, HOUSTON, BY_INTERVALS);
    let storm = ("2021-02-01", "2021-03-01");
    cells.push(houston(40, storm).named("storm").quick());
    cells.push(houston(60, storm).named("storm"));
    let scarce = ("2023-07-01", "2023-10-01");
    cells.extend([40, 60].map(|value| houston(value, scarce).named("scarce")));
    let gansu = |value| {
        Cell::new(("gansu", "GANSU"), value, ("2024-04-01", "2024-10-01"), GANSU, BY_INTERVALS)
    };
    // Near the floor of 40 a block has much to lose and little to win; 230 is about the mean.
    cells.extend([gansu(60).quick(), gansu(230)]);
    cells
}

/// A strike that is far too low, and the month in which it has to lose against always on.
pub fn bad_strike() -> (Cell, &'static str) {
    let cell = Cell::new(("ercot", "HB_WEST"), 40, ("2024-04-01", "2024-05-01"), HUBS, LIVE);
    (cell.named("bad-strike"), "5 USD/MWh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names_of_their_own_and_six_make_the_mean() {
        let cells = all();
        let names: std::collections::BTreeSet<&str> =
            cells.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), cells.len());
        assert_eq!(cells.iter().filter(|c| c.mean).count(), 6);
        assert!(cells.iter().any(|c| c.starts.is_some() && c.quick));
    }
}
