//! The rows of a sweep: one for each case and policy.

use super::frame::Frame;
use crate::parquet::{Cell, Column, Kind};
use headgate_core::number::{div_half_even, show, to_i64};
use headgate_core::time::{SECOND, Span};
use headgate_sim::sweep::{Done, Outcome, Scored, Setting};

const fn column(name: &'static str, kind: Kind, optional: bool) -> Column {
    Column { name, kind, optional }
}

/// Decimals of money, prices, powers in MW, energies in MWh, hours and shares.
const MICRO: Kind = Kind::Decimal(6);

/// Every column, in order.
pub const COLUMNS: [Column; 38] = [
    column("case", Kind::Int, false),
    column("id", Kind::Text, false),
    column("site", Kind::Text, false),
    column("market", Kind::Text, false),
    column("point", Kind::Text, false),
    column("point_type", Kind::Text, false),
    column("from", Kind::Time, false),
    column("to", Kind::Time, false),
    column("seed", Kind::Int, false),
    column("currency", Kind::Text, false),
    column("value", MICRO, true),
    column("strike", MICRO, true),
    column("hashprice_factor", MICRO, true),
    column("lag_s", Kind::Decimal(3), true),
    column("unit_start", MICRO, true),
    column("unit_min_mw", MICRO, true),
    column("unit_ramp_up_mw_per_h", MICRO, true),
    column("unit_min_on_s", Kind::Decimal(3), true),
    column("unit_min_off_s", Kind::Decimal(3), true),
    column("unit_starts_per_day", Kind::Int, true),
    column("bound", MICRO, true),
    column("bound_kind", Kind::Text, true),
    column("bound_gap", Kind::Decimal(9), true),
    column("always_on_profit", MICRO, true),
    column("best_profit", MICRO, true),
    column("policy", Kind::Text, true),
    column("information", Kind::Text, true),
    column("profit", MICRO, true),
    column("compute_revenue", MICRO, true),
    column("energy_cost", MICRO, true),
    column("sell_back", MICRO, true),
    column("other_cost", MICRO, true),
    column("energy_mwh", MICRO, true),
    column("starts", Kind::Int, true),
    column("curtailed_hours", MICRO, true),
    column("missed_spike_cost", MICRO, true),
    column("capture", MICRO, true),
    column("error", Kind::Text, true),
];

/// The first column of a parameter, and the first after them.
const PARAMETERS: std::ops::Range<usize> = 10..20;

/// A cell as text of a CSV file: numbers with a point, moments by RFC 3339, nothing for nothing.
pub fn text(cell: &Cell, kind: Kind) -> String {
    match (cell, kind) {
        (Cell::Null, _) => String::new(),
        (Cell::Text(text), _) => text.clone(),
        (Cell::Number(n), Kind::Decimal(digits)) => plain(*n, digits),
        (Cell::Number(us), Kind::Time) => headgate_core::time::Time(us * 1_000).to_string(),
        (Cell::Number(n), _) => n.to_string(),
    }
}

