//! Power down by a deadline: who is told, when it stops, and what is said of it.

use crate::harness::World;
use headgate_core::curtail::{CurtailReport, How, RampClass, WhyNot};
use headgate_core::event::{Act, Event, MeterId};
use headgate_core::fleet::{CohortId, Level, MachineId};
use headgate_core::hands::{Hands, SwitchChange, SwitchId, SwitchSpec};
use headgate_core::reason::{Alarm, Rung};
use headgate_core::site::{MeterKind, MeterSpec, Ramp, Site};
use headgate_core::testing::site;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Power, Price};

/// A site with a meter of its own, at full power.
pub fn metered(machines: usize) -> World {
    let mut s = site(machines);
    let (name, kind) = ("feeder".into(), MeterKind::Reported);
    s.meters = vec![MeterSpec { name, kind, stale_after: Span::seconds(10) }];
    at_full_power(s)
}

fn at_full_power(s: Site) -> World {
    let mut w = World::new(s);
    w.price(20);
    w.run(Span::minutes(20));
    w
}

/// Asks, and lives on until a while after the deadline.
fn curtail(w: &mut World, shed: i64, within: i64) -> Option<CurtailReport> {
    let by = w.now + Span::seconds(within);
    let mut report = w.operator(Act::Curtail { shed: Power(shed), by }).report;
    for _ in 0..within + 45 {
        report = report.or(w.telemetry().report);
        report = report.or(read_meter(w));
        w.now += Span::seconds(1);
        report = report.or(w.feed(Event::Tick).report);
    }
    report
}

/// Reads the meter, where there is one: the truth, whatever machines say.
fn read_meter(w: &mut World) -> Option<CurtailReport> {
    if w.site.meters.is_empty() {
        return None;
    }
    let power = Some(w.import());
    w.feed(Event::Meter { meter: MeterId(0), power }).report
}

#[test]
fn more_are_told_than_would_be_enough_and_the_meter_ends_it() {
    let mut w = metered(100);
    let full = w.import();
    let r = curtail(&mut w, 150_000, 30).unwrap();
    assert!(w.import() <= full - Power(150_000) && w.import() > full - Power(170_000));
    assert!(r.in_time() && r.by_meter && r.delivered() >= Some(Power(150_000)), "{r:?}");
    assert_eq!((r.waves.len(), r.failed.machines, r.open.machines), (1, 0, 0));
    assert_eq!((r.told, r.measured.machines), (r.measured, r.told.machines));
    assert!(w.engine.alarms().is_empty(), "{:?}", w.engine.alarms());
}

#[test]
fn liars_are_found_out_by_the_meter_at_a_third_and_others_go() {
    let mut w = metered(100);
    (0..100).for_each(|i| w.liars[i] = i % 5 == 0);
    w.silent_liars = true;
    let full = w.import();
    let r = curtail(&mut w, 100_000, 30).unwrap();
    assert!(r.in_time() && w.import() <= full - Power(100_000), "{r:?}");
    let after: Vec<Span> = r.waves.iter().map(|wave| wave.at.since(r.since)).collect();
    // At a third a fall is nearly over by the file's times; the little that is left waits.
    assert_eq!(after, [0, 10, 20].map(Span::seconds), "{r:?}");
    assert!(r.waves[1].power > Power(8 * r.waves[2].power.0), "{r:?}");
    // Nothing is told to a machine that should be down and has not shown it.
    assert_eq!(w.told_twice, 0);
    let rung = w.engine.decision().unwrap().ladder.iter().find(|n| n.rung == Rung::Obligation);
    assert!(rung.unwrap().reason.contains("proven at"), "{rung:?}");
}

#[test]
fn what_is_held_down_stays_down_until_somebody_lets_go() {
    let mut w = metered(100);
    let full = w.import();
    curtail(&mut w, 150_000, 30);
    for _ in 0..60 * 40 {
        w.now += Span::seconds(1);
        w.price_again();
        read_meter(&mut w);
        w.telemetry();
        assert!(w.import() <= full - Power(150_000), "{} at {}", w.import(), w.now);
    }
    assert!(w.import() > full - Power(160_000), "what there is room for is used: {}", w.import());
    w.operator(Act::Resume);
    w.telemetry();
    assert_eq!(w.import(), full);
    assert!(w.engine.obligation().is_none());
}

#[test]
fn a_second_curtailment_never_loosens_the_first() {
    let mut w = metered(100);
    let full = w.import();
    curtail(&mut w, 150_000, 30);
    curtail(&mut w, 10_000, 30);
    assert!(w.engine.obligation().unwrap().ceiling <= full - Power(150_000));
    assert!(w.import() <= full - Power(150_000));
}

