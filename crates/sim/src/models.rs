//! Machine models: what they draw, what they do for it, and the profiles their firmware lists.
//!
//! The S19k Pro table is what a real one lists under LuxOS; the S19 XP follows the presets of
//! a real one under another firmware. The part-load points of all other models are
//! *assumptions*: the captured S19k Pro shape scaled to the model's nameplate. Their nameplate
//! rate and power are the makers' figures, and their default clock and chip counts are common
//! knowledge, good enough for a pretend farm.

use headgate_core::fleet::{CurveOrder, OperatingPoint, PowerCurve};
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::units::{Power, Rate};
use std::sync::OnceLock;

/// Profiles a machine lists below its default one, at most.
const STEPS_BELOW: i32 = 16;
/// Profiles a machine lists above its default one.
const STEPS_ABOVE: i32 = 8;
/// Distance of two neighbouring profiles.
const STEP_MHZ: i32 = 25;
/// The lowest clock a profile is listed for, in thousandths of the default clock: the floor of
/// the captured S19k Pro, 190 of 590 MHz.
const FLOOR_PERMILLE: i32 = 322;
/// What every model draws asleep: control board and slow fans. An assumption; nobody publishes
/// a measured figure.
const SLEEP: Power = Power(30);

/// One entry of a machine's profile list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What the firmware calls it: `default`, or its clock such as `490MHz`.
    pub name: String,
    /// Its distance from the default profile.
    pub step: i32,
    /// Chip clock.
    pub mhz: u32,
    /// Board voltage in hundredths of a volt.
    pub centivolts: u32,
    /// Power at the plug of an average machine.
    pub watts: Power,
    /// Hash rate of an average machine, in GH/s.
    pub rate: Rate,
}

/// A machine model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name used in a farm's specification.
    pub key: &'static str,
    /// What the machine says it is.
    pub type_name: &'static str,
    /// Chips on one of its three boards.
    pub chips: u32,
    /// All profiles, rising.
    pub profiles: Vec<Profile>,
    /// Index of the default profile.
    pub default: usize,
    /// Power asleep.
    pub sleep: Power,
}

/// Watts over some measure of speed; what lies between two points is on a straight line.
type Shape = [(i64, i64)];

/// S19k Pro under LuxOS, captured: (MHz, W).
const S19K_PRO: [(i64, i64); 25] = [
    (190, 784),
    (215, 879),
    (240, 978),
    (265, 1080),
    (290, 1188),
    (315, 1299),
    (340, 1414),
    (365, 1533),
    (390, 1657),
    (415, 1785),
    (440, 1916),
    (465, 2052),
    (490, 2192),
    (515, 2336),
    (540, 2485),
    (565, 2637),
    (590, 2794),
    (615, 2954),
    (640, 3119),
    (665, 3288),
    (690, 3461),
    (715, 3638),
    (740, 3820),
    (765, 4005),
    (790, 4195),
];
/// The default clock within [`S19K_PRO`].
const S19K_PRO_DEFAULT: i64 = 590;

/// S19 XP under ePIC, captured: (tenths of TH/s, W).
const S19_XP: [(i64, i64); 6] =
    [(800, 1700), (1000, 2200), (1200, 2700), (1420, 3350), (1540, 3850), (1690, 4400)];
/// The nameplate rate within [`S19_XP`].
const S19_XP_DEFAULT: i64 = 1400;

struct Nameplate {
    key: &'static str,
    type_name: &'static str,
    chips: u32,
    /// Tenths of TH/s.
    rate: i64,
    watts: i64,
    mhz: i32,
    centivolts: i32,
    shape: &'static Shape,
    /// Where the nameplate lies on the shape.
    shape_default: i64,
}

impl Nameplate {
    const fn new(
        (key, type_name): (&'static str, &'static str),
        chips: u32,
        (rate, watts): (i64, i64),
        (mhz, centivolts): (i32, i32),
    ) -> Self {
        let (shape, shape_default) = (&S19K_PRO as &Shape, S19K_PRO_DEFAULT);
        Self { key, type_name, chips, rate, watts, mhz, centivolts, shape, shape_default }
    }

