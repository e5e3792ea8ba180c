//! From a power to machines: first how many of each cohort at which level, by merit, then which.

use crate::fleet::{Level, MachineId};
use crate::merit::Staircase;
use crate::number::{div_half_even, to_i64};
use crate::plan::Change;
use crate::roster::{Machine, Roster};
use crate::site::Site;
use crate::time::Time;
use crate::units::{Power, Price};
use std::cmp::Reverse;

/// What economics wishes of one cohort at the price it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Level for machines that are awake.
    pub awake: Level,
    /// Level for machines that sleep.
    pub asleep: Level,
}

/// What one cohort has to work with now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    /// Awake and may not sleep yet.
    pub locked_on: u32,
    /// Awake and free.
    pub awake: u32,
    /// Asleep and free to wake.
    pub asleep: u32,
    /// Asleep and may not wake yet.
    pub locked_off: u32,
    /// The highest level it can be set to now, where that is bounded.
    pub reach: Option<Level>,
}

/// How many machines of one cohort shall run at each level at least.
pub type Shape = Vec<u32>;

/// Whether a machine may not sleep, or may not wake, yet.
#[must_use]
pub fn locked(site: &Site, m: &Machine, now: Time) -> bool {
    let cohort = &site.cohorts[usize::from(m.cohort)];
    if m.level > Level::SLEEP {
        return now < m.switched_at + cohort.times.min_on;
    }
    // The day's starts bound waking alone: a spike may still put the machine to sleep.
    let spent = m.start_day == now.day() && m.starts >= cohort.starts_per_day;
    spent || now < m.switched_at + cohort.times.min_off
}

/// Counts what each cohort has to work with.
#[must_use]
pub fn stocks(site: &Site, roster: &Roster, now: Time) -> Vec<Stock> {
    let mut out = Vec::with_capacity(site.cohorts.len());
    for (c, tally) in roster.tallies().iter().enumerate() {
        let times = &site.cohorts[c].times;
        let longest = times.min_on.max(times.min_off);
        let today = tally.last_switch.day() == now.day();
        if now >= tally.last_switch + longest && !today {
            out.push(Stock { awake: tally.awake(), asleep: tally.asleep(), ..Stock::default() });
            continue;
        }
        let mut stock = Stock::default();
        let (from, to) = tally.range;
        for m in &roster.machines()[from.min(to) as usize..to as usize] {
            if usize::from(m.cohort) != c || !m.counted_on() {
                continue;
            }
            let slot = match (m.level > Level::SLEEP, locked(site, m, now)) {
                (true, true) => &mut stock.locked_on,
                (true, false) => &mut stock.awake,
                (false, false) => &mut stock.asleep,
                (false, true) => &mut stock.locked_off,
            };
            *slot += 1;
        }
        out.push(stock);
    }
    out
}

/// One thing that can be bought with power: some machines of a cohort, one step up, or from
/// sleep straight to the level they are wished at.
struct Lot {
    /// Its break-even, or the mean one of the steps it takes at once.
    value: Price,
    cohort: usize,
    from: Level,
    to: Level,
    machines: u32,
    starts: bool,
}

/// What is bought first. A machine that runs keeps its level before another one is woken, and
/// one that is woken goes to its level at once: a rise that a ramp spreads over minutes then
/// tells each machine once, not at every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    LockedOn,
    Keep,
    Wake,
    Raise,
    KeepBeyondWish,
    RaiseBeyondWish,
    WakeBeyondWish,
}

/// How many there are of [`Tier`].
const TIERS: usize = Tier::WakeBeyondWish as usize + 1;

/// What bounds an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Power of the machines counted on.
    pub budget: Power,
    /// Machines that may still be woken this hour.
    pub starts_left: u32,
    /// Whether a limit asks for more than economics wishes.
    pub beyond_wish: bool,
}

