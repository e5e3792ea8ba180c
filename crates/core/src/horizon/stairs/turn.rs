//! Plans members in turns, each with the others as they are, within every row.

use super::group::Group;
use super::{Power, Price, Row, Site, SitePlan, StairsError};
use crate::horizon::exact::{NEVER, Origin, Plan, Planner};
use crate::horizon::unit::StateId;
use crate::time::Time;
use crate::units::Money;

/// The members of a site of one or two.
const PAIR: [usize; 2] = [0, 1];
/// Turns after which members are left as they are.
const TURNS_MAX: usize = 8;

/// The room a member has while the others stay: watts by step.
struct Room {
    most: Vec<i64>,
    least: Vec<i64>,
    /// Most rise and fall of the member itself, into each step.
    rise: Vec<i64>,
    fall: Vec<i64>,
}

const FREE: i64 = i64::MAX / 4;

impl Site<'_, '_> {
    /// A plan within the rows: first every unit in order of what it gains, at the rows' prices,
    /// then each again at its own gains until none gains more.
    pub(super) fn turns(&mut self, prices: &[Price]) -> Result<SitePlan, StairsError> {
        let none = vec![Price::ZERO; self.steps];
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        let gain = |n: &usize| {
            let m = &self.members[*n];
            m.gains.iter().map(|g| i128::from(g.0)).sum::<i128>()
        };
        order.sort_by_key(|n| (std::cmp::Reverse(gain(n)), *n));
        let quotas = !self.rows.quotas.is_empty();
        let price = if quotas { prices } else { &none };
        let mut stairs = vec![0; self.steps];
        let whole = order.len() <= 2 && Group::with_stairs(self);
        let whole = whole.then(|| Group::new(self, PAIR, vec![0; self.steps], price)).flatten();
        let mut units = match whole {
            // All there is in one group: exact, and no plan is none.
            Some(group) => {
                let plans = group.plan().map_err(|(row, t)| self.no_way(row, t))?;
                plans.into_iter().take(order.len()).map(Some).collect()
            }
            None => self.one_by_one(&order, prices)?,
        };
        let mut last = None;
        for _ in 0..TURNS_MAX {
            stairs = self.fill(&units, price).unwrap_or(stairs);
            let failed = !self.improve(&mut units, &stairs, price);
            let profit = self.earned(&units, &stairs);
            if !failed && last == Some(profit) {
                break;
            }
            last = (!failed).then_some(profit);
        }
        let stairs = self.fill(&units, price)?;
        self.verify(&units, &stairs)?;
        let profit = self.earned(&units, &stairs);
        Ok(SitePlan {
            units: self.priced(units),
            stairs: stairs.into_iter().map(Power).collect(),
            profit,
            bound: profit,
            prices: prices.to_vec(),
        })
    }

    /// Each unit beside those planned before it, held to the limit of power alone.
    fn one_by_one(
        &self,
        order: &[usize],
        prices: &[Price],
    ) -> Result<Vec<Option<Plan>>, StairsError> {
        let mut units: Vec<Option<Plan>> = vec![None; self.members.len()];
        let stairs = vec![0; self.steps];
        for n in order {
            let plan = self.turn(*n, &units, &stairs, prices, false);
            // Where it finds no place among the others it stays where it is best off alone.
            units[*n] = Some(match plan {
                Ok(plan) => plan,
                Err(_) => self.turn(*n, &[], &stairs, prices, false)?,
            });
        }
        Ok(units)
    }

    /// Plans units again, two at a time or, where that is too much, one; whether each found a
    /// plan within the rows.
    fn improve(&self, units: &mut [Option<Plan>], stairs: &[i64], price: &[Price]) -> bool {
        let n = self.members.len();
        let pairs = (0..n).flat_map(|a| (a + 1..n.max(2)).map(move |b| [a, b]));
        let pairs: Vec<[usize; 2]> = pairs.collect();
        let mut fine = true;
        for pair in &pairs {
            let mut others = self.units_power(units, pair);
            if !Group::with_stairs(self) {
                others.iter_mut().zip(stairs).for_each(|(sum, p)| *sum += p);
            }
            match Group::new(self, *pair, others, price).map(|group| group.plan()) {
                Some(Ok(plans)) => {
                    for (at, plan) in pair.iter().zip(plans) {
                        units.get_mut(*at).into_iter().for_each(|u| *u = Some(plan.clone()));
                    }
                }
                Some(Err(_)) => fine = false,
                None => {
                    for at in pair.iter().filter(|at| **at < n) {
                        match self.turn(*at, units, stairs, price, true) {
                            Ok(plan) => units[*at] = Some(plan),
                            Err(_) => fine = false,
                        }
                    }
                }
            }
        }
        fine
    }

