//! What to watch for: alarms, and the next moment at which something could change by itself.

use super::Engine;
use super::view::Loss;
use crate::limits::{CONTROL_STEP, IDLE_STEP, START_GRACE};
use crate::reason::{Alarm, AlarmChange, Rung};
use crate::site::Site;
use crate::time::{Span, Time};
use crate::units::Power;

/// Measured import this far above the target, for longer than a fall takes, is an alarm.
const ABOVE_TOLERANCE_PPM: i64 = 20_000;
/// The same in watts, for small sites.
const ABOVE_TOLERANCE: Power = Power(50_000);
/// Polls and answers take this long beside the fall itself.
const ABOVE_GRACE: Span = Span::seconds(15);
/// Shortest pause the engine asks for: it never asks to be called again at once.
const WAKE_LEAST: Span = Span::millis(100);

impl Engine {
    pub(super) fn set_alarm(
        &mut self,
        alarm: Alarm,
        on: bool,
        text: impl FnOnce() -> String,
        step: &mut super::Step,
    ) {
        let changed =
            if on { self.alarms.insert(alarm.clone()) } else { self.alarms.remove(&alarm) };
        if changed {
            let text = if on { text() } else { String::from("cleared") };
            step.alarms.push(AlarmChange { alarm, raised: on, text });
        }
    }

    /// Looks for what has gone silent or out of bounds.
    pub(super) fn watch(&mut self, now: Time, loss: Loss, step: &mut super::Step) {
        let Some(site) = self.site.clone() else { return };
        self.set_alarm(
            Alarm::PriceLost,
            loss != Loss::None && !self.just_started(now),
            || String::from("no healthy feed of a real-time price"),
            step,
        );
        self.watch_sources(&site, now, step);
        let failed: u32 = self.roster.tallies().iter().map(|t| t.failed).sum();
        let unknown = self.roster.unknown();
        self.set_alarm(
            Alarm::NotObeying,
            unknown == 0 && failed > 0,
            || format!("{failed} machines do not answer or did not follow; counted as drawing"),
            step,
        );
        let (_, value_stale) = self.hashprice_now(now);
        self.set_alarm(
            Alarm::ValueStale,
            value_stale && !self.just_started(now),
            || String::from("the hash price is missing or older than allowed"),
            step,
        );
        self.watch_ceiling(&site, now, step);
    }

    /// Whether the program started a moment ago, so that silence means nothing yet.
    fn just_started(&self, now: Time) -> bool {
        self.feeds_since.is_some_and(|t| now.since(t) < START_GRACE)
    }

    fn watch_sources(&mut self, site: &Site, now: Time, step: &mut super::Step) {
        for (i, feed) in site.feeds.iter().enumerate() {
            let id = u16::try_from(i).expect("FEEDS_MAX fits 16 bits");
            let last = self.books[i].newest.max(self.feeds_since);
            let silent = last.is_none_or(|t| now.since(t) > feed.stale_after);
            let text = || format!("feed `{}` is older than {}", feed.name, feed.stale_after);
            self.set_alarm(Alarm::FeedStale(id), silent, text, step);
        }
        for (i, driver) in site.drivers.iter().enumerate() {
            let id = u16::try_from(i).expect("drivers are few");
            let lost = self.driver_lost(site, i, now);
            let text = || format!("driver `{}` has said nothing for too long", driver.name);
            self.set_alarm(Alarm::TelemetryLost(id), lost, text, step);
        }
        for (i, meter) in site.meters.iter().enumerate() {
            let id = u16::try_from(i).expect("meters are few");
            let lost = self.meter_lost(site, i, now);
            let text = || format!("meter `{}` is older than {}", meter.name, meter.stale_after);
            self.set_alarm(Alarm::MeterLost(id), lost, text, step);
        }
    }

    /// Whether a driver that has spoken before has been silent beyond its poll and the hold.
    pub(super) fn driver_lost(&self, site: &Site, driver: usize, now: Time) -> bool {
        let limit = site.drivers[driver].poll_watts + site.failsafe.telemetry_hold;
        self.heard[driver].is_some_and(|t| now.since(t) > limit)
    }

    /// Whether a reporting meter is silent; the machines' own sum goes by their telemetry.
    pub(super) fn meter_lost(&self, site: &Site, meter: usize, now: Time) -> bool {
        let spec = &site.meters[meter];
        let limit = spec.stale_after + site.failsafe.meter_hold;
        match spec.kind {
            crate::site::MeterKind::MachineSum => false,
            crate::site::MeterKind::Reported => {
                self.meters[meter].is_none_or(|(_, t)| now.since(t) > limit)
            }
        }
    }