    const fn shaped(mut self, shape: &'static Shape, default: i64) -> Self {
        self.shape = shape;
        self.shape_default = default;
        self
    }
}

static NAMEPLATES: [Nameplate; 10] = [
    Nameplate::new(("s19", "Antminer S19"), 76, (950, 3250), (580, 1380)),
    Nameplate::new(("s19jpro", "Antminer S19j Pro"), 126, (1040, 3068), (545, 1340)),
    Nameplate::new(("s19pro", "Antminer S19 Pro"), 114, (1100, 3250), (570, 1370)),
    Nameplate::new(("s19kpro", "Antminer S19k Pro"), 77, (1218, 2794), (590, 1350)),
    Nameplate::new(("s19xp", "Antminer S19 XP"), 110, (1400, 3010), (520, 1330))
        .shaped(&S19_XP, S19_XP_DEFAULT),
    Nameplate::new(("t21", "Antminer T21"), 108, (1900, 3610), (480, 1360)),
    Nameplate::new(("s21", "Antminer S21"), 108, (2000, 3500), (490, 1350)),
    Nameplate::new(("s21pro", "Antminer S21 Pro"), 65, (2340, 3510), (520, 1360)),
    Nameplate::new(("m60s", "Whatsminer M60S_VK40"), 148, (1860, 3441), (560, 1350)),
    // Its nameplate is an assumption: common knowledge, not the maker's document.
    Nameplate::new(("a1346", "Avalon 1346"), 120, (1100, 3300), (500, 1280)),
];

/// All models, each maker's from the oldest to the newest.
#[must_use]
pub fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| NAMEPLATES.iter().map(build).collect())
}

/// The model of this key.
#[must_use]
pub fn model(key: &str) -> Option<&'static Model> {
    models().iter().find(|m| m.key == key)
}

impl Model {
    /// The default profile.
    #[must_use]
    pub fn default_profile(&self) -> &Profile {
        &self.profiles[self.default]
    }

    /// Sleep and every profile up to the default one, as a site's `curve`.
    ///
    /// # Errors
    /// [`CurveOrder`] when the profiles do not rise, which a test of this module excludes.
    pub fn curve(&self) -> Result<PowerCurve, CurveOrder> {
        let point = |p: &Profile| OperatingPoint { power: p.watts, rate: p.rate };
        let points: Vec<_> = self.profiles[..=self.default].iter().map(point).collect();
        PowerCurve::new(self.sleep, &points)
    }
}

fn build(plate: &Nameplate) -> Model {
    let floor = (FLOOR_PERMILLE * plate.mhz + 999) / 1000;
    let mut profiles = Vec::new();
    let mut default = 0;
    for step in -STEPS_BELOW..=STEPS_ABOVE {
        let mhz = plate.mhz + step * STEP_MHZ;
        if mhz < floor {
            continue;
        }
        if step == 0 {
            default = profiles.len();
        }
        profiles.push(profile(plate, step, mhz));
    }
    let (key, type_name, chips) = (plate.key, plate.type_name, plate.chips);
    Model { key, type_name, chips, profiles, default, sleep: SLEEP }
}

fn profile(plate: &Nameplate, step: i32, mhz: i32) -> Profile {
    let name = if step == 0 { "default".to_owned() } else { format!("{mhz}MHz") };
    let ratio = |value: i64, by: i64, of: i64| {
        to_i64(div_half_even(i128::from(value) * i128::from(by), i128::from(of)))
    };
    // A chip hashes in proportion to its clock.
    let deci_th = ratio(plate.rate, i64::from(mhz), i64::from(plate.mhz));
    let at = |x: i64| x_on(plate.shape, x);
    let x = ratio(plate.shape_default, i64::from(mhz), i64::from(plate.mhz));
    let watts = ratio(plate.watts, at(x), at(plate.shape_default));
    // Voltage falls by 0.15 V a step to the lowest the boards are stable at.
    let centivolts = (plate.centivolts + step * 15).max(plate.centivolts * 88 / 100);
    Profile {
        name,
        step,
        mhz: u32::try_from(mhz).expect("a clock above the floor is positive"),
        centivolts: u32::try_from(centivolts).expect("a voltage above its floor is positive"),
        watts: Power(watts),
        rate: Rate(deci_th * 100),
    }
}