/// Fills a power of the machines by merit: what is locked on first, then what runs and is
/// wished, most valuable first, then what is to be woken, then raises, then, only where a limit
/// asks for it, the rest. Stops at the first lot that does not fit whole.
#[must_use]
pub fn allocate(
    stairs: &Staircase,
    roster: &Roster,
    stocks: &[Stock],
    wishes: &[Wish],
    bounds: Bounds,
) -> Vec<Shape> {
    let granted =
        if bounds.beyond_wish { None } else { granted(stairs, roster, stocks, wishes, bounds) };
    granted.unwrap_or_else(|| by_merit(stairs, roster, stocks, wishes, bounds))
}

/// The shapes that grant every wish whole, where power and starts last for that: nothing has to
/// be put in order then, which is most of the time. `None` where something may have to give, or
/// where a cohort's steps do not fall in value, so that their order decides.
fn granted(
    stairs: &Staircase,
    roster: &Roster,
    stocks: &[Stock],
    wishes: &[Wish],
    bounds: Bounds,
) -> Option<Vec<Shape>> {
    let mut left = bounds.budget - asleep_power(roster, stocks);
    let mut starts_left = bounds.starts_left;
    let mut shapes = Vec::with_capacity(stocks.len());
    for (c, (stock, wish)) in stocks.iter().zip(wishes).enumerate() {
        let at = &roster.tallies()[c].at;
        let mut shape = vec![0; at.len()];
        let awake = stock.locked_on + stock.awake;
        shape[0] = awake + stock.asleep + stock.locked_off;
        let (mut top, mut worth) = (Level::SLEEP, Price(i64::MAX));
        let asleep = roster.power(c, Level::SLEEP);
        let mut drawn = asleep;
        for seg in &stairs.by_cohort[c] {
            let rise = roster.power(c, seg.to) - drawn;
            if seg.from != top || seg.breakeven > worth || rise < Power::ZERO {
                return None;
            }
            (top, worth, drawn) = (seg.to, seg.breakeven, drawn + rise);
            let got = match seg.to <= wish.awake {
                false if seg.is_start() => stock.locked_on,
                false => break,
                true if seg.is_start() => awake,
                true if stock.reach.is_none_or(|most| seg.to <= most) => awake,
                true => at[seg.to.index()..].iter().sum::<u32>().min(awake),
            };
            shape[seg.from.index() + 1..=seg.to.index()].fill(got);
            left -= rise.times(i64::from(got));
        }
        if stock.asleep > 0 && wish.asleep > Level::SLEEP && top > Level::SLEEP {
            let rise = roster.power(c, wish.asleep) - asleep;
            if rise < Power::ZERO {
                return None;
            }
            starts_left = starts_left.checked_sub(stock.asleep)?;
            left -= rise.times(i64::from(stock.asleep));
            shape[1..=wish.asleep.index()].iter_mut().for_each(|slot| *slot += stock.asleep);
        }
        shapes.push(shape);
    }
    (left >= Power::ZERO).then_some(shapes)
}

/// The same lot by lot, in order of merit, until one does not fit.
fn by_merit(
    stairs: &Staircase,
    roster: &Roster,
    stocks: &[Stock],
    wishes: &[Wish],
    bounds: Bounds,
) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = roster.tallies().iter().map(|t| vec![0; t.at.len()]).collect();
    let mut left = bounds.budget - asleep_power(roster, stocks);
    for (c, s) in stocks.iter().enumerate() {
        shapes[c][0] = s.locked_on + s.awake + s.asleep + s.locked_off;
    }
    let mut starts_left = bounds.starts_left;
    for lot in lots(stairs, roster, stocks, wishes, bounds.beyond_wish) {
        let step = roster.power(lot.cohort, lot.to) - roster.power(lot.cohort, lot.from);
        let shape = &mut shapes[lot.cohort];
        let mut want = lot.machines;
        if lot.from > Level::SLEEP {
            let below = shape[lot.from.index()];
            want = below.saturating_sub(shape[lot.to.index()]).min(want);
        }
        if lot.starts {
            want = want.min(starts_left);
        }
        let got = if step.times(i64::from(want)) <= left {
            want
        } else {
            let fit = if step.0 > 0 { left.0.max(0) / step.0 } else { i64::from(want) };
            want.min(u32::try_from(fit).unwrap_or(u32::MAX))
        };
        // "At least this level" holds for every level on the way, those off the frontier too.
        for slot in &mut shape[lot.from.index() + 1..=lot.to.index()] {
            *slot += got;
        }
        left -= step.times(i64::from(got));
        if lot.starts {
            starts_left -= got;
        }
        if got < want {
            break;
        }
    }
    shapes
}

