//! One or two units at once, exactly, with the others as they are.
//!
//! The states are pairs of states. Where the site has no ramp the stairs are no part of the
//! others: in each step they take, by merit, what room the units leave. So a site of two units
//! and any stairs is planned exactly on its lattices; one of more is improved pair by pair.

use super::{Power, Price, Row, Site};
use crate::horizon::exact::{NEVER, Origin, Plan, Planner};
use crate::horizon::unit::StateId;
use crate::time::Span;
use crate::units::Money;

/// Most values held for one group: 64 MiB.
const GROUP_MAX: usize = 1 << 23;

/// A move of one unit: where to, its powers before and after, whether it starts, and the place of
/// its pay among the levels.
#[derive(Debug, Clone, Copy)]
struct Move {
    to: usize,
    from_power: i64,
    power: i64,
    start: bool,
    level: usize,
}

/// One unit of a group; its spots are states by starts of the day.
struct Part<'n> {
    /// `None` where a site has one unit alone.
    planner: Option<&'n Planner>,
    /// By level, off first.
    powers: Vec<i64>,
    states: usize,
    start_cost: i64,
    gains: Vec<Price>,
    first: usize,
    /// Moves of each spot, within a day and into a new one.
    moves: [Vec<Vec<Move>>; 2],
}

/// What is worked out for a step.
struct Step {
    /// Pay of each unit by level, off first.
    pays: [Vec<i64>; 2],
    /// What is worth to the stairs, by the levels of both units; impossible outside the rows.
    rest: Vec<i64>,
    /// Most rise and fall of the group.
    rise: i64,
    fall: i64,
    new_day: [bool; 2],
}

/// Units of a site that are planned together.
pub(super) struct Group<'n, 'm, 'a> {
    site: &'n Site<'m, 'a>,
    parts: [Part<'n>; 2],
    /// Power of all others, by step, and of the step before the first.
    others: Vec<i64>,
    prices: &'n [Price],
}

impl<'n> Part<'n> {
    fn new(planner: &'n Planner, from: Origin, gains: Vec<Price>) -> Self {
        let (lattice, layers) = (planner.lattice(), planner.layers());
        let states = lattice.states();
        let moves = |reset: bool| {
            let spots = (0..layers).flat_map(|k| (0..states).map(move |s| (s, k)));
            let of = |(s, k): (usize, usize)| {
                let state = StateId(u16::try_from(s).expect("a state's number fits"));
                let made = if reset { 0 } else { k };
                let each = lattice.moves(state).filter_map(|(to, start)| {
                    let starts = made + usize::from(start && planner.counts_starts());
                    (starts < layers).then(|| Move {
                        to: starts * states + to.index(),
                        from_power: lattice.power(state).0,
                        power: lattice.power(to).0,
                        start,
                        level: lattice.level(to).map_or(0, |l| usize::from(l) + 1),
                    })
                });
                each.collect::<Vec<Move>>()
            };
            spots.map(of).collect()
        };
        let Origin::At { state, starts } = from else {
            unreachable!("a site's units begin in a state that is known")
        };
        let levels = lattice.levels().iter().map(|p| p.0);
        Self {
            planner: Some(planner),
            powers: std::iter::once(0).chain(levels).collect(),
            states,
            start_cost: planner.start_cost().0,
            gains,
            first: usize::from(starts).min(layers - 1) * states + state.index(),
            moves: [moves(false), moves(true)],
        }
    }

    /// No unit: off for ever.
    fn none() -> Self {
        let stay = vec![vec![Move { to: 0, from_power: 0, power: 0, start: false, level: 0 }]];
        Self {
            planner: None,
            powers: vec![0],
            states: 1,
            start_cost: 0,
            gains: Vec::new(),
            first: 0,
            moves: [stay.clone(), stay],
        }
    }

    fn spots(&self) -> usize {
        self.moves[0].len()
    }

    fn pays(&self, t: usize, step: Span) -> Vec<i64> {
        let gain = self.gains.get(t).copied().unwrap_or(Price::ZERO);
        self.powers.iter().map(|p| gain.of(Power(*p).over(step)).0).collect()
    }
}

impl<'n, 'm, 'a> Group<'n, 'm, 'a> {
    /// Members by number, a number beyond them being none; `None` when there are too many states.
    pub fn new(
        site: &'n Site<'m, 'a>,
        pair: [usize; 2],
        others: Vec<i64>,
        prices: &'n [Price],
    ) -> Option<Self> {
        let part = |n: usize| {
            let Some(member) = site.members.get(n) else { return Part::none() };
            let gains = member.gains.iter().zip(prices).map(|(g, p)| *g - *p).collect();
            Part::new(&*member.planner, member.from, gains)
        };
        let spots = |n: usize| {
            let planner = site.members.get(n).map(|m| &m.planner);
            planner.map_or(1, |p| p.layers() * p.lattice().states())
        };
        let values = spots(pair[0]).saturating_mul(spots(pair[1])).saturating_mul(site.steps + 1);
        (values <= GROUP_MAX).then(|| Self { parts: pair.map(part), site, others, prices })
    }

    /// Whether the stairs are worked out with the group and are no part of the others.
    pub fn with_stairs(site: &Site<'_, '_>) -> bool {
        site.rows.rise.is_none() && site.rows.fall.is_none()
    }

