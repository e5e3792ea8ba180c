//! One machine: what it is, what it was told, and what is wrong with it.

use crate::models::Model;
use crate::rng::SplitMix;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::time::{Span, Time};
use headgate_core::units::Power;

/// What is wrong with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Its supply or its breaker is gone: it draws nothing and refuses connections.
    Dead,
    /// Its network is gone: it refuses connections and keeps doing what it did.
    Dark,
    /// It accepts connections and never answers; it keeps doing what it did.
    Mute,
    /// It says yes and declares what it was told, and does nothing of it.
    Lying,
    /// Something else answers in its place, with a page of HTML.
    Html,
    /// It obeys, and answers late.
    Slow,
}

impl Fault {
    /// All faults, in the order in which shares are given out.
    pub const ALL: [Self; 6] =
        [Self::Dead, Self::Dark, Self::Mute, Self::Lying, Self::Html, Self::Slow];
}

/// How fast a machine is asked to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As after a boot.
    Normal,
    /// With clock steps of so many MHz instead of [`FREQUENCY_STEP_MHZ`].
    Steps(u32),
    /// In one step; wears the chips.
    Unsafe,
}

/// Clock step of a normal ramp.
pub const FREQUENCY_STEP_MHZ: u32 = 5;
/// Shortest way up, taken by the unsafe mode. An assumption.
pub const UP_SHORTEST: Span = Span::seconds(10);
/// Shortest change between two profiles. An assumption.
pub const CHANGE_SHORTEST: Span = Span::seconds(2);
/// How long a boot takes, during which nothing answers. An assumption.
pub const BOOT: Span = Span::seconds(60);

/// How a cohort's machines change over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From any level to sleep.
    pub down: Span,
    /// From sleep to the default profile.
    pub up: Span,
}

/// What differs from machine to machine, in parts per million from the model's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Largest distance of a machine's real power from the table.
    pub efficiency_ppm: u32,
    /// Largest distance of a machine's hash rate from the table.
    pub rate_ppm: u32,
    /// Largest distance of the power it reports from the power it draws.
    pub bias_ppm: u32,
    /// Largest distance of its ramps from its cohort's times.
    pub pace_ppm: u32,
}

impl Default for Spread {
    fn default() -> Self {
        Self { efficiency_ppm: 30_000, rate_ppm: 10_000, bias_ppm: 50_000, pace_ppm: 200_000 }
    }
}

/// What a machine draws and does at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Draw {
    /// Watts.
    pub power: i64,
    /// Work per second, in the core's unit.
    pub rate: i64,
}

/// Marks a machine that is at rest.
pub(crate) const AT_REST: u32 = u32::MAX;

/// One machine. Kept small: a farm has up to a hundred thousand.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Index of its cohort.
    pub cohort: u16,
    /// Index of the profile it is set to, asleep or not.
    pub profile: u8,
    /// Whether it says that it sleeps.
    pub declares_sleep: bool,
    /// Whether it really sleeps or is on its way there.
    pub asleep: bool,
    /// Whether its first wake-up after a boot is still to come; it cannot be an unsafe one.
    pub first_wake: bool,
    /// Whether its own thermal management is on.
    pub atm: bool,
    /// What is wrong with it.
    pub fault: Fault,
    /// Distance of its power from the table.
    gain_ppm: i32,
    /// Distance of its rate from the table.
    yield_ppm: i32,
    /// Distance of the power it reports from the real one.
    bias_ppm: i32,
    /// Distance of its ramps from the cohort's times.
    pace_ppm: i32,
    /// What it draws at rest; while it moves, where it is going.
    pub rest: Draw,
    /// Its place among the moving machines, or [`AT_REST`].
    pub motion: u32,
    /// When its present boot ends or ended.
    pub booted: Time,
    /// Names its open session; 0 when there is none.
    pub session: u64,
    /// Wall time at which the session was last used.
    pub session_used: Time,
}

impl Machine {
    pub(crate) fn new(cohort: u16, profile: u8, spread: &Spread, rng: &mut SplitMix) -> Self {
        Self {
            cohort,
            profile,
            declares_sleep: false,
            asleep: false,
            first_wake: false,
            atm: true,
            fault: Fault::None,
            gain_ppm: rng.around(spread.efficiency_ppm),
            yield_ppm: rng.around(spread.rate_ppm),
            bias_ppm: rng.around(spread.bias_ppm),
            pace_ppm: rng.around(spread.pace_ppm),
            rest: Draw::default(),
            motion: AT_REST,
            booted: Time::MIN,
            session: 0,
            session_used: Time::MIN,
        }
    }

    /// What it draws at rest in a profile.
    pub(crate) fn working(&self, model: &Model, profile: u8) -> Draw {
        let p = &model.profiles[usize::from(profile)];
        let power = off_by(p.watts.0, self.gain_ppm);
        Draw { power, rate: off_by(p.rate.0, self.yield_ppm) }
    }

    /// What it draws asleep.
    pub(crate) fn sleeping(&self, sleep: Power) -> Draw {
        Draw { power: off_by(sleep.0, self.gain_ppm), rate: 0 }
    }

    /// What it says it draws when it draws this much.
    pub(crate) fn says(&self, watts: i64) -> i64 {
        off_by(watts, self.bias_ppm)
    }

    /// How long something takes on it that takes so long on an average machine.
    pub(crate) fn takes(&self, average: Span) -> Span {
        Span(off_by(average.0, self.pace_ppm))
    }
}

/// A value changed by parts per million, rounded to the nearest.
fn off_by(value: i64, ppm: i32) -> i64 {
    let scaled = i128::from(value) * i128::from(1_000_000 + i64::from(ppm));
    to_i64(div_half_even(scaled, 1_000_000))
}