/// Power of all machines counted on if all of them slept.
#[must_use]
pub fn asleep_power(roster: &Roster, stocks: &[Stock]) -> Power {
    let all = |s: &Stock| i64::from(s.locked_on + s.awake + s.asleep + s.locked_off);
    stocks.iter().enumerate().map(|(c, s)| roster.power(c, Level::SLEEP).times(all(s))).sum()
}

/// What can be bought, in order; beyond what is wished only where that is asked for.
fn lots(
    stairs: &Staircase,
    roster: &Roster,
    stocks: &[Stock],
    wishes: &[Wish],
    beyond_wish: bool,
) -> impl Iterator<Item = Lot> {
    let mut tiers: [Vec<Lot>; TIERS] = Default::default();
    let asked = |tier| beyond_wish || tier < Tier::KeepBeyondWish;
    for seg in &stairs.segments {
        let (c, stock, wish) = (seg.cohort, stocks[seg.cohort], wishes[seg.cohort]);
        let mut push = |tier, machines| {
            if machines > 0 && asked(tier) {
                let (value, from, to) = (seg.breakeven, seg.from, seg.to);
                let lots = &mut tiers[tier as usize];
                if lots.is_empty() {
                    lots.reserve(stairs.segments.len());
                }
                lots.push(Lot { value, cohort: c, from, to, machines, starts: false });
            }
        };
        let wished = seg.to <= wish.awake;
        let awake = stock.locked_on + stock.awake;
        if seg.is_start() {
            push(Tier::LockedOn, stock.locked_on);
            push(if wished { Tier::Keep } else { Tier::KeepBeyondWish }, stock.awake);
        } else if awake > 0 && (wished || beyond_wish) {
            let here: u32 = roster.tallies()[c].at[seg.to.index()..].iter().sum();
            let here = here.min(awake);
            push(if wished { Tier::Keep } else { Tier::KeepBeyondWish }, here);
            let reached = stock.reach.is_none_or(|most| seg.to <= most);
            let more = if reached { awake - here } else { 0 };
            push(if wished { Tier::Raise } else { Tier::RaiseBeyondWish }, more);
        }
    }
    for (cohort, (stock, wish)) in stocks.iter().zip(wishes).enumerate() {
        let lot = wake_lot(stairs, cohort, stock, wish);
        if let Some((tier, lot)) = lot.filter(|(tier, _)| asked(*tier)) {
            tiers[tier as usize].push(lot);
        }
    }
    // The sort is stable: within a tier and a value the staircase's own order stands. What came
    // of the staircase is in order already, and a tier that is not reached is not sorted.
    tiers.into_iter().flat_map(|mut lots| {
        lots.sort_by_key(|l| -l.value.0);
        lots
    })
}

/// The sleeping machines of a cohort, woken straight to the level they are wished at, or to the
/// first one where only a limit wants them.
fn wake_lot(stairs: &Staircase, cohort: usize, stock: &Stock, wish: &Wish) -> Option<(Tier, Lot)> {
    if stock.asleep == 0 {
        return None;
    }
    let steps = || stairs.by_cohort[cohort].iter();
    let first = steps().find(|s| s.is_start())?.to;
    let wished = wish.asleep > Level::SLEEP;
    let to = if wished { wish.asleep } else { first };
    let (mut worth, mut power) = (0i128, 0i128);
    for s in steps().filter(|s| s.to <= to) {
        worth += i128::from(s.breakeven.0) * i128::from(s.power.0);
        power += i128::from(s.power.0);
    }
    let value = Price(to_i64(div_half_even(worth, power.max(1))));
    let tier = if wished { Tier::Wake } else { Tier::WakeBeyondWish };
    let (from, machines) = (Level::SLEEP, stock.asleep);
    Some((tier, Lot { value, cohort, from, to, machines, starts: true }))
}