    fn watch_ceiling(&mut self, site: &Site, now: Time, step: &mut super::Step) {
        let acting = matches!(
            self.mode.0,
            crate::event::AutomationMode::Auto | crate::event::AutomationMode::Hold
        );
        let measured = self.measured_import();
        let (Some(target), Some(measured)) = (self.setpoint.filter(|_| acting), measured) else {
            self.above_since = None;
            self.set_alarm(Alarm::AboveCeiling, false, String::new, step);
            return;
        };
        let slack = ABOVE_TOLERANCE.max(target.scaled(ABOVE_TOLERANCE_PPM));
        let above = measured > (target + slack).min(site.limits.import.max(target));
        let since = match (above, self.above_since) {
            (false, _) => None,
            (true, known) => Some(known.unwrap_or(now)),
        };
        self.above_since = since;
        let overdue = since.is_some_and(|t| now.since(t) > time_to_fall(site));
        let text = || format!("import is measured at {measured}, the set point is {target}");
        self.set_alarm(Alarm::AboveCeiling, overdue, text, step);
    }

    /// The next moment at which something could change with nothing happening outside.
    pub(super) fn next_wake(&self, now: Time, loss: Loss) -> Time {
        let mut wake = now + IDLE_STEP;
        let mut at = |t: Time| {
            if t > now {
                wake = wake.min(t);
            }
        };
        let Some(site) = self.site.as_deref() else { return wake };
        at(now.interval(site.market.settle_step).end);
        for (book, feed) in self.books.iter().zip(&site.feeds) {
            if let Some(newest) = book.newest {
                at(newest + feed.stale_after + Span(1));
            }
        }
        if let Loss::Holding { since } = loss {
            at(since + site.failsafe.dispatch_price.hold);
        }
        for (i, heard) in self.heard.iter().enumerate() {
            if let Some(t) = heard {
                at(*t + site.drivers[i].poll_watts + site.failsafe.telemetry_hold + Span(1));
            }
        }
        if let Some(until) = self.hold.as_ref().and_then(|h| h.until) {
            at(until);
        }
        if let Some(t) = self.roster.next_cool() {
            at(t);
        }
        if let Some(t) = self.above_since {
            at(t + time_to_fall(site) + Span(1));
        }
        self.wake_for_units(&mut at);
        self.wake_for_advice(&mut at);
        self.wake_for_obligation(&mut at);
        self.wake_for_switches(now, &mut at);
        self.wake_for_decision(now, &mut at);
        wake.max(now + WAKE_LEAST)
    }

    fn wake_for_decision(&self, now: Time, at: &mut dyn FnMut(Time)) {
        if let (Some(price), Some(stairs)) = (self.priced, &self.stairs) {
            for (c, regret) in self.regrets.iter().enumerate() {
                let step = stairs.restarts[c].as_ref();
                if let Some(wait) = step.and_then(|s| regret.acts_in(s, price)) {
                    at(now + wait + Span(1));
                }
            }
        }
        let Some(last) = &self.last else { return };
        for n in &last.ladder {
            let binds = Some(last.target) == n.floor || Some(last.target) == n.ceiling;
            if !binds || last.target == last.preferred {
                continue;
            }
            match n.rung {
                Rung::RampUp | Rung::RampDown | Rung::Step | Rung::PriceLoss => {
                    at(self.decided_at.unwrap_or(now).max(now - CONTROL_STEP) + CONTROL_STEP);
                    at(now + CONTROL_STEP);
                }
                Rung::Dwell => at(now + Span(CONTROL_STEP.0 * 6)),
                Rung::Inrush => at(self.next_inrush(now).unwrap_or(now)),
                Rung::Wear => at(self.roster.next_start_free(now).unwrap_or(now) + Span(1)),
                _ => {}
            }
        }
    }
}

/// The declared time in which measured import follows a lower set point: twice the slowest
/// cohort's fall, and the polls and answers beside it.
fn time_to_fall(site: &Site) -> Span {
    let longest = site.cohorts.iter().map(|c| c.times.down).max().unwrap_or(Span::ZERO);
    Span(longest.0 * 2) + ABOVE_GRACE
}
