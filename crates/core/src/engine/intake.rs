//! Taking events in: what each one changes in what the engine knows.

use super::learn::{Learned, Lesson};
use super::{Engine, HeldBy, Mode, Step};
use crate::event::{Act, AutomationMode, Event, FeedId, MeterId, OperatorAct};
use crate::fleet::{MachineId, TelemetryBatch};
use crate::horizon::Regret;
use crate::limits::TEXT_MAX;
use crate::market::{FeedBook, PriceKind, PriceRow};
use crate::reason::{Alarm, AlarmChange};
use crate::roster::Roster;
use crate::site::Site;
use crate::time::{Span, Time};
use crate::units::Power;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    pub(super) fn take(&mut self, now: Time, event: &Event, step: &mut Step) {
        match event {
            Event::Started { epoch, .. } => self.started(now, *epoch, step),
            Event::Configured(site) => self.configure(now, site, step),
            Event::Prices { feed, kind, rows } => self.prices(now, *feed, *kind, rows, step),
            Event::FeedRejected { feed, error } => {
                let text: String = error.chars().take(TEXT_MAX).collect();
                self.set_alarm(Alarm::FeedRejected(feed.0), true, || text, step);
            }
            Event::Value(h) => {
                if h.known_at <= now {
                    self.hashprice = Some(*h);
                }
            }
            Event::Telemetry(batch) => self.telemetry(now, batch),
            Event::Meter { meter, power } => self.meter_read(now, *meter, *power, step),
            Event::Operator(act) => self.operator(now, act, step),
            Event::Tick => {}
            Event::ClockStepped { by } => self.clock_stepped(now, *by),
            Event::Units(units) => self.units_next.clone_from(units),
            Event::Models(models) => self.models_next.clone_from(models),
            Event::Hands(hands) => self.hands_next.clone_from(hands),
            Event::Switch { switch, closed } => self.switch_seen(*switch, *closed),
        }
    }

    fn meter_read(&mut self, now: Time, meter: MeterId, power: Option<Power>, step: &mut Step) {
        let index = usize::from(meter.0);
        let Some(slot) = self.meters.get_mut(index) else { return };
        if let Some(power) = power {
            *slot = Some((power, now));
        }
        let site = self.site.clone();
        let text = || {
            let spec = site.as_ref().and_then(|s| s.meters.get(index));
            let name = spec.map_or("?", |s| s.name.as_str());
            format!("meter `{name}` answers, and what it says cannot be")
        };
        self.set_alarm(Alarm::MeterImplausible(meter.0), power.is_none(), text, step);
    }

    /// Clears every alarm: what is still wrong raises it again, and nothing stays on that no
    /// longer has a feed, a driver or a limit to be about.
    fn clear_alarms(&mut self, step: &mut Step) {
        for alarm in std::mem::take(&mut self.alarms) {
            let text = String::from("cleared");
            step.alarms.push(AlarmChange { alarm, raised: false, text });
        }
        self.above_since = None;
    }

    fn started(&mut self, now: Time, epoch: u64, step: &mut Step) {
        self.clear_alarms(step);
        self.epoch = epoch;
        self.roster.forget_links();
        for h in &mut self.heard {
            *h = None;
        }
        for s in &mut self.sums {
            *s = None;
        }
        // Whatever the machines did meanwhile is unknown: no set point outlives a restart.
        self.setpoint = None;
        self.setpoints.clear();
        self.decided_at = None;
        self.feeds_since = Some(now);
        self.ledger.restart();
        self.obligation_restarts(0, false);
        self.assume_obeyed(now);
    }

    fn configure(&mut self, now: Time, site: &Site, step: &mut Step) {
        self.clear_alarms(step);
        let old_site = self.site.take();
        let old_ids: BTreeMap<&str, MachineId> = match &old_site {
            Some(old) => old.machines().map(|(id, m)| (m.address.as_str(), id)).collect(),
            None => BTreeMap::new(),
        };
        self.roster = Roster::new(site, &self.roster, &|a| old_ids.get(a).copied());
        let same_feeds = old_site.as_ref().is_some_and(|o| o.feeds == site.feeds);
        if !same_feeds {
            self.books = vec![FeedBook::default(); site.feeds.len()];
            self.known = FeedBook::default();
            self.feeds_since = Some(now);
        }
        let same_fleet = old_site.as_ref().is_some_and(|o| o.cohorts == site.cohorts);
        if !same_fleet {
            self.sums = vec![None; site.cohorts.len()];
            self.regrets = vec![Regret::NONE; site.cohorts.len()];
            self.learned = Learned::priors(site);
        }
        let same_machines = old_site.as_ref().is_some_and(|o| o.machines == site.machines);
        if !same_fleet {
            self.obligation_relearns();
        }
        self.obligation_restarts(site.machines.len(), !same_machines);
        if old_site.as_ref().is_none_or(|o| o.drivers != site.drivers) {
            self.heard = vec![None; site.drivers.len()];
        }
        if old_site.as_ref().is_none_or(|o| o.meters != site.meters) {
            self.meters = vec![None; site.meters.len()];
        }
        if old_site.as_ref().is_none_or(|o| o.policy.mode != site.policy.mode) {
            self.set_mode(site.policy.mode);
        }
        self.stairs = None;
        self.stairs_for = None;
        self.site = Some(Arc::new(site.clone()));
        self.configure_units(now, site);
        self.configure_models(site);
        self.configure_hands();
    }

    pub(super) fn set_mode(&mut self, mode: AutomationMode) {
        if self.mode.0 != mode {
            // Another mode starts from what is, not from what another mode imagined.
            self.setpoint = None;
            self.setpoints.clear();
            self.mode = Mode(mode);
        }
    }

    fn prices(
        &mut self,
        now: Time,
        feed: FeedId,
        kind: PriceKind,
        rows: &[PriceRow],
        step: &mut Step,
    ) {
        let Some(book) = self.books.get_mut(usize::from(feed.0)) else { return };
        book.take(kind, rows, now);
        if self.speaks_for_its_role(feed, now) {
            self.known.take(kind, rows, now);
        }
        self.set_alarm(Alarm::FeedRejected(feed.0), false, String::new, step);
        let Some(site) = self.site.clone().filter(|_| kind == PriceKind::Settlement) else {
            return;
        };
        // The winning settlement feed corrects; a lower-ranked one stands in where none has yet.
        let best = site.feeds.iter().filter(|f| f.role == kind).map(|f| f.rank).min();
        let wins = best == site.feeds.get(usize::from(feed.0)).map(|f| f.rank);
        for row in rows.iter().filter(|r| r.known_at <= now) {
            if wins || !self.ledger.published(row.interval.start) {
                step.closed.extend(self.ledger.correct(&site, row.interval.start, row.price));
            }
        }
    }

    /// Whether no healthy feed of the same role goes before this one.
    fn speaks_for_its_role(&self, feed: FeedId, now: Time) -> bool {
        let Some(site) = self.site.as_deref() else { return false };
        let place = |i: usize| (site.feeds[i].rank, i);
        let mine = usize::from(feed.0);
        let before = |i: &usize| {
            site.feeds[*i].role == site.feeds[mine].role
                && place(*i) < place(mine)
                && self.books[*i].fresh(now, site.feeds[*i].stale_after)
        };
        !(0..site.feeds.len()).any(|i| before(&i))
    }

    fn telemetry(&mut self, now: Time, batch: &TelemetryBatch) {
        if let Some(h) = self.heard.get_mut(usize::from(batch.driver.0)) {
            *h = Some(now);
        }
        for sum in &batch.cohorts {
            if let Some(slot) = self.sums.get_mut(usize::from(sum.cohort.0)) {
                *slot = Some(*sum);
            }
        }
        let mut lessons = vec![Lesson::default(); self.learned.len()];
        for report in &batch.machines {
            let Some(before) = self.roster.report(now, report) else { continue };
            if Lesson::teaches(before, report) {
                let after = &self.roster.machines()[report.machine.index()];
                lessons[usize::from(after.cohort)].hear(before, after, report);
            }
            if self.obligation.is_some() {
                self.note_told(now, report);
            }
        }
        super::learn::take(&mut self.learned, &lessons);
    }

    fn operator(&mut self, now: Time, o: &OperatorAct, step: &mut Step) {
        let said: String = format!("{}: {}", o.actor, o.reason).chars().take(TEXT_MAX).collect();
        match o.act {
            Act::Hold { power, until } => {
                let Some(site) = self.site.as_deref() else { return };
                let present = self.setpoint.or_else(|| self.measured_import());
                let present = present.unwrap_or_else(|| site.overhead.meter(self.roster.planned()));
                self.hold = Some(HeldBy { power: power.unwrap_or(present), until, said });
            }
            Act::Release => {
                self.hold = None;
                self.stop = None;
            }
            Act::Stop => self.stop = Some(said),
            Act::Mode(mode) => self.set_mode(mode),
            Act::Curtail { shed, by } => self.curtail(now, (shed, by), said),
            Act::Resume => self.resume(now, step),
        }
    }

    fn clock_stepped(&mut self, now: Time, by: Span) {
        // A step backwards would freeze the engine until the clock catches up: go along with it,
        // and let nothing count that lies ahead of it now.
        if by.0 < 0 {
            let then = now + by;
            self.now = Some(then);
            for book in &mut self.books {
                book.forget_after(then);
            }
            self.known.forget_after(then);
            for heard in self.heard.iter_mut().flatten() {
                *heard = (*heard).min(then);
            }
            for (_, at) in self.meters.iter_mut().flatten() {
                *at = (*at).min(then);
            }
            self.feeds_since = self.feeds_since.map(|t| t.min(then));
            self.roster.clock_stepped_back(then);
            self.units_stepped_back(then);
        }
        self.ledger.restart();
        self.setpoints.clear();
        self.decided_at = None;
        self.obligation_restarts(0, false);
        self.started.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
    }
}