/// Picks the machines: the least efficient go down first, then the longest running, then the
/// less reliable to restart last; the most efficient come up first. Ties go by id.
#[must_use]
pub fn pick(site: &Site, roster: &Roster, shapes: &[Shape], now: Time) -> Vec<Change> {
    let (mut downs, mut ups) = (Vec::new(), Vec::new());
    for (c, tally) in roster.tallies().iter().enumerate() {
        if !is_exact(&shapes[c], &tally.at) {
            pick_cohort(site, roster, c, exact(&shapes[c]), now, &mut downs, &mut ups);
        }
    }
    downs.extend(ups);
    downs
}

/// Whether "at least this level" is "exactly this level" already.
fn is_exact(shape: &Shape, at: &[u32]) -> bool {
    let mut above = 0;
    shape.iter().zip(at).rev().all(|(least, have)| {
        let here = (*least).max(above);
        let same = here - above == *have;
        above = here;
        same
    })
}

/// From "at least this level" to "exactly this level".
fn exact(shape: &Shape) -> Vec<u32> {
    let mut exact = shape.clone();
    // Levels off the frontier have no machines: what is above one is not below it either.
    let mut above = 0;
    for slot in exact.iter_mut().rev() {
        let here = (*slot).max(above);
        *slot = here - above;
        above = here;
    }
    exact
}

fn pick_cohort(
    site: &Site,
    roster: &Roster,
    cohort: usize,
    mut want: Vec<u32>,
    now: Time,
    downs: &mut Vec<Change>,
    ups: &mut Vec<Change>,
) {
    let (from, to) = roster.tallies()[cohort].range;
    let (mut awake, mut asleep) = (Vec::new(), Vec::new());
    for id in from..to {
        let m = &roster.machines()[id as usize];
        if usize::from(m.cohort) == cohort && m.counted_on() {
            if m.level > Level::SLEEP { awake.push(id) } else { asleep.push(id) }
        }
    }
    let machine = |id: u32| &roster.machines()[id as usize];
    let stay = want[1..].iter().sum::<u32>() as usize;
    if awake.len() > stay {
        let leave = awake.len() - stay;
        let key = |id: &u32| {
            let m = machine(*id);
            let free = !locked(site, m, now);
            (Reverse(free), Reverse(m.excess_ppm), m.switched_at, m.failures, *id)
        };
        first_by(&mut awake, leave, key);
        for id in awake.drain(..leave) {
            downs.push(Change { machine: MachineId(id), level: Level::SLEEP });
        }
    } else if awake.len() < stay {
        asleep.retain(|id| !locked(site, machine(*id), now));
        let come = (stay - awake.len()).min(asleep.len());
        let key = |id: &u32| {
            let m = machine(*id);
            (m.excess_ppm, m.failures, m.switched_at, *id)
        };
        first_by(&mut asleep, come, key);
        awake.extend(asleep.drain(..come));
    }
    set_levels(roster, &mut want, awake, downs, ups);
}

/// Moves the `n` first by key to the front, in order, without sorting the rest.
fn first_by<K: Ord>(ids: &mut [u32], n: usize, key: impl Fn(&u32) -> K) {
    if n > 0 && n < ids.len() {
        ids.select_nth_unstable_by_key(n - 1, &key);
    }
    ids[..n].sort_by_key(&key);
}