#[test]
fn a_deadline_that_is_missed_is_an_alarm_and_a_report_and_goes_on() {
    let mut w = metered(100);
    w.liars.fill(true);
    let by = w.now + Span::seconds(30);
    let r = curtail(&mut w, 100_000, 30).unwrap();
    assert!(!r.in_time() && r.proven_at.is_none() && r.at > by, "{r:?}");
    assert!(r.failures.iter().all(|f| f.how == How::Lied) && r.failed.machines > 0, "{r:?}");
    w.operator(Act::Curtail { shed: Power(100_000), by: w.now + Span::seconds(1) });
    w.now += Span::seconds(2);
    w.feed(Event::Tick);
    assert!(w.engine.alarms().contains(&Alarm::DeadlineMissed));
    w.operator(Act::Resume);
    assert!(!w.engine.alarms().contains(&Alarm::DeadlineMissed));
}

/// Two cohorts: one falls in 8 s, the other in a minute and is worth less.
fn two_classes() -> Site {
    let mut s = site(100);
    let mut slow = s.cohorts[0].clone();
    (slow.name, slow.times.down) = ("slow".into(), Span::seconds(60));
    slow.strike = Some(Price(60_000_000));
    s.cohorts.push(slow);
    s.machines[50..].iter_mut().for_each(|m| m.cohort = CohortId(1));
    s
}

#[test]
fn the_fast_go_first_and_the_slow_only_when_nothing_else_is_left() {
    let mut w = at_full_power(two_classes());
    let p = w.engine.preview(Power(100_000), w.now + Span::seconds(30)).unwrap();
    assert_eq!((p.rows[0].class, p.rows[1].class), (RampClass::Fast, RampClass::Slow));
    assert!(p.rows[0].goes.machines > 0 && p.rows[1].goes.machines == 0, "{p:?}");
    assert_eq!(p.rows[1].stays[0].0, WhyNot::TooSlow);
    assert!(p.down_at.unwrap() <= p.by && p.told > p.expected && p.expected >= Power(100_000));
    // Both are needed for this much, and then it is not in time.
    let p = w.engine.preview(Power(200_000), w.now + Span::seconds(30)).unwrap();
    assert!(p.rows[1].goes.machines > 0 && p.down_at.unwrap() > p.by, "{p:?}");
    // With time enough the slow ones still come second.
    let p = w.engine.preview(Power(100_000), w.now + Span::minutes(30)).unwrap();
    assert_eq!(p.rows[1].goes.machines, 0);
    // A preview sends nothing, and what is done is what was shown.
    assert_eq!(w.awake(), 100);
    let p = w.engine.preview(Power(100_000), w.now + Span::seconds(30)).unwrap();
    let by = w.now + Span::seconds(30);
    let step = w.operator(Act::Curtail { shed: Power(100_000), by });
    assert_eq!(step.plan.unwrap().changes, p.changes);
}

#[test]
fn a_ramp_is_kept_by_what_is_told_and_is_no_alarm_while_it_ends_in_time() {
    let mut w = metered(1000);
    let mut s = w.site.clone();
    s.limits.ramp_down = Some(Ramp { power: Power(100_000), per: Span::seconds(5) });
    w = at_full_power(s);
    let full = w.import();
    let by = w.now + Span::seconds(120);
    w.operator(Act::Curtail { shed: Power(1_500_000), by });
    let mut last = w.import();
    for _ in 0..24 {
        assert!(!w.engine.alarms().contains(&Alarm::LimitOverridden(Rung::Obligation)));
        read_meter(&mut w);
        w.run(Span::seconds(5));
        assert!(last - w.import() <= Power(103_000), "{last} to {}", w.import());
        last = w.import();
    }
    read_meter(&mut w);
    assert!(last <= full - Power(1_500_000), "{last}");
    // A ramp that cannot end in time is one.
    w.operator(Act::Resume);
    w.run(Span::minutes(30));
    w.operator(Act::Curtail { shed: Power(1_500_000), by: w.now + Span::seconds(20) });
    assert!(w.engine.alarms().contains(&Alarm::LimitOverridden(Rung::Obligation)));
}