    /// Each unit's plan with the profit it has at its own gains.
    fn priced(&self, units: Vec<Option<Plan>>) -> Vec<Plan> {
        let each = units.into_iter().flatten().zip(self.members.iter());
        each.map(|(plan, m)| Plan { profit: worth(m.planner, m.gains, &plan), ..plan }).collect()
    }

    fn earned(&self, units: &[Option<Plan>], stairs: &[i64]) -> Money {
        let each = units.iter().flatten().zip(self.members.iter());
        let units: Money = each.map(|(plan, m)| worth(m.planner, m.gains, plan)).sum();
        let stairs: Money = (0..self.steps).map(|t| self.merit(t, stairs[t], Price::ZERO)).sum();
        units + stairs
    }

    /// What a power of the stairs earns in a step less a price, the best first.
    pub(super) fn merit(&self, t: usize, mut power: i64, price: Price) -> Money {
        let mut sum = Money::ZERO;
        for stair in self.by_merit(t) {
            let part = power.min(self.stairs[stair].power.0);
            sum += (self.stairs[stair].gains[t] - price).of(Power(part).over(self.step));
            power -= part;
        }
        sum
    }

    /// Power of the stairs that gain in a step at a price.
    pub(super) fn wish(&self, t: usize, price: Price) -> i64 {
        self.stairs.iter().filter(|s| s.gains[t] > price).map(|s| s.power.0).sum()
    }

    /// Power of all units by step.
    pub(super) fn powers_of(&self, units: &[Plan]) -> Vec<i64> {
        let mut sum = vec![0; self.steps];
        for (plan, member) in units.iter().zip(self.members.iter()) {
            let powers = plan.powers(member.planner.lattice());
            sum.iter_mut().zip(powers).for_each(|(sum, p)| *sum += p.0);
        }
        sum
    }

