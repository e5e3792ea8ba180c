//! The status others see, made from the engine after its steps.

use super::{FeedBoard, Plant};
use crate::fleet::view::curtailment;
use crate::status::*;
use headgate_core::engine::Engine;
use headgate_core::event::AutomationMode;
use headgate_core::market::PriceKind;
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::Time;
use headgate_core::units::{Energy, Money, Price};
use std::sync::Arc;
use std::time::Instant;

/// Money for people: currency units.
pub fn money(m: Money) -> f64 {
    m.0 as f64 / 1e6
}

/// A price for people: currency units per MWh.
pub fn price(p: Price) -> f64 {
    p.0 as f64 / 1e6
}

/// Energy for people: MWh.
pub fn mwh(e: Energy) -> f64 {
    e.0 as f64 / 3.6e9
}

/// The word for a mode, as configuration and screen have it.
pub fn mode_name(mode: AutomationMode) -> &'static str {
    match mode {
        AutomationMode::Off => "off",
        AutomationMode::Shadow => "shadow",
        AutomationMode::Advise => "advise",
        AutomationMode::Auto => "auto",
        AutomationMode::Hold => "hold",
    }
}

/// The word for a policy, as configuration and screen have it.
pub fn policy_name(rule: PolicyRule) -> &'static str {
    match rule {
        PolicyRule::AlwaysOn => "always_on",
        PolicyRule::FixedStrike(_) => "fixed_strike",
        PolicyRule::Breakeven => "breakeven",
        PolicyRule::LookAhead => "look_ahead",
    }
}

/// The word for a kind of price, as configuration and screen have it.
pub fn kind_name(kind: PriceKind) -> &'static str {
    match kind {
        PriceKind::Dispatch => "dispatch",
        PriceKind::Settlement => "settlement",
        PriceKind::DayAhead => "day_ahead",
        PriceKind::LookAhead => "look_ahead",
    }
}

/// The status before the first step.
pub fn nothing_yet() -> Status {
    Status {
        site: String::new(),
        point: String::new(),
        market: String::new(),
        currency: String::new(),
        at: Time(0).to_string(),
        at_ns: 0,
        mode: mode_name(AutomationMode::Shadow).into(),
        policy: String::new(),
        ready: false,
        unknown_machines: 0,
        seq: 0,
        generation: 0,
        price: None,
        staircase: Vec::new(),
        mean_breakeven: None,
        import_limit_w: 0,
        target_w: None,
        planned_w: None,
        measured_w: None,
        machines: MachineCounts::default(),
        commands: CommandCounts::default(),
        money: MoneyView::default(),
        alarms: Vec::new(),
        feeds: Vec::new(),
        meters: Vec::new(),
        switches: Vec::new(),
        hold: None,
        stop: None,
        curtailment: None,
        down_above: None,
        up_below: None,
        wish: None,
        ladder: None,
        wake_at: Time(0).to_string(),
        clock: ClockView { speed: 1.0, progress: None, proving: false },
    }
}

impl Plant {
    /// Publishes the status when it is due, or at once.
    pub(super) fn publish(&mut self, at_once: bool) {
        if !at_once && self.state.published.elapsed() < super::PUBLISH_EVERY {
            return;
        }
        self.state.published = Instant::now();
        let status = self.status();
        // Nobody may be looking; that is fine.
        let _ = self.inbox.status.send(Arc::new(status));
    }

    /// The status now.
    pub fn status(&self) -> Status {
        let Some(site) = self.engine.site() else { return nothing_yet() };
        let engine = &self.engine;
        let decision = engine.decision();
        let now = self.clock.now();
        let next = decision.and_then(|d| d.next);
        Status {
            site: site.name.clone(),
            point: site.point.to_string(),
            market: site.market.name.clone(),
            currency: site.market.currency.clone(),
            at: now.to_string(),
            at_ns: now.0,
            mode: mode_name(engine.mode()).into(),
            policy: policy_name(site.policy.rule).into(),
            ready: engine.ready(),
            unknown_machines: engine.roster().unknown(),
            seq: engine.seq(),
            generation: engine.generation(),
            price: decision.and_then(|d| d.expected).map(|e| PriceView {
                expected: price(e.price),
                latest: price(e.latest),
                basis: e.basis.to_string(),
                age_s: e.age.0 as f64 / 1e9,
            }),
            staircase: stairs(engine, site),
            mean_breakeven: engine.mean_breakeven().map(price),
            import_limit_w: site.limits.import.0,
            target_w: decision.map(|d| d.target.0),
            planned_w: decision.map(|d| d.planned.0),
            measured_w: engine.measured_import().map(|p| p.0),
            machines: machine_counts(engine, site),
            commands: self.counts(),
            money: money_view(engine),
            alarms: self.alarm_views(),
            feeds: feed_views(engine, site, &self.feed_board, now),
            meters: super::devices::views(site, &self.meters, now),
            switches: {
                let specs = &engine.hands().switches;
                super::devices::switch_views(specs, &self.switches, now)
            },
            hold: engine.hold().map(|h| h.said.clone()),
            stop: engine.stopped().map(String::from),
            curtailment: curtailment(engine, self.state.curtailed.as_ref()),
            down_above: next.and_then(|n| n.down_above).map(price),
            up_below: next.and_then(|n| n.up_below).map(price),
            wish: decision.map(|d| d.wish.clone()),
            ladder: decision.map(ToString::to_string),
            wake_at: self.state.wake.max(now).to_string(),
            clock: self.clock_view(),
        }
    }