#[test]
fn a_restart_keeps_the_obligation_and_reads_machines_back() {
    let mut w = metered(100);
    let full = w.import();
    let by = w.now + Span::seconds(30);
    w.operator(Act::Curtail { shed: Power(150_000), by });
    // The program dies before a machine has done anything, and what was told is lost with it.
    w.levels.fill(Level(4));
    w.now += Span::seconds(3);
    w.restart();
    assert_eq!(w.engine.obligation().unwrap().ceiling, full - Power(150_000));
    assert_eq!(w.awake(), 100, "nothing is told before all are read back");
    read_meter(&mut w);
    w.telemetry();
    for _ in 0..20 {
        w.now += Span::seconds(1);
        read_meter(&mut w);
        w.telemetry();
    }
    assert!(w.import() <= full - Power(150_000), "{}", w.import());
    let r = w.engine.curtailment().unwrap();
    assert!(r.in_time() && r.proven_at < Some(Time(by.0)), "{r:?}");
}

#[test]
fn what_machines_show_is_learned_and_counted_upon() {
    let mut w = metered(100);
    let before = (w.engine.learned()[0].down(), w.engine.learned()[0].failure_ppm());
    (0..100).for_each(|i| w.liars[i] = i % 4 == 0);
    curtail(&mut w, 200_000, 30);
    let learned = &w.engine.learned()[0];
    // They obey at once here, and a quarter of them never.
    assert!(learned.down() < before.0, "{} {}", learned.down(), before.0);
    assert!(learned.failure_ppm() > before.1 + 50_000, "{}", learned.failure_ppm());
    w.operator(Act::Resume);
    w.liars.fill(false);
    w.run(Span::hours(5));
    let p = w.engine.preview(Power(100_000), w.now + Span::seconds(30)).unwrap();
    assert!(p.told.0 * 100 > p.expected.0 * 110, "{p:?}");
}

/// Four machines behind each switch; the third may not be opened.
fn switched() -> World {
    let mut w = metered(40);
    let feeds = |from: u32| (from..from + 4).map(MachineId).collect();
    let spec =
        |name: &str, from, allowed| SwitchSpec { name: name.into(), feeds: feeds(from), allowed };
    let switches = vec![spec("a", 0, true), spec("b", 4, true), spec("c", 8, false)];
    w.feed(Event::Hands(Hands { switches, ..Hands::default() }));
    let site = Box::new(w.site.clone());
    w.feed(Event::Configured(site));
    (0..3).for_each(|i| stands(&mut w, i, true));
    w
}

fn stands(w: &mut World, switch: u16, closed: bool) {
    w.feed(Event::Switch { switch: SwitchId(switch), closed: Some(closed) });
}

fn told(switch: u16, closed: bool) -> SwitchChange {
    SwitchChange { switch: SwitchId(switch), closed }
}

/// Wants all power down, and lives on until a while after the deadline; switches do as told.
fn all_down(w: &mut World) -> Vec<(Span, SwitchChange)> {
    let (start, shed) = (w.now, w.import() - Power(4_000));
    w.operator(Act::Curtail { shed, by: w.now + Span::seconds(30) });
    let mut changes = Vec::new();
    for _ in 0..45 {
        w.telemetry();
        read_meter(w);
        w.now += Span::seconds(1);
        let step = w.feed(Event::Tick);
        changes.extend(step.switches.iter().map(|c| (w.now.since(start), *c)));
        step.switches.iter().for_each(|c| stands(w, c.switch.0, c.closed));
    }
    changes
}

#[test]
fn switches_are_closed_one_at_a_time_and_only_where_the_engine_acts() {
    let mut w = switched();
    (0..8).for_each(|i| w.liars[i] = true);
    let opened: Vec<SwitchChange> = all_down(&mut w).into_iter().map(|(_, c)| c).collect();
    assert_eq!(opened, [told(0, false), told(1, false)]);
    // Another curtailment does not forget what the first one opened.
    w.operator(Act::Curtail { shed: Power(1_000), by: w.now + Span::seconds(30) });
    assert_eq!(w.engine.curtailment().unwrap().opened, [SwitchId(0), SwitchId(1)]);
    w.operator(Act::Stop);
    let left_open = Alarm::SwitchLeftOpen(0);
    assert!(w.operator(Act::Resume).switches.is_empty());
    assert!(w.engine.alarms().contains(&left_open), "{:?}", w.engine.alarms());
    // The second one waits until the first is seen to be closed.
    assert_eq!(w.operator(Act::Release).switches, [told(0, true)]);
    w.now += Span::seconds(1);
    assert!(w.feed(Event::Tick).switches.is_empty());
    let closed = Event::Switch { switch: SwitchId(0), closed: Some(true) };
    assert_eq!(w.feed(closed).switches, [told(1, true)], "{:?}", w.engine.alarms());
    assert!(!w.engine.alarms().contains(&left_open), "{:?}", w.engine.alarms());
}

