//! One decision: economics proposes, the ladder narrows, the plan picks machines.

use super::Engine;
use super::ahead::{self, Ahead, AtPrice};
use super::deadline::Call;
use super::view::Loss;
use crate::bounds::Fold;
use crate::choose::{Bounds, Shape, Stock, Wish, allocate, asleep_power, pick, stocks};
use crate::event::AutomationMode;
use crate::fleet::Level;
use crate::limits::{CONTROL_STEP, SETPOINTS_KEPT_MAX};
use crate::market::Expected;
use crate::merit::{Segment, highest};
use crate::plan::{Change, DispatchPlan};
use crate::policy::{Marginal, wishes};
use crate::reason::{Alarm, Band, Decision, Narrowing, NextChange, Rung};
use crate::roster::Tally;
use crate::site::{Cohort, PolicyRule, Ramp, Site};
use crate::time::{Span, Time};
use crate::units::{Power, Price};
use std::sync::Arc;

/// How long a plan may still be put on a wire.
const PLAN_LEASE: Span = Span::minutes(2);
/// With no ramp configured, lost prices bring power down over this long: nothing jumps.
const LOSS_RAMP: Span = Span::minutes(5);

/// What economics proposes.
struct Proposal {
    /// Nothing to go by: machines stay as they are unless a limit asks for less.
    stay: bool,
    preferred: Power,
    wishes: Vec<Wish>,
    text: String,
    /// What looking ahead came to, by cohort; empty under another rule.
    aheads: Vec<Option<Ahead>>,
}

impl Engine {
    /// Decides by the price to expect, and how the loss of prices is lived with.
    pub(super) fn decide(
        &mut self,
        now: Time,
        (expected, loss): (Option<Expected>, Loss),
        step: &mut super::Step,
    ) {
        let Some(site) = self.site.clone() else { return };
        if self.mode.0 == AutomationMode::Off {
            return;
        }
        self.expire_hold(now);
        self.refresh_stairs(now);
        let marginal = expected.map(|e| Marginal::of(&site, e.price, now));
        self.priced = marginal.map(|m| m.above);
        self.settling = expected.map(|e| e.price);
        let mut stocks = stocks(&site, &self.roster, now);
        self.reaches(now, &mut stocks);
        let present = self.setpoint.or_else(|| self.measured_import());
        let present = present.unwrap_or_else(|| site.overhead.meter(self.roster.planned()));
        self.setpoint.get_or_insert(present);
        let aheads = self.aheads(&site, marginal, now);
        let proposal = self.propose(&site, &stocks, marginal, present, aheads, now);
        let call = self.call(&site, now);
        let fold = self.fold(&site, &stocks, now, present, (loss, call.as_ref()));
        let (target, ladder) = fold.finish(proposal.preferred);
        self.alarm_overridden(&site, &ladder, now, step);
        let changes = self.changes(&site, &stocks, &proposal, target, (call.as_ref(), now));
        call.as_ref().inspect(|call| self.look_again(now, call, changes.len()));
        let (downs, ups) = self.directions(&changes);
        let plan = (self.acts() && !changes.is_empty()).then(|| self.plan(now, changes));
        let decision = Decision {
            cause: self.seq,
            at: now,
            mode: self.mode.0,
            expected,
            breakeven: self.lowest_in_use(),
            preferred: proposal.preferred,
            wish: proposal.text,
            ladder,
            target,
            planned: site.overhead.meter(self.roster.planned()),
            measured: self.measured_import(),
            generation: plan.as_ref().map(|p| p.generation),
            changes: (downs, ups),
            next: self.next_change(&site, &proposal.aheads),
        };
        self.ask_again = ahead::ask_again_at(&proposal.aheads);
        self.remember(now, target);
        step.plan = plan;
        step.switches.extend(call.map(Call::switches).into_iter().flatten());
        if self.last.as_ref().is_none_or(|last| differs(last, &decision)) {
            step.decision = Some(decision.clone());
        }
        self.last = Some(decision);
    }