    pub(super) fn by_merit(&self, t: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.stairs.len()).collect();
        order.sort_by_key(|n| (std::cmp::Reverse(self.stairs[*n].gains[t]), *n));
        order
    }

    fn units_power(&self, units: &[Option<Plan>], but: &[usize]) -> Vec<i64> {
        let mut sum = vec![0; self.steps];
        for (n, (plan, member)) in units.iter().zip(self.members.iter()).enumerate() {
            if let Some(plan) = plan.as_ref().filter(|_| !but.contains(&n)) {
                let powers = plan.powers(member.planner.lattice());
                sum.iter_mut().zip(powers).for_each(|(sum, p)| *sum += p.0);
            }
        }
        sum
    }

    /// Power of the stairs beside the units: what gains, as far as the rows let it.
    fn fill(&self, units: &[Option<Plan>], price: &[Price]) -> Result<Vec<i64>, StairsError> {
        let fixed = self.units_power(units, &[]);
        let cap: i64 = self.stairs.iter().map(|s| s.power.0).sum();
        let (rise, fall) =
            (self.rows.rise.map_or(FREE, |r| r.0), self.rows.fall.map_or(FREE, |r| r.0));
        // The sums from which every later step can still be reached.
        let mut tube = vec![(0, 0); self.steps];
        let (mut low, mut high) = (0, FREE);
        for t in (0..self.steps).rev() {
            low = (low - rise).max(self.least(t)).max(fixed[t]);
            high = high.saturating_add(fall).min(self.most(t)).min(fixed[t] + cap);
            if low > high {
                return Err(self.no_way(self.culprit(t, fixed[t], cap), t));
            }
            tube[t] = (low, high);
        }
        let mut before = self.rows.before.0;
        let mut stairs = Vec::with_capacity(self.steps);
        for t in 0..self.steps {
            let (low, high) = (tube[t].0.max(before - fall), tube[t].1.min(before + rise));
            if low > high {
                return Err(self.no_way(Row::Ramp, t));
            }
            let wish = self.wish(t, price[t]);
            before = (fixed[t] + wish).clamp(low, high);
            stairs.push(before - fixed[t]);
        }
        Ok(stairs)
    }

    /// The row that is in the way of a step in which the units draw so much.
    fn culprit(&self, t: usize, fixed: i64, cap: i64) -> Row {
        if self.most(t) < fixed.max(self.least(t)) {
            Row::Most(Power(self.most(t)))
        } else if self.least(t) > fixed + cap {
            Row::Least(Power(self.least(t)))
        } else {
            Row::Ramp
        }
    }

    fn room(&self, n: usize, units: &[Option<Plan>], stairs: &[i64], all: bool) -> Room {
        let mut others = self.units_power(units, &[n]);
        others.iter_mut().zip(stairs).for_each(|(sum, p)| *sum += p);
        let steps = 0..self.steps;
        let turned = |limit: Option<Power>, sign: i64| -> Vec<i64> {
            // What went before the first step, the member's own power in it, is one sum.
            let before = |t: usize| t.checked_sub(1).map_or(self.rows.before.0, |b| others[b]);
            let change = |t: usize| others[t] - before(t);
            let free = |r: Power, t: usize| r.0 - sign * change(t);
            (0..self.steps).map(|t| limit.map_or(FREE, |r| free(r, t))).collect()
        };
        Room {
            most: steps.clone().map(|t| self.most(t) - others[t]).collect(),
            least: steps.map(|t| if all { self.least(t) - others[t] } else { 0 }).collect(),
            rise: turned(self.rows.rise.filter(|_| all), 1),
            fall: turned(self.rows.fall.filter(|_| all), -1),
        }
    }

    /// The best plan of one unit beside the others. `all` holds it to every row; else only to
    /// the limit, while others are still to come.
    fn turn(
        &self,
        n: usize,
        units: &[Option<Plan>],
        stairs: &[i64],
        prices: &[Price],
        all: bool,
    ) -> Result<Plan, StairsError> {
        let member = &self.members[n];
        let room = self.room(n, units, stairs, all);
        let gains: Vec<Price> = member.gains.iter().zip(prices).map(|(g, p)| *g - *p).collect();
        let begin = self.begin;
        let narrow = Narrow { planner: &*member.planner, gains: &gains, room: &room, begin };
        narrow.plan(member.from).map_err(|(row, t)| match row {
            Row::Most(_) => self.no_way(Row::Most(Power(self.most(t))), t),
            Row::Least(_) => self.no_way(Row::Least(Power(self.least(t))), t),
            other => self.no_way(other, t),
        })
    }

    /// Refuses a plan that breaks a row; what is planned in turns is checked as a whole.
    fn verify(&self, units: &[Option<Plan>], stairs: &[i64]) -> Result<(), StairsError> {
        let units = self.units_power(units, &[]);
        let mut before = self.rows.before.0;
        for t in 0..self.steps {
            let sum = units[t] + stairs[t];
            if sum > self.most(t) {
                return Err(self.no_way(Row::Most(Power(self.most(t))), t));
            }
            if sum < self.least(t) {
                return Err(self.no_way(Row::Least(Power(self.least(t))), t));
            }
            let over = |limit: Option<Power>, by: i64| limit.is_some_and(|r| by > r.0);
            if over(self.rows.rise, sum - before) || over(self.rows.fall, before - sum) {
                return Err(self.no_way(Row::Ramp, t));
            }
            before = sum;
        }
        Ok(())
    }
}

fn worth(planner: &Planner, gains: &[Price], plan: &Plan) -> Money {
    let lattice = planner.lattice();
    let energy = plan.states.iter().zip(gains).map(|(s, g)| g.of(lattice.energy(*s)));
    energy.sum::<Money>() - planner.start_cost().times(i64::from(plan.starts))
}

/// One unit in the room the others leave: a plain dynamic program over its moves, since how far
/// it may rise and fall differs from step to step.
struct Narrow<'n> {
    planner: &'n Planner,
    gains: &'n [Price],
    room: &'n Room,
    begin: Time,
}

/// A state, and the starts of its day.
type Spot = (StateId, usize);