#[test]
fn a_switch_is_left_open_while_what_is_behind_it_does_not_fit() {
    let mut w = switched();
    (0..4).for_each(|i| w.liars[i] = true);
    all_down(&mut w);
    w.operator(Act::Hold { power: Some(Power(4_000)), until: None });
    assert!(w.operator(Act::Resume).switches.is_empty());
    assert!(w.engine.alarms().contains(&Alarm::SwitchLeftOpen(0)), "{:?}", w.engine.alarms());
}

#[test]
fn another_configuration_keeps_the_obligation_and_what_it_opened() {
    let mut w = switched();
    (0..4).for_each(|i| w.liars[i] = true);
    assert_eq!(all_down(&mut w)[0].1, told(0, false));
    let opened = w.engine.curtailment().unwrap().opened.len();
    // One more cohort, and one more switch before the others.
    let mut switches = w.engine.hands().switches.clone();
    switches.insert(0, SwitchSpec { name: "z".into(), feeds: Vec::new(), allowed: true });
    w.feed(Event::Hands(Hands { switches, ..Hands::default() }));
    let mut more = w.site.cohorts[0].clone();
    more.name = "more".into();
    w.site.cohorts.push(more);
    w.site.machines[39].cohort = CohortId(1);
    let site = Box::new(w.site.clone());
    w.feed(Event::Configured(site));
    w.telemetry();
    let after = w.engine.curtailment().unwrap().opened;
    assert_eq!((after[0], after.len()), (SwitchId(1), opened));
    w.now += Span::seconds(1);
    read_meter(&mut w);
    w.telemetry();
    w.feed(Event::Tick);
}

#[test]
fn a_switch_that_was_open_before_is_neither_opened_nor_closed() {
    let mut w = switched();
    stands(&mut w, 0, false);
    w.feed(Event::Switch { switch: SwitchId(1), closed: None });
    (0..8).for_each(|i| w.liars[i] = true);
    assert_eq!(all_down(&mut w), []);
    assert!(w.operator(Act::Resume).switches.is_empty());
}

#[test]
fn switches_are_opened_at_two_thirds_where_machines_are_not_enough() {
    let mut w = switched();
    // Those behind the first switch and the forbidden one lie, and all power is wanted down.
    (0..4).chain(8..12).for_each(|i| w.liars[i] = true);
    let (full, start) = (w.import(), w.now);
    let shed = full - Power(4_000);
    w.operator(Act::Curtail { shed, by: w.now + Span::seconds(30) });
    let mut opened = Vec::new();
    for _ in 0..45 {
        w.telemetry();
        read_meter(&mut w);
        w.now += Span::seconds(1);
        let step = w.feed(Event::Tick);
        opened.extend(step.switches.iter().map(|c| (w.now.since(start), *c)));
    }
    let open = told(0, false);
    // Behind the second one everybody obeys, so that it would bring nothing.
    let seen: Vec<SwitchChange> = opened.iter().map(|(_, c)| *c).collect();
    assert_eq!(seen[0], open, "{opened:?}");
    assert!(opened[0].0 >= Span::seconds(20) && !seen.iter().any(|c| c.switch == SwitchId(2)));
    // It was told and nobody has seen it open.
    assert!(w.engine.alarms().contains(&Alarm::SwitchFailed(0)));
    w.feed(Event::Switch { switch: SwitchId(0), closed: Some(false) });
    assert!(!w.engine.alarms().contains(&Alarm::SwitchFailed(0)));
    let step = w.operator(Act::Resume);
    assert!(step.switches.contains(&SwitchChange { switch: SwitchId(0), closed: true }));
}

#[test]
fn a_class_set_by_hand_goes_before_the_file_s_times() {
    let mut w = at_full_power(two_classes());
    let classes = vec![Some(RampClass::Slow), Some(RampClass::Fast)];
    w.feed(Event::Hands(Hands { classes, ..Hands::default() }));
    let site = Box::new(w.site.clone());
    w.feed(Event::Configured(site));
    let p = w.engine.preview(Power(100_000), w.now + Span::minutes(30)).unwrap();
    assert!(p.rows[0].goes.machines == 0 && p.rows[1].goes.machines > 0, "{p:?}");
}