    fn expire_hold(&mut self, now: Time) {
        if self.hold.as_ref().and_then(|h| h.until).is_some_and(|t| t <= now) {
            self.hold = None;
        }
    }

    /// What looking ahead advises above and below the contract blocks.
    fn aheads(
        &mut self,
        site: &Site,
        marginal: Option<Marginal>,
        now: Time,
    ) -> [Vec<Option<Ahead>>; 2] {
        let Some(m) = marginal else { return [Vec::new(), Vec::new()] };
        let mut at = |price| self.look_ahead(site, AtPrice { price, over: price - m.market, now });
        let above = at(m.above);
        let below = if m.block > Power::ZERO { at(m.below) } else { Vec::new() };
        [above, below]
    }

    fn propose(
        &self,
        site: &Arc<Site>,
        stocks: &[Stock],
        marginal: Option<Marginal>,
        present: Power,
        aheads: [Vec<Option<Ahead>>; 2],
        now: Time,
    ) -> Proposal {
        let needs_value = matches!(site.policy.rule, PolicyRule::Breakeven | PolicyRule::LookAhead);
        let needs_price = site.policy.rule != PolicyRule::AlwaysOn;
        if (needs_price && marginal.is_none()) || (needs_value && self.stairs.is_none()) {
            let what = if marginal.is_none() { "price" } else { "value of the work" };
            let all = site.cohorts.iter().map(|c| Wish { awake: top(c), asleep: Level::SLEEP });
            let mut wishes: Vec<Wish> = all.collect();
            self.within_reach(now, &mut wishes);
            let text = format!("the {what} is unknown: stay at {present}");
            let aheads = Vec::new();
            return Proposal { stay: true, preferred: present, wishes, text, aheads };
        }
        let m = marginal.unwrap_or(Marginal {
            market: Price::ZERO,
            above: Price::ZERO,
            below: Price::ZERO,
            block: Power::ZERO,
        });
        let at = |price, aheads: Vec<Option<Ahead>>| {
            let mut w = wishes(site, self.stairs.as_ref(), &self.regrets, price);
            for (w, ahead) in w.iter_mut().zip(&aheads) {
                *w = ahead.as_ref().map_or(*w, |a| a.wish);
            }
            self.within_reach(now, &mut w);
            (self.import_of(site, stocks, &w), w, aheads)
        };
        let [above, below] = aheads;
        let above = at(m.above, above);
        let (mut preferred, mut chosen) = (above.0, above);
        if m.block > Power::ZERO {
            let below = at(m.below, below);
            let in_block = below.0.min(m.block);
            if preferred < in_block {
                (preferred, chosen) = (in_block, below);
            }
        }
        let (_, wishes, aheads) = chosen;
        let text = self.wish_text(site, m, &aheads);
        Proposal { stay: false, preferred, wishes, text, aheads }
    }

    fn wish_text(&self, site: &Site, m: Marginal, aheads: &[Option<Ahead>]) -> String {
        match site.policy.rule {
            PolicyRule::AlwaysOn => String::from("always on"),
            PolicyRule::FixedStrike(strike) if m.above < strike => {
                format!("{} with adders is below the strike of {strike}", m.above)
            }
            PolicyRule::FixedStrike(strike) => {
                format!("{} with adders is at or above the strike of {strike}", m.above)
            }
            PolicyRule::LookAhead => ahead::text(site, aheads),
            PolicyRule::Breakeven => {
                let segments = self.stairs.as_ref().map_or(&[][..], |s| &s.segments);
                // The most valuable come first.
                let worth = segments.partition_point(|s| s.breakeven > m.above);
                format!(
                    "{worth} of {} steps of the staircase are worth more than {} with adders",
                    segments.len(),
                    m.above,
                )
            }
        }
    }