    fn step(&self, t: usize) -> Step {
        let site = self.site;
        let before = t.checked_sub(1).map_or(site.rows.before.0, |b| self.others[b]);
        let change = self.others[t] - before;
        let free = i64::MAX / 4;
        let [a, b] = self.parts.each_ref().map(|p| &p.powers);
        let sums = a.iter().flat_map(|a| b.iter().map(move |b| a + b));
        let rest = sums.map(|p| self.rest(t, self.others[t] + p)).collect();
        let begin = site.begin;
        Step {
            pays: self.parts.each_ref().map(|p| p.pays(t, site.step)),
            rest,
            rise: site.rows.rise.map_or(free, |r| r.0 - change),
            fall: site.rows.fall.map_or(free, |r| r.0 + change),
            new_day: self
                .parts
                .each_ref()
                .map(|p| p.planner.is_some_and(|p| p.begins_day(begin, t))),
        }
    }

    /// What the stairs earn beside so much power, within the rows.
    fn rest(&self, t: usize, power: i64) -> i64 {
        let site = self.site;
        let stairs = Self::with_stairs(site);
        let cap: i64 = if stairs { site.stairs.iter().map(|s| s.power.0).sum() } else { 0 };
        let low = (site.least(t) - power).max(0);
        let high = (site.most(t) - power).min(cap);
        if low > high {
            return NEVER;
        }
        let wish = site.wish(t, self.prices[t]).min(cap);
        site.merit(t, wish.clamp(low, high), self.prices[t]).0
    }

    /// Moves of both units within the rows: where to, and what they pay.
    fn moves<'s>(
        &'s self,
        t: usize,
        step: &'s Step,
        spots: [usize; 2],
    ) -> impl Iterator<Item = ([Move; 2], i64)> + 's {
        let of = move |n: usize| &self.parts[n].moves[usize::from(step.new_day[n])][spots[n]];
        let width = step.pays[1].len();
        of(0).iter().flat_map(move |a| of(1).iter().map(move |b| [*a, *b])).filter_map(move |m| {
            let rest = step.rest[m[0].level * width + m[1].level];
            let power = m[0].power + m[1].power;
            // What went before the first step is in the ramp already.
            let from = if t == 0 { 0 } else { m[0].from_power + m[1].from_power };
            if rest == NEVER || power - from > step.rise || from - power > step.fall {
                return None;
            }
            let cost = |n: usize| if m[n].start { self.parts[n].start_cost } else { 0 };
            let pays = step.pays[0][m[0].level] + step.pays[1][m[1].level];
            Some((m, pays + rest - cost(0) - cost(1)))
        })
    }

    /// The best plans of both; else the row in the way and the step.
    pub fn plan(&self) -> Result<[Plan; 2], (Row, usize)> {
        let (steps, width) = (self.site.steps, self.parts[1].spots());
        let size = self.parts[0].spots() * width;
        let mut values = vec![0i64; (steps + 1) * size];
        for t in (0..steps).rev() {
            let step = self.step(t);
            let (here, next) = values[t * size..][..2 * size].split_at_mut(size);
            for (spot, value) in here.iter_mut().enumerate() {
                let each = self.moves(t, &step, [spot / width, spot % width]);
                let worth =
                    each.map(|(m, pay)| next[m[0].to * width + m[1].to].saturating_add(pay));
                *value = worth.max().unwrap_or(NEVER).max(NEVER);
            }
        }
        let mut spot = [self.parts[0].first, self.parts[1].first];
        if values[spot[0] * width + spot[1]] <= NEVER / 2 {
            return Err(self.blocked());
        }
        let state = |n: usize, spot: usize| {
            StateId(u16::try_from(spot % self.parts[n].states).expect("a state's number fits"))
        };
        let begin = |n: usize| Plan {
            profit: Money::ZERO,
            origin: state(n, spot[n]),
            states: Vec::with_capacity(steps),
            starts: 0,
        };
        let mut plans = [begin(0), begin(1)];
        for t in 0..steps {
            let (step, next) = (self.step(t), &values[(t + 1) * size..][..size]);
            let mut best = (i64::MIN, None);
            for (m, pay) in self.moves(t, &step, spot) {
                let value = next[m[0].to * width + m[1].to].saturating_add(pay);
                if value > best.0 {
                    best = (value, Some(m));
                }
            }
            let moves = best.1.expect("a state of a plan has a move");
            for (n, plan) in plans.iter_mut().enumerate() {
                spot[n] = moves[n].to;
                plan.states.push(state(n, spot[n]));
                plan.starts += u32::from(moves[n].start);
            }
        }
        Ok(plans)
    }

    /// The first step that cannot be reached, and the row in its way.
    fn blocked(&self) -> (Row, usize) {
        let site = self.site;
        let cap: i64 = site.stairs.iter().map(|s| s.power.0).sum();
        let mut here = vec![[self.parts[0].first, self.parts[1].first]];
        for t in 0..site.steps {
            let step = self.step(t);
            let each = here.iter().flat_map(|s| self.moves(t, &step, *s));
            let mut next: Vec<[usize; 2]> = each.map(|(m, _)| [m[0].to, m[1].to]).collect();
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                // Without limits of power: is there a move at all, and which one stops it?
                let any = Step { rest: vec![0; step.rest.len()], ..step };
                let powers: Vec<i64> = here
                    .iter()
                    .flat_map(|s| self.moves(t, &any, *s))
                    .map(|(m, _)| self.others[t] + m[0].power + m[1].power)
                    .collect();
                let row = match (powers.iter().min(), powers.iter().max()) {
                    (Some(low), _) if *low > site.most(t) => Row::Most(Power(site.most(t))),
                    (_, Some(high)) if high + cap < site.least(t) => {
                        Row::Least(Power(site.least(t)))
                    }
                    (Some(_), _) if site.least(t) > 0 => Row::Least(Power(site.least(t))),
                    (Some(_), _) => Row::Most(Power(site.most(t))),
                    (None, _) => Row::Ramp,
                };
                return (row, t);
            }
            here = next;
        }
        unreachable!("a group that reaches its last step has a value")
    }
}