#[test]
fn without_its_meter_nothing_is_proven_and_power_comes_down_all_the_same() {
    let mut w = metered(100);
    // The site draws more than its machines say, and the meter is never read again.
    let more = Power(30_000);
    let full = w.import();
    w.feed(Event::Meter { meter: MeterId(0), power: Some(full + more) });
    let by = w.now + Span::seconds(30);
    w.operator(Act::Curtail { shed: Power(100_000), by });
    for _ in 0..60 {
        w.telemetry();
        w.now += Span::seconds(1);
        w.feed(Event::Tick);
    }
    assert!(w.import() <= full - Power(100_000), "{} of {full}", w.import());
    assert!(w.import() > full - Power(125_000), "{} of {full}", w.import());
    assert!(w.engine.curtailment().unwrap().proven_at.is_none());
    let alarms = w.engine.alarms();
    assert!(alarms.contains(&Alarm::DeadlineMissed) && alarms.contains(&Alarm::MeterLost(0)));
}

#[test]
fn a_meter_that_was_stale_when_it_was_asked_leaves_nothing_proven() {
    let mut w = metered(100);
    let by = w.now + Span::seconds(30);
    w.operator(Act::Curtail { shed: Power(100_000), by });
    for _ in 0..45 {
        w.telemetry();
        w.now += Span::seconds(1);
        w.feed(Event::Tick);
    }
    assert!(w.engine.curtailment().unwrap().proven_at.is_none());
    read_meter(&mut w);
    w.now += Span::seconds(1);
    read_meter(&mut w);
    assert!(w.engine.curtailment().unwrap().proven_at.is_some());
}

#[test]
fn a_ramp_is_kept_after_any_number_of_waves() {
    let mut w = metered(300);
    let mut s = w.site.clone();
    s.limits.step = Some(Ramp { power: Power(6_500), per: Span::seconds(20) });
    w = at_full_power(s);
    let shed = w.import() - Power(20_000);
    w.operator(Act::Curtail { shed, by: w.now + Span::minutes(60) });
    let mut seen = vec![w.import()];
    for _ in 0..60 * 30 {
        w.price_again();
        read_meter(&mut w);
        w.telemetry();
        w.now += Span::seconds(1);
        w.feed(Event::Tick);
        seen.push(w.import());
        let then = seen[seen.len().saturating_sub(20)];
        assert!(then - w.import() <= Power(6_700), "{then} to {}", w.import());
    }
    assert_eq!(w.engine.curtailment().unwrap().waves.len(), 64);
}

#[test]
fn what_comes_back_starts_so_many_machines_at_a_time() {
    let mut w = metered(100);
    let inrush = Some(Ramp { power: Power(9_000), per: Span::seconds(2) });
    w.feed(Event::Hands(Hands { inrush, ..Hands::default() }));
    let site = Box::new(w.site.clone());
    w.feed(Event::Configured(site));
    let full = w.import();
    curtail(&mut w, full.0 - 4_000, 30);
    assert_eq!(w.awake(), 0);
    w.run(Span::minutes(20));
    w.operator(Act::Resume);
    w.telemetry();
    let mut awake = vec![w.awake()];
    for _ in 0..80 {
        w.price_again();
        read_meter(&mut w);
        w.run(Span::seconds(1));
        awake.push(w.awake());
    }
    // Three of 2,764 W more at a time, whatever else happens in between.
    assert!(awake.windows(2).all(|pair| pair[1] - pair[0] <= 3), "{awake:?}");
    let at_most = |(second, n): (usize, &usize)| *n <= 3 * (second / 2 + 1);
    assert!(awake.iter().enumerate().all(at_most), "{awake:?}");
    assert_eq!(w.awake(), 100, "{awake:?}");
}

#[test]
fn a_meter_that_tells_what_cannot_be_is_alarmed_and_keeps_its_last_reading() {
    let mut w = metered(10);
    read_meter(&mut w);
    let (alarm, full) = (Alarm::MeterImplausible(0), w.import());
    assert_eq!(w.engine.measured_import(), Some(full));
    let step = w.feed(Event::Meter { meter: MeterId(0), power: None });
    assert!(step.alarms.iter().any(|a| a.alarm == alarm && a.raised), "{:?}", step.alarms);
    assert!(w.feed(Event::Meter { meter: MeterId(0), power: None }).alarms.is_empty());
    assert_eq!(w.engine.measured_import(), Some(full));
    // What it last said grows old all the same.
    w.run(Span::seconds(30));
    assert!(w.engine.alarms().contains(&Alarm::MeterLost(0)), "{:?}", w.engine.alarms());
    read_meter(&mut w);
    assert!(!w.engine.alarms().contains(&alarm), "{:?}", w.engine.alarms());
    // A meter the site does not have says nothing.
    assert!(w.feed(Event::Meter { meter: MeterId(9), power: None }).alarms.is_empty());
}