/// A number with so many decimals kept, without zeros at its end.
fn plain(n: i64, digits: u32) -> String {
    let text = show(n, digits, digits);
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn number<T>(value: Option<T>, of: impl Fn(T) -> i64) -> Cell {
    value.map_or(Cell::Null, |v| Cell::Number(of(v)))
}

fn millis(span: Span) -> i64 {
    span.0 / (SECOND / 1_000)
}

/// The parameters of a setting, in the order of their columns.
fn parameter_cells(s: &Setting) -> Vec<Cell> {
    let per_hour = |r: headgate_core::site::Ramp| {
        let n = i128::from(r.power.0) * i128::from(Span::hours(1).0);
        to_i64(div_half_even(n, i128::from(r.per.0)))
    };
    vec![
        number(s.value, |p| p.0),
        number(s.strike, |p| p.0),
        number(s.hashprice_ppm, |ppm| ppm),
        number(s.lag, millis),
        number(s.unit.start, |m| m.0),
        number(s.unit.min, |p| p.0),
        number(s.unit.ramp_up, per_hour),
        number(s.unit.min_on, millis),
        number(s.unit.min_off, millis),
        number(s.unit.starts_per_day, i64::from),
    ]
}

/// The parameters that a setting sets, by name and as text.
pub fn parameters(setting: &Setting) -> Vec<(&'static str, String)> {
    let columns = &COLUMNS[PARAMETERS];
    let cells = parameter_cells(setting);
    let set = columns.iter().zip(&cells).filter(|(_, cell)| **cell != Cell::Null);
    set.map(|(column, cell)| (column.name, text(cell, column.kind))).collect()
}

fn scale_cells(outcome: &Outcome) -> [Cell; 5] {
    let bound = &outcome.bound;
    let kind = if bound.exact { "exact" } else { "certified" };
    [
        Cell::Number(bound.profit.0),
        Cell::Text(kind.into()),
        Cell::Number(bound.gap_ppb),
        number(outcome.foot, |m| m.0),
        Cell::Number(outcome.head.0),
    ]
}

fn policy_cells(name: headgate_sim::backtest::Name, s: &Scored) -> Vec<Cell> {
    let watt_hours = to_i64(div_half_even(i128::from(s.energy.0), 3_600));
    let micro_hours = to_i64(div_half_even(i128::from(s.curtailed.0), 3_600_000));
    vec![
        Cell::Text(name.as_str().into()),
        Cell::Text(name.information().as_str().into()),
        Cell::Number(s.profit.0),
        Cell::Number(s.compute_revenue.0),
        Cell::Number(s.energy_cost.0),
        Cell::Number(s.sell_back.0),
        Cell::Number(s.other_cost.0),
        Cell::Number(watt_hours),
        Cell::Number(to_i64(i128::from(s.starts))),
        Cell::Number(micro_hours),
        Cell::Number(s.missed_spike_cost.0),
        number(s.capture_ppm, |ppm| ppm),
    ]
}

impl Frame {
    /// The rows of a case; a case that came to nothing is one row that says why.
    ///
    /// # Errors
    /// When its span cannot be told.
    pub fn rows(&self, done: &Done) -> anyhow::Result<Vec<Vec<Cell>>> {
        let case = self.axes.case(done.case);
        let site = &self.sites[case.site];
        let at = site.places[case.point];
        let (place, span) = (&self.places[at], self.span(at, case.span)?);
        let micros = |t: headgate_core::time::Time| Cell::Number(t.0 / 1_000);
        let mut head = vec![
            Cell::Number(to_i64(i128::from(case.index))),
            Cell::Text(self.id(&case)),
            Cell::Text(site.loaded.site.name.clone()),
            Cell::Text(place.market.clone()),
            Cell::Text(place.point.name.clone()),
            Cell::Text(place.point.kind.clone()),
            micros(span.start),
            micros(span.end),
            Cell::Number(to_i64(i128::from(case.seed))),
            Cell::Text(site.loaded.site.market.currency.clone()),
        ];
        head.extend(parameter_cells(&self.plan.settings[case.setting]));
        let whole = |mut row: Vec<Cell>, error: Option<&String>| {
            row.resize(COLUMNS.len() - 1, Cell::Null);
            row.push(error.map_or(Cell::Null, |e| Cell::Text(e.clone())));
            row
        };
        match &done.outcome {
            Err(error) => Ok(vec![whole(head, Some(error))]),
            Ok(outcome) => {
                head.extend(scale_cells(outcome));
                let each = self.plan.policies.iter().zip(&outcome.policies);
                let row = |(name, scored): (&headgate_sim::backtest::Name, &Scored)| {
                    let mut row = head.clone();
                    row.extend(policy_cells(*name, scored));
                    whole(row, None)
                };
                Ok(each.map(row).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_core::site::Ramp;
    use headgate_core::units::{Power, Price};

    #[test]
    fn parameters_read_in_the_units_of_their_columns() {
        let mut s = Setting { value: Some(Price(42_500_000)), ..Setting::default() };
        s.lag = Some(Span::minutes(5));
        s.hashprice_ppm = Some(1_200_000);
        s.unit.min = Some(Power(40_000_000));
        s.unit.ramp_up = Some(Ramp { power: Power(20_000_000), per: Span::minutes(15) });
        s.unit.starts_per_day = Some(4);
        let told: Vec<String> =
            parameters(&s).iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            told,
            [
                "value 42.5",
                "hashprice_factor 1.2",
                "lag_s 300",
                "unit_min_mw 40",
                "unit_ramp_up_mw_per_h 80",
                "unit_starts_per_day 4"
            ]
        );
    }

    #[test]
    fn cells_read_as_csv_has_them() {
        assert_eq!(text(&Cell::Number(-1_500_000), MICRO), "-1.5");
        assert_eq!(text(&Cell::Number(20_000_000), MICRO), "20");
        assert_eq!(text(&Cell::Number(1_704_067_200_000_000), Kind::Time), "2024-01-01T00:00:00Z");
        assert_eq!(text(&Cell::Null, Kind::Int), "");
    }
}