/// Gives working machines their levels, leaving as many as possible where they are.
fn set_levels(
    roster: &Roster,
    want: &mut [u32],
    mut awake: Vec<u32>,
    downs: &mut Vec<Change>,
    ups: &mut Vec<Change>,
) {
    let machine = |id: u32| &roster.machines()[id as usize];
    awake.retain(|id| {
        let level = machine(*id).level;
        let keeps = level > Level::SLEEP && want[level.index()] > 0;
        if keeps {
            want[level.index()] -= 1;
        }
        !keeps
    });
    // The most efficient of those that move take the highest levels.
    awake.sort_by_key(|id| (machine(*id).excess_ppm, *id));
    let mut level = want.len() - 1;
    for id in awake {
        while level > 0 && want[level] == 0 {
            level -= 1;
        }
        if level == 0 {
            break;
        }
        want[level] -= 1;
        let to = Level(u8::try_from(level).expect("a curve has at most LEVELS_MAX levels"));
        let change = Change { machine: MachineId(id), level: to };
        if to < machine(id).level { downs.push(change) } else { ups.push(change) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::CohortId;
    use crate::testing::{cohort, s19k_curve, site};
    use proptest::prelude::*;

    const COHORTS: usize = 3;
    const MACHINES: usize = 12;

    /// Three cohorts of four machines: by hash price, of one worth, and by a strike.
    fn mixed(hashprice: i64) -> (Site, Staircase) {
        let mut site = site(MACHINES);
        let named = |name: &str| {
            let mut c = cohort();
            (c.name, c.curve) = (name.into(), s19k_curve());
            c
        };
        site.cohorts = vec![named("a"), named("b"), named("c")];
        site.cohorts[1].value = Some(Price(70_000_000));
        site.cohorts[2].strike = Some(Price(80_000_000));
        for (i, m) in site.machines.iter_mut().enumerate() {
            m.cohort = CohortId(u16::try_from(i % COHORTS).unwrap());
        }
        site.value = crate::site::Value::Hashprice {
            pool_fee_ppm: 0,
            stale_after: crate::time::Span::hours(36),
            stale_discount_ppm: 0,
        };
        let stairs = Staircase::of(&site, Some(crate::units::Money(hashprice))).unwrap();
        (site, stairs)
    }

    fn stock(roster: &Roster, c: usize, locked: [u32; 2], reach: Option<u8>) -> Stock {
        let (awake, asleep) = (roster.tallies()[c].awake(), roster.tallies()[c].asleep());
        let (on, off) = (locked[0].min(awake), locked[1].min(asleep));
        Stock {
            locked_on: on,
            awake: awake - on,
            asleep: asleep - off,
            locked_off: off,
            reach: reach.map(Level),
        }
    }

    proptest! {
        /// Granting every wish at once is what buying lot by lot comes to, wherever it is done;
        /// and where power and starts abound and steps fall in value, it is done.
        #[test]
        fn granted_at_once_is_what_lot_by_lot_comes_to(
            hashprice in prop_oneof![1_000_000i64..80_000_000, -9_000_000i64..0],
            levels in proptest::collection::vec(0u8..5, MACHINES),
            wished in proptest::collection::vec((0u8..5, 0u8..5), COHORTS),
            locked in proptest::collection::vec(proptest::array::uniform2(0u32..4), COHORTS),
            reach in proptest::collection::vec(proptest::option::of(0u8..5), COHORTS),
            budget in 0i64..50_000, starts_left in 0u32..14,
        ) {
            let (site, stairs) = mixed(hashprice);
            let mut roster = Roster::new(&site, &Roster::default(), &|_| None);
            let changes: Vec<Change> = (0..).zip(&levels)
                .map(|(id, l)| Change { machine: MachineId(id), level: Level(*l) })
                .collect();
            roster.tell(Time::from_seconds(1_700_000_000), 1, &changes);
            let stocks: Vec<Stock> =
                (0..COHORTS).map(|c| stock(&roster, c, locked[c], reach[c])).collect();
            let wish = |(awake, asleep): &(u8, u8)| Wish {
                awake: Level(*awake),
                asleep: Level(*asleep),
            };
            let wishes: Vec<Wish> = wished.iter().map(wish).collect();
            for (budget, starts_left) in [(Power(budget), starts_left), (Power(1 << 40), 99)] {
                let bounds = Bounds { budget, starts_left, beyond_wish: false };
                let merit = by_merit(&stairs, &roster, &stocks, &wishes, bounds);
                let at_once = granted(&stairs, &roster, &stocks, &wishes, bounds);
                if budget.0 == 1 << 40 && hashprice > 0 {
                    prop_assert!(at_once.is_some());
                }
                prop_assert!(at_once.is_none_or(|shapes| shapes == merit));
            }
        }
    }
}
