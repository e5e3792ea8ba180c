//! What the driver keeps of one machine and of one cohort, and what their watts mean.

use crate::family::{Keep, Rival, Setting, Talk};
use headgate_core::fleet::{Answer, CohortId, Declared, Level, Link, MachineId, TargetPhase};
use headgate_core::site::Cohort;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Power, Rate};

/// Stands for no machine in the lists by measuring time.
pub(super) const NOBODY: u32 = u32::MAX;

/// A running machine agrees with its level within this share of the level's power.
const AGREE_PERCENT: i64 = 15;
/// A confirmed running machine has left its level beyond this share; wider, against flapping.
const LEAVE_PERCENT: i64 = 25;
/// A sleeping machine draws at most this many times its sleep power, or this share of its top.
const ASLEEP: (i64, i64) = (3, 10);
/// A confirmed sleeping machine has left sleep beyond these.
const LEFT_SLEEP: (i64, i64) = (4, 15);
/// A fall is proven within this many times the cohort's own time and this much more.
const FALL_WINDOW: (i64, Span) = (2, Span::seconds(10));
/// A rise is proven within this many times the cohort's own time and this much more.
const RISE_WINDOW: (i64, Span) = (2, Span::seconds(60));
/// Pause between two readings while a fall is to be proven.
const FALL_EVERY: Span = Span::seconds(4);
/// Pause between two readings while a rise is to be proven.
const RISE_EVERY: Span = Span::seconds(30);

/// What a request on the wire is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Watts,
    Mode,
    Command,
    GiveBack,
}

/// A request on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub id: u64,
    pub kind: Kind,
    /// It went to a machine that failed last time and holds one of the suspects' slots.
    pub suspect: bool,
}

/// What a read-back still wants of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Nothing,
    Watts,
    Mode,
}

/// A target not yet under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub level: Level,
    pub generation: u64,
    pub valid_until: Time,
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Being said, or waiting to be said again.
    Talking,
    /// Waiting for a session that another holds.
    Pausing,
    /// Sent, and nothing is to be heard for a while: readings may prove it meanwhile.
    Verifying,
    /// Answered or given up; its proof is awaited.
    Proving,
}

/// How the saying of a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The machine answered, or did not where it should have.
    Answer(Answer),
    /// No answer was to be awaited.
    Unconfirmed,
}

impl Ending {
    /// What the machine answered.
    pub(super) fn answer(self) -> Option<Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Unconfirmed => None,
        }
    }
}

/// A target under way.
#[derive(Debug)]
pub(super) struct Command {
    pub level: Level,
    pub generation: u64,
    pub valid_until: Time,
    pub talk: Box<dyn Talk>,
    pub stage: Stage,
    /// Failed tries.
    pub tries: u8,
    /// It was sent, and what became of it was looked for.
    pub verified: bool,
    /// It is in the counts: the command itself was put on the wire, or never got that far.
    pub counted: bool,
    pub ending: Ending,
    pub fall: bool,
    /// A reading was asked for since the answer.
    pub polled: bool,
    /// A reading came since the answer.
    pub heard: bool,
    /// When its proof is overdue.
    pub ends: Time,
}

/// A bound that watts must pass to show that they moved, not only that they are near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    None,
    AtMost(i64),
    AtLeast(i64),
}