/// Milliwatts at a point of a shape; its outer segments go on beyond its ends.
fn x_on(shape: &Shape, x: i64) -> i64 {
    let after = shape.partition_point(|(at, _)| *at <= x).clamp(1, shape.len() - 1);
    let ((x0, y0), (x1, y1)) = (shape[after - 1], shape[after]);
    y0 * 1000 + (y1 - y0) * 1000 * (x - x0) / (x1 - x0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_captured_table_comes_out_unchanged() {
        let m = model("s19kpro").unwrap();
        assert_eq!((m.profiles.len(), m.default), (25, 16));
        let watts: Vec<_> = m.profiles.iter().map(|p| p.watts.0).collect();
        assert_eq!(watts, S19K_PRO.map(|(_, w)| w));
        let deci_th: Vec<_> = m.profiles.iter().map(|p| p.rate.0 / 100).collect();
        assert_eq!(deci_th[..4], [392, 444, 495, 547]);
        assert_eq!(deci_th[16..], [1218, 1270, 1321, 1373, 1424, 1476, 1528, 1579, 1631]);
    }

    #[test]
    fn every_model_rises_and_has_its_nameplate() {
        let mut text = String::new();
        for m in models() {
            let curve = m.curve().expect("rises");
            let plate = NAMEPLATES.iter().find(|p| p.key == m.key).unwrap();
            let d = m.default_profile();
            assert_eq!((d.watts.0, d.rate.0), (plate.watts, plate.rate * 100));
            assert!(m.profiles.windows(2).all(|w| w[0].watts < w[1].watts));
            let (low, high) = (&m.profiles[0], &m.profiles[m.profiles.len() - 1]);
            let th = |r: Rate| r.0 / 1000;
            writeln!(
                text,
                "{} {} levels: {} W {} TH/s .. {} W {} TH/s .. {} W {} TH/s",
                m.key,
                curve.levels().len(),
                low.watts.0,
                th(low.rate),
                d.watts.0,
                th(d.rate),
                high.watts.0,
                th(high.rate)
            )
            .unwrap();
        }
        insta::assert_snapshot!(text, @r"
        s19 17 levels: 996 W 33 TH/s .. 3250 W 95 TH/s .. 4906 W 127 TH/s
        s19jpro 16 levels: 949 W 37 TH/s .. 3068 W 104 TH/s .. 4748 W 142 TH/s
        s19pro 17 levels: 965 W 37 TH/s .. 3250 W 110 TH/s .. 4942 W 148 TH/s
        s19kpro 18 levels: 784 W 39 TH/s .. 2794 W 121 TH/s .. 4195 W 163 TH/s
        s19xp 16 levels: 773 W 45 TH/s .. 3010 W 140 TH/s .. 4856 W 193 TH/s
        t21 15 levels: 1018 W 61 TH/s .. 3610 W 190 TH/s .. 5872 W 269 TH/s
        s21 15 levels: 1025 W 67 TH/s .. 3500 W 200 TH/s .. 5645 W 281 TH/s
        s21pro 16 levels: 999 W 76 TH/s .. 3510 W 234 TH/s .. 5528 W 324 TH/s
        m60s 17 levels: 989 W 61 TH/s .. 3441 W 186 TH/s .. 5269 W 252 TH/s
        a1346 15 levels: 998 W 38 TH/s .. 3300 W 110 TH/s .. 5278 W 154 TH/s
        ");
    }
}