impl Narrow<'_> {
    fn plan(&self, from: Origin) -> Result<Plan, (Row, usize)> {
        let Origin::At { state, starts } = from else {
            unreachable!("a site's units begin in a state that is known")
        };
        let first = (state, usize::from(starts).min(self.planner.layers() - 1));
        let values = self.values();
        let size = self.size();
        if values[self.index(first)] <= NEVER / 2 {
            return Err(self.blocked(first));
        }
        let mut plan = Plan { profit: Money::ZERO, origin: state, states: Vec::new(), starts: 0 };
        let mut spot = first;
        for t in 0..self.gains.len() {
            let next = &values[(t + 1) * size..][..size];
            let mut best = (i64::MIN, spot, false);
            for (to, started, pay) in self.moves(t, spot) {
                let value = next[self.index(to)].saturating_add(pay);
                if value > best.0 {
                    best = (value, to, started);
                }
            }
            spot = best.1;
            plan.starts += u32::from(best.2);
            plan.states.push(spot.0);
        }
        plan.profit = Money(values[self.index(first)]);
        Ok(plan)
    }

    fn size(&self) -> usize {
        self.planner.layers() * self.planner.lattice().states()
    }

    fn index(&self, (state, starts): Spot) -> usize {
        starts * self.planner.lattice().states() + state.index()
    }

    fn spots(&self) -> impl Iterator<Item = Spot> + use<'_> {
        let states = u16::try_from(self.planner.lattice().states()).expect("it fits 16 bits");
        (0..self.planner.layers()).flat_map(move |k| (0..states).map(move |s| (StateId(s), k)))
    }

    /// The value of each spot before each step and after the last.
    fn values(&self) -> Vec<i64> {
        let (size, steps) = (self.size(), self.gains.len());
        let mut values = vec![0i64; (steps + 1) * size];
        for t in (0..steps).rev() {
            let (here, next) = values[t * size..][..2 * size].split_at_mut(size);
            for (spot, value) in self.spots().zip(here) {
                let each = self.moves(t, spot);
                let worth = each.map(|(to, _, pay)| next[self.index(to)].saturating_add(pay));
                *value = worth.max().unwrap_or(NEVER).max(NEVER);
            }
        }
        values
    }

    /// Moves within the room, and what they pay.
    fn moves(&self, t: usize, spot: Spot) -> impl Iterator<Item = (Spot, bool, i64)> + use<'_> {
        let inside = move |from: i64, to: i64| {
            (self.room.least[t]..=self.room.most[t]).contains(&to)
                && to - from <= self.room.rise[t]
                && from - to <= self.room.fall[t]
        };
        self.steps(t, spot).filter(move |m| inside(m.0, m.1)).map(move |(_, _, to, started)| {
            let pay = self.gains[t].of(self.planner.lattice().energy(to.0));
            let cost = if started { self.planner.start_cost() } else { Money::ZERO };
            (to, started, (pay - cost).0)
        })
    }

    /// All moves the unit itself can make, with the powers before and in the step.
    fn steps(
        &self,
        t: usize,
        spot: Spot,
    ) -> impl Iterator<Item = (i64, i64, Spot, bool)> + use<'_> {
        let lattice = self.planner.lattice();
        // The power before the first step is in the room already.
        let from = if t == 0 { 0 } else { lattice.power(spot.0).0 };
        let made = if self.planner.begins_day(self.begin, t) { 0 } else { spot.1 };
        let counts = self.planner.counts_starts();
        lattice.moves(spot.0).filter_map(move |(to, started)| {
            let starts = made + usize::from(started && counts);
            let allowed = starts < self.planner.layers();
            allowed.then(|| (from, lattice.power(to).0, (to, starts), started))
        })
    }

    /// The first step that cannot be reached, and the row in its way.
    fn blocked(&self, first: Spot) -> (Row, usize) {
        let mut here = vec![first];
        for t in 0..self.gains.len() {
            let mut next: Vec<Spot> =
                here.iter().flat_map(|s| self.moves(t, *s)).map(|m| m.0).collect();
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                let all = || here.iter().flat_map(|s| self.steps(t, *s));
                let ramp =
                    |f: i64, to: i64| to - f <= self.room.rise[t] && f - to <= self.room.fall[t];
                let row = if all().any(|m| m.1 >= self.room.least[t] && ramp(m.0, m.1)) {
                    Row::Most(Power::ZERO)
                } else if all().any(|m| m.1 <= self.room.most[t] && ramp(m.0, m.1)) {
                    Row::Least(Power::ZERO)
                } else {
                    Row::Ramp
                };
                return (row, t);
            }
            here = next;
        }
        unreachable!("a unit that reaches its last step has a value")
    }
}