    /// Import if every wish were granted.
    fn import_of(&self, site: &Site, stocks: &[Stock], wishes: &[Wish]) -> Power {
        let mut sum = self.roster.lost_power();
        for (c, (s, w)) in stocks.iter().zip(wishes).enumerate() {
            let awake = i64::from(s.locked_on + s.awake);
            let asleep = i64::from(s.asleep + s.locked_off);
            sum += self.roster.power(c, w.awake).times(awake);
            sum += self.roster.power(c, w.asleep).times(asleep);
        }
        site.overhead.meter(sum)
    }

    fn fold(
        &self,
        site: &Site,
        stocks: &[Stock],
        now: Time,
        present: Power,
        (loss, call): (Loss, Option<&Call>),
    ) -> Fold {
        let since = self.ramp_span(now);
        let mut fold = self.physical(site, stocks, now);
        if let Some(ramp) = site.limits.ramp_up {
            let ceiling = present + ramp.within(since);
            fold.narrow(Rung::RampUp, None, Some(ceiling), || {
                format!("at most {} up in {} from {present}", ramp.power, ramp.per)
            });
        }
        if let Some(why) = self.no_raise(site, now) {
            fold.narrow(Rung::Safety, None, Some(present), || why);
        }
        if let Some(said) = &self.stop {
            fold.narrow(Rung::OperatorStop, None, Some(Power::ZERO), || format!("stop, {said}"));
        }
        if let Some(ramp) = site.limits.ramp_down {
            let floor = present - ramp.within(since);
            fold.narrow(Rung::RampDown, Some(floor), None, || {
                format!("at most {} down in {} from {present}", ramp.power, ramp.per)
            });
        }
        if let Some(ramp) = site.limits.step {
            let (low, high) = self.past_setpoints(now, ramp, present);
            let floor = (high - ramp.power).min(low + ramp.power);
            fold.narrow(Rung::Step, Some(floor), Some(low + ramp.power), || {
                format!("at most {} within {} for one signal", ramp.power, ramp.per)
            });
        }
        let import = site.limits.import;
        fold.narrow(Rung::SiteImport, None, Some(import), || {
            format!("the connection carries {import}")
        });
        if let Some((aim, text)) = call.map(Call::ceiling) {
            fold.narrow(Rung::Obligation, None, Some(aim), || text.to_owned());
        }
        self.fold_policy(site, stocks, now, present, loss, since, &mut fold);
        fold
    }

    /// The time a ramp may be used for now: one control step at a time, never saved up, and
    /// nothing between two steps, however many events there are.
    fn ramp_span(&self, now: Time) -> Span {
        let due = self.decided_at.is_none_or(|t| now.since(t) >= CONTROL_STEP);
        if due { CONTROL_STEP } else { Span::ZERO }
    }

    fn physical(&self, site: &Site, stocks: &[Stock], now: Time) -> Fold {
        let lost = self.roster.lost_power();
        let floor = site.overhead.meter(lost + asleep_power(&self.roster, stocks));
        let mut top: Vec<Wish> = site
            .cohorts
            .iter()
            .map(|c| Wish { awake: c.curve.top(), asleep: c.curve.top() })
            .collect();
        self.within_reach(now, &mut top);
        let ceiling = self.import_of(site, stocks, &top);
        let counted: u32 =
            stocks.iter().map(|s| s.locked_on + s.awake + s.asleep + s.locked_off).sum();
        let lost_count: u32 = self.roster.tallies().iter().map(|t| t.lost).sum();
        Fold::physical(
            Band { floor, ceiling: ceiling.max(floor) },
            format!("{counted} machines answer, {lost_count} are counted as drawing {lost}"),
        )
    }