    fn clock_view(&self) -> ClockView {
        let progress = self.ends_at.map(|end| {
            let passed = self.clock.sim_elapsed().0 as f64;
            let ahead = end.since(self.clock.now()).0.max(0) as f64;
            passed / (passed + ahead).max(1.0)
        });
        ClockView { speed: self.clock.speed(), progress, proving: self.held() }
    }

    fn alarm_views(&self) -> Vec<AlarmView> {
        let view = |(alarm, text, since): &(String, String, Time)| AlarmView {
            alarm: alarm.clone(),
            text: text.clone(),
            since: since.to_string(),
        };
        self.state.alarms_since.iter().map(view).collect()
    }
}

fn stairs(engine: &Engine, site: &Site) -> Vec<StairView> {
    let Some(stairs) = engine.staircase() else { return Vec::new() };
    let tallies = engine.roster().tallies();
    let view = |s: &headgate_core::merit::Segment| {
        let (cohort, tally) = (&site.cohorts[s.cohort], &tallies[s.cohort]);
        let machines = tally.at.iter().sum::<u32>();
        StairView {
            cohort: cohort.name.clone(),
            from_w: cohort.curve.at(s.from).power.0,
            to_w: cohort.curve.at(s.to).power.0,
            power_w: s.power.times(i64::from(machines)).0,
            breakeven: price(s.breakeven),
            running: tally.at[s.to.index()..].iter().sum(),
            machines,
        }
    };
    stairs.segments.iter().map(view).collect()
}

fn machine_counts(engine: &Engine, site: &Site) -> MachineCounts {
    let mut counts = MachineCounts::default();
    for t in engine.roster().tallies() {
        counts.awake += t.awake();
        counts.asleep += t.asleep();
        counts.lost += t.lost;
        counts.failed += t.failed;
    }
    // What was never heard of has not failed: it is unknown, and told apart.
    let unknown = engine.roster().unknown();
    counts.failed = counts.failed.saturating_sub(unknown);
    counts.all = u32::try_from(site.machines.len()).unwrap_or(u32::MAX);
    counts.excluded =
        u32::try_from(site.machines.iter().filter(|m| m.excluded).count()).unwrap_or(u32::MAX);
    counts
}

fn money_view(engine: &Engine) -> MoneyView {
    let mut total = engine.ledger().total;
    if let Some(open) = engine.ledger().open() {
        total.energy += open.energy;
        total.compute_revenue += open.compute_revenue;
        total.energy_cost += open.energy_cost;
        total.sell_back += open.sell_back;
    }
    let rate = || {
        let import = engine.measured_import()?;
        let expected = engine.decision()?.expected?.price;
        let adder = engine.site()?.import_adder;
        let hour = import.over(headgate_core::time::Span::hours(1));
        Some(money(engine.earning()? - (expected + adder).of(hour)))
    };
    MoneyView {
        profit: money(total.profit()),
        compute_revenue: money(total.compute_revenue),
        energy_cost: money(total.energy_cost),
        sell_back: money(total.sell_back),
        energy_mwh: mwh(total.energy),
        rate_per_h: rate(),
    }
}

fn feed_views(engine: &Engine, site: &Site, board: &FeedBoard, now: Time) -> Vec<FeedView> {
    let age = |t: Time| now.since(t).0 as f64 / 1e9;
    let view = |(i, (feed, book)): (
        usize,
        (&headgate_core::site::Feed, &headgate_core::market::FeedBook),
    )| {
        let health = board.of(i);
        FeedView {
            name: feed.name.clone(),
            role: kind_name(feed.role).into(),
            age_s: book.newest.map(age),
            stale: !book.fresh(now, feed.stale_after),
            source: headgate_feeds::http::without_secrets(&feed.source),
            ok_s: health.ok.map(age),
            last_error_s: health.error.as_ref().map(|(at, _)| age(*at)),
            last_error: health.error.map(|(_, text)| text),
        }
    };
    site.feeds.iter().zip(engine.books()).enumerate().map(view).collect()
}