/// One machine; the fields a reading touches come first.
#[derive(Debug)]
pub(super) struct Machine {
    pub watts: Option<i64>,
    pub measured_at: Time,
    /// Rate at `watts`, in the cohort's sum while the machine is heard of.
    pub rate: i64,
    /// Watts as last reported.
    pub reported: Option<i64>,
    /// Neighbours in the cohort's list by measuring time.
    pub older: u32,
    pub newer: u32,
    pub kind: u16,
    /// Failures in a row.
    pub fails: u16,
    pub link: Link,
    pub phase: TargetPhase,
    pub dirty: bool,
    pub psu: bool,
    pub excluded: bool,
    /// Bits of the queues it stands in.
    pub queued: u8,
    pub reading: Reading,
    pub bar: Bar,
    pub id: MachineId,
    pub generation: u64,
    pub wire: Option<Wire>,
    pub command: Option<Box<Command>>,
    pub want: Option<Want>,
    /// The reading under way.
    pub poll: Option<Box<dyn Talk>>,
    /// What the last talk left for the next.
    pub keep: Option<Keep>,
    /// Another controller that was met.
    pub rival: Option<Rival>,
    pub told: Option<(Level, u64, Time)>,
    /// Level of the last target under way, or of one that lapsed: what watts are held against.
    pub target: Option<Level>,
    pub answer: Option<(Answer, Time)>,
    pub declared: Option<(Declared, Time)>,
    /// Level of the profile last set or told; `None` when unknown.
    pub profile: Option<Profile>,
    /// Level it was found at before it was ever told one.
    pub found: Option<Level>,
    /// When it wants to be looked at; `Time::MAX` is never.
    pub due: Time,
    pub round: u64,
    pub reason: Option<Box<str>>,
}

/// Which profile a machine is known to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// The one of a level.
    Of(Level),
    /// None that we know.
    Foreign,
}

impl Machine {
    pub(super) fn new(id: MachineId, kind: u16, excluded: bool) -> Self {
        Self {
            watts: None,
            measured_at: Time::MIN,
            rate: 0,
            reported: None,
            older: NOBODY,
            newer: NOBODY,
            kind,
            fails: 0,
            link: Link::Unknown,
            phase: TargetPhase::Pending,
            dirty: false,
            psu: false,
            excluded,
            queued: 0,
            reading: Reading::Nothing,
            bar: Bar::None,
            id,
            generation: 0,
            wire: None,
            command: None,
            want: None,
            poll: None,
            keep: None,
            rival: None,
            told: None,
            target: None,
            answer: None,
            declared: None,
            profile: None,
            found: None,
            due: Time::MAX,
            round: 0,
            reason: None,
        }
    }

    /// Whether nothing is told and nothing is to be told.
    pub(super) fn at_rest(&self) -> bool {
        self.command.is_none() && self.want.is_none()
    }

    pub(super) fn suspect(&self) -> bool {
        self.fails > 0
    }

    /// Whether it holds what must be given back.
    pub(super) fn holds(&self) -> bool {
        self.keep.as_ref().is_some_and(Keep::holds)
    }

    /// Takes in what a talk has left.
    pub(super) fn keep(&mut self, kept: Option<Keep>) {
        if kept.is_some() {
            self.keep = kept;
        }
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        self.command.as_ref().map(|c| c.stage)
    }
}

/// One cohort: its curve in plain numbers, its times, and its sums.
#[derive(Debug)]
pub(super) struct CohortState {
    pub id: CohortId,
    points: Vec<(i64, i64)>,
    /// The level of the machine's own default profile: the highest that is not overclocked.
    pub default: Level,
    down: Span,
    up: Span,
    pub machines: u32,
    pub heard: u32,
    pub power: i64,
    pub rate: i64,
    /// Ends of the list by measuring time.
    pub oldest: u32,
    pub newest: u32,
}

impl CohortState {
    pub(super) fn new(id: CohortId, cohort: &Cohort) -> Self {
        let levels = cohort.curve.levels();
        let top = cohort.curve.top();
        Self {
            id,
            points: levels.iter().map(|p| (p.power.0, p.rate.0)).collect(),
            default: Level(top.0.saturating_sub(cohort.overclocked)),
            down: cohort.times.down,
            up: cohort.times.up,
            machines: 0,
            heard: 0,
            power: 0,
            rate: 0,
            oldest: NOBODY,
            newest: NOBODY,
        }
    }

    pub(super) fn has(&self, level: Level) -> bool {
        level.index() < self.points.len()
    }

    pub(super) fn power_at(&self, level: Level) -> Power {
        Power(self.points[level.index()].0)
    }

    fn top(&self) -> i64 {
        self.points[self.points.len() - 1].0
    }