    /// Why power may not be raised, when something has gone silent.
    fn no_raise(&self, site: &Site, now: Time) -> Option<String> {
        if let Some(i) = (0..site.drivers.len()).find(|i| self.driver_lost(site, *i, now)) {
            return Some(format!("driver `{}` is silent: no raise", site.drivers[i].name));
        }
        let i = (0..site.meters.len()).find(|i| self.meter_lost(site, *i, now))?;
        Some(format!("meter `{}` is silent: no raise", site.meters[i].name))
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn fold_policy(
        &self,
        site: &Site,
        stocks: &[Stock],
        now: Time,
        present: Power,
        loss: Loss,
        since: Span,
        fold: &mut Fold,
    ) {
        if self.mode.0 == AutomationMode::Hold {
            fold.narrow(Rung::OperatorHold, Some(present), Some(present), || {
                String::from("automation holds what is")
            });
        } else if let Some(h) = &self.hold {
            fold.narrow(Rung::OperatorHold, Some(h.power), Some(h.power), || {
                format!("held, {}", h.said)
            });
        }
        let ramp = site.limits.ramp_down;
        let ramp = ramp.unwrap_or(Ramp { power: site.limits.import, per: LOSS_RAMP });
        match loss {
            Loss::None => {}
            Loss::Holding { since } => {
                fold.narrow(Rung::PriceLoss, None, Some(present), || {
                    format!("no real-time price since {since}: hold, never up")
                });
            }
            Loss::ByDayAhead { since } => {
                fold.narrow(Rung::PriceLoss, None, Some(present), || {
                    format!("no real-time price since {since}: by the day-ahead curve, never up")
                });
            }
            Loss::Otherwise { since: lost } => {
                let level = site.failsafe.dispatch_price.otherwise.min(present);
                let ceiling = level.max(present - ramp.within(since));
                fold.narrow(Rung::PriceLoss, None, Some(ceiling), || {
                    format!("no price at all since {lost}: down to {level}")
                });
            }
        }
        self.fold_wear(site, stocks, now, fold);
        self.fold_inrush(site, now, fold);
    }

    fn fold_wear(&self, site: &Site, stocks: &[Stock], now: Time, fold: &mut Fold) {
        let (locked_on, locked_off): (u32, u32) =
            stocks.iter().fold((0, 0), |(a, b), s| (a + s.locked_on, b + s.locked_off));
        if locked_on + locked_off > 0 {
            let (mut low, mut high) = (self.roster.lost_power(), self.roster.lost_power());
            for (c, s) in stocks.iter().enumerate() {
                let at = |l: Level, n: u32| self.roster.power(c, l).times(i64::from(n));
                let (sleep, top) = (Level::SLEEP, site.cohorts[c].curve.top());
                let free = s.awake + s.asleep;
                low += at(Level(1).min(top), s.locked_on) + at(sleep, s.locked_off + free);
                high += at(top, s.locked_on + free) + at(sleep, s.locked_off);
            }
            let (low, high) = (site.overhead.meter(low), site.overhead.meter(high));
            fold.narrow(Rung::Dwell, Some(low), Some(high.max(low)), || {
                format!("{locked_on} machines may not sleep yet, {locked_off} may not wake yet")
            });
        }
        let left = self.starts_left(site, now);
        let sleeping: u32 = stocks.iter().map(|s| s.asleep).sum();
        if left < sleeping {
            let mut high = self.roster.lost_power() + asleep_power(&self.roster, stocks);
            let mut biggest = Power::ZERO;
            for (c, s) in stocks.iter().enumerate() {
                let rise = self.roster.power(c, site.cohorts[c].curve.top())
                    - self.roster.power(c, Level::SLEEP);
                high += rise.times(i64::from(s.awake + s.locked_on));
                biggest = biggest.max(rise);
            }
            let ceiling = site.overhead.meter(high + biggest.times(i64::from(left)));
            fold.narrow(Rung::Wear, None, Some(ceiling), || {
                format!("{left} of {} starts an hour are left", site.policy.starts_per_hour)
            });
        }
    }

    fn starts_left(&self, site: &Site, now: Time) -> u32 {
        site.policy.starts_per_hour.saturating_sub(self.roster.starts_in_hour(now))
    }

    /// Lowest and highest set point in force within the step limit's window.
    fn past_setpoints(&self, now: Time, ramp: Ramp, present: Power) -> (Power, Power) {
        let mut range = (present, present);
        for (at, power) in self.setpoints.iter().rev() {
            range = (range.0.min(*power), range.1.max(*power));
            // The one set before the window opened was still in force when it did.
            if now.since(*at) >= ramp.per {
                break;
            }
        }
        range
    }

    fn shapes(
        &self,
        site: &Site,
        stocks: &[Stock],
        proposal: &Proposal,
        target: Power,
        now: Time,
    ) -> Option<Vec<Shape>> {
        if proposal.stay && target >= site.overhead.meter(self.roster.planned()) {
            return None;
        }
        let fallback;
        let stairs = match &self.stairs {
            Some(stairs) => stairs,
            None => {
                // With the value unknown, by efficiency alone: any hash price gives its order.
                fallback = crate::merit::Staircase::of(site, Some(crate::units::Money(1 << 26)))?;
                &fallback
            }
        };
        let bounds = Bounds {
            budget: site.overhead.machines(target) - self.roster.lost_power(),
            starts_left: self.starts_left(site, now),
            beyond_wish: target > proposal.preferred,
        };
        Some(allocate(stairs, &self.roster, stocks, &proposal.wishes, bounds))
    }

    /// Leaves out the raises that only falls would pay for which no watts have proven yet: a
    /// machine that was told to come down draws what it last drew until it shows otherwise. The
    /// proof comes as an event, and the next step makes up for them.
    fn paid_for(&self, site: &Site, target: Power, mut changes: Vec<Change>) -> Vec<Change> {
        if changes.is_empty() {
            return changes;
        }
        let now = self.roster.planned() + self.roster.falling();
        let mut left = site.overhead.machines(target) - now;
        changes.retain(|c| {
            let m = &self.roster.machines()[c.machine.index()];
            if c.level < m.level {
                return true;
            }
            let power = |level| self.roster.power(usize::from(m.cohort), level);
            let rise = power(c.level) - power(m.level);
            let paid = rise <= left;
            if paid {
                left -= rise;
            }
            paid
        });
        changes
    }

    fn directions(&self, changes: &[Change]) -> (u32, u32) {
        let level = |c: &Change| self.roster.machines()[c.machine.index()].level;
        let downs = changes.iter().filter(|c| c.level < level(c)).count();
        let count = |n: usize| u32::try_from(n).expect("MACHINES_MAX fits 32 bits");
        (count(downs), count(changes.len() - downs))
    }

    fn plan(&mut self, now: Time, changes: Vec<Change>) -> DispatchPlan {
        self.generation += 1;
        self.note_wave(now, &changes);
        self.note_started(now, &changes);
        self.roster.tell(now, self.generation, &changes);
        self.carry_out(now, self.generation, &changes);
        DispatchPlan {
            generation: self.generation,
            at: now,
            cause: self.seq,
            valid_until: now + PLAN_LEASE,
            changes,
        }
    }

    fn remember(&mut self, now: Time, target: Power) {
        self.setpoint = Some(target);
        if self.ramp_span(now) > Span::ZERO {
            self.decided_at = Some(now);
        }
        if self.setpoints.back().map(|(_, p)| *p) != Some(target) {
            self.setpoints.push_back((now, target));
        }
        let per = self.site.as_deref().and_then(|s| s.limits.step).map_or(Span::ZERO, |r| r.per);
        // The newest set point older than the window is kept: it was in force when it opened.
        while self.setpoints.len() > SETPOINTS_KEPT_MAX
            || self.setpoints.get(1).is_some_and(|(t, _)| now.since(*t) >= per)
        {
            self.setpoints.pop_front();
        }
    }

    /// Who changes: what an obligation asks for, or what economics wishes within the limits.
    fn changes(
        &self,
        site: &Site,
        stocks: &[Stock],
        proposal: &Proposal,
        target: Power,
        (call, now): (Option<&Call>, Time),
    ) -> Vec<Change> {
        if let Some(call) = call.filter(|c| c.tells() && target >= c.ceiling().0) {
            return self.told_now(site, call, target, now);
        }
        let shapes = self.shapes(site, stocks, proposal, target, now);
        let changes = shapes.map_or_else(Vec::new, |s| pick(site, &self.roster, &s, now));
        let mut changes = self.paid_for(site, target, changes);
        if let Some(call) = call {
            let level = |c: &Change| self.roster.machines()[c.machine.index()].level;
            changes.retain(|c| call.admits(level(c), c.level));
        }
        changes
    }

    fn alarm_overridden(
        &mut self,
        site: &Site,
        ladder: &[Narrowing],
        now: Time,
        step: &mut super::Step,
    ) {
        for rung in [Rung::GridEmergency, Rung::SiteImport, Rung::Obligation] {
            let found = ladder.iter().find(|n| n.rung == rung);
            // A ramp that is under way and ends in time takes nothing from what is asked.
            let found = found.filter(|n| !self.in_time_by_ramp(site, n, now));
            let lost = found.and_then(|n| n.overridden);
            let text = || {
                let o = lost.expect("the alarm is raised only where something was lost");
                format!("{} lost {} to {}", rung.name(), o.watts, o.by.name())
            };
            self.set_alarm(Alarm::LimitOverridden(rung), lost.is_some(), text, step);
        }
    }

    /// The least valuable step now in use.
    fn lowest_in_use(&self) -> Option<Price> {
        let stairs = self.stairs.as_ref()?;
        let used = |(steps, tally): (&Vec<Segment>, &Tally)| {
            let highest = tally.at.iter().rposition(|n| *n > 0)?;
            let used = steps.iter().take_while(|s| s.to.index() <= highest);
            used.map(|s| s.breakeven).min()
        };
        stairs.by_cohort.iter().zip(self.roster.tallies()).filter_map(used).min()
    }

    fn next_change(&self, site: &Site, aheads: &[Option<Ahead>]) -> Option<NextChange> {
        if let Some(change) = ahead::changes(aheads) {
            return Some(change);
        }
        if let PolicyRule::FixedStrike(strike) = site.policy.rule {
            let p = Some(strike - site.import_adder);
            return Some(NextChange { down_above: p, up_below: p });
        }
        let stairs = self.stairs.as_ref()?;
        if !matches!(site.policy.rule, PolicyRule::Breakeven | PolicyRule::LookAhead) {
            return None;
        }
        let (mut down, mut up): (Option<Price>, Option<Price>) = (None, None);
        for (c, (steps, tally)) in stairs.by_cohort.iter().zip(self.roster.tallies()).enumerate() {
            let highest = tally.at.iter().rposition(|n| *n > 0);
            let rest = stairs.restarts[c].as_ref().map(|f| (&self.regrets[c], f));
            for s in steps {
                let restart = rest.filter(|_| s.is_start());
                if highest.is_some_and(|highest| s.to.index() <= highest) {
                    let stop = restart.map_or(s.breakeven, |(r, f)| r.stop_price(f));
                    down = Some(down.map_or(stop, |p| p.min(stop)));
                }
                if tally.at[s.from.index()..s.to.index()].iter().any(|n| *n > 0) {
                    let start = restart.map_or(s.breakeven, |(r, f)| r.start_price(f));
                    up = Some(up.map_or(start, |p| p.max(start)));
                }
            }
        }
        let market = |p: Price| p - site.import_adder;
        Some(NextChange { down_above: down.map(market), up_below: up.map(market) })
    }
}

/// The highest level of a cohort short of overclocking.
fn top(cohort: &Cohort) -> Level {
    highest(cohort, false)
}

/// Whether a decision says something the last one did not.
fn differs(a: &Decision, b: &Decision) -> bool {
    let price = |d: &Decision| d.expected.map(|e: Expected| (e.price, e.basis));
    let rungs = |d: &Decision| {
        d.ladder.iter().map(|n| (n.rung, n.overridden.map(|o| o.by))).collect::<Vec<_>>()
    };
    b.generation.is_some()
        || (a.mode, a.target, a.preferred) != (b.mode, b.target, b.preferred)
        || price(a) != price(b)
        || rungs(a) != rungs(b)
}