    fn sleep_bound(&self, (times, percent): (i64, i64)) -> i64 {
        (self.points[0].0 * times).max(self.top() * percent / 100)
    }

    /// The level whose power is nearest to watts, the lower one on a tie.
    pub(super) fn nearest(&self, watts: i64) -> Level {
        let distance = |p: &(i64, i64)| (p.0 - watts).unsigned_abs();
        let best = self.points.iter().enumerate().min_by_key(|(_, p)| distance(p));
        Level(best.map_or(0, |(i, _)| u8::try_from(i).unwrap_or(u8::MAX)))
    }

    /// Which level's a setting is.
    pub(super) fn profile_of(&self, setting: Setting) -> Profile {
        let Setting::Power(power) = setting else {
            let default = setting == Setting::Default;
            return if default { Profile::Of(self.default) } else { Profile::Foreign };
        };
        let level = self.nearest(power.0);
        let known = level > Level::SLEEP && self.power_at(level) == power;
        if known { Profile::Of(level) } else { Profile::Foreign }
    }

    /// Whether watts are those of a sleeping machine.
    pub(super) fn asleep(&self, watts: i64) -> bool {
        watts <= self.sleep_bound(ASLEEP)
    }

    /// Whether watts agree with a level.
    pub(super) fn agrees(&self, level: Level, watts: i64, bar: Bar) -> bool {
        if level == Level::SLEEP {
            return self.asleep(watts);
        }
        let power = self.points[level.index()].0;
        let near = (watts - power).abs() * 100 <= power * AGREE_PERCENT;
        near && match bar {
            Bar::None => true,
            Bar::AtMost(w) => watts <= w,
            Bar::AtLeast(w) => watts >= w,
        }
    }

    /// Whether watts have left a level they agreed with.
    pub(super) fn leaves(&self, level: Level, watts: i64) -> bool {
        if level == Level::SLEEP {
            return watts > self.sleep_bound(LEFT_SLEEP);
        }
        let power = self.points[level.index()].0;
        (watts - power).abs() * 100 > power * LEAVE_PERCENT
    }

    /// The bar half-way between what a machine drew and what it shall draw. Neighbouring levels
    /// may lie closer than the tolerance: without it, standing still would count as proof. A
    /// machine that is at the level already has no way to go.
    pub(super) fn bar(&self, before: Option<i64>, level: Level) -> Bar {
        let power = self.points[level.index()].0;
        match before.filter(|w| self.nearest(*w) != level) {
            Some(w) if w > power => Bar::AtMost(i64::midpoint(w, power)),
            Some(w) if w < power => Bar::AtLeast(i64::midpoint(w, power)),
            _ => Bar::None,
        }
    }

    /// Work done each second at watts, read off the curve between its levels.
    pub(super) fn rate_at(&self, watts: i64) -> i64 {
        let above = self.points.partition_point(|p| p.0 <= watts);
        let Some(high) = self.points.get(above) else {
            return self.points[self.points.len() - 1].1;
        };
        let Some(low) = above.checked_sub(1).map(|i| self.points[i]) else { return 0 };
        let share = i128::from(high.1 - low.1) * i128::from(watts - low.0);
        let rise = share / i128::from(high.0 - low.0);
        low.1 + i64::try_from(rise).unwrap_or(0)
    }

    pub(super) fn rate(&self) -> Rate {
        Rate(self.rate)
    }

    /// When a reading is first worth taking after an answer.
    pub(super) fn first_look(&self, fall: bool) -> Span {
        if fall { self.down } else { self.up }
    }

    /// Pause between two readings while the proof is awaited.
    pub(super) fn look_every(fall: bool) -> Span {
        if fall { FALL_EVERY } else { RISE_EVERY }
    }

    /// How long after an answer the proof may take.
    pub(super) fn window(&self, fall: bool) -> Span {
        let ((times, more), own) =
            if fall { (FALL_WINDOW, self.down) } else { (RISE_WINDOW, self.up) };
        Span(own.0.saturating_mul(times)) + more
    }
}
