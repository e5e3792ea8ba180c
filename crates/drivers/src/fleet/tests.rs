//! The driver against machines played in memory, on a clock that only the test moves.

mod families;
pub(crate) mod farm;
mod properties;

use super::*;
use farm::{Farm, Habit, SLEEP_WATTS, TOP_WATTS};
use headgate_core::fleet::{Answer, Declared, Level, Link, TargetPhase};

const TOP: Level = Level(4);

/// Runs until nothing is open and shows how the commands ended: all = acked + refused +
/// timed out = confirmed + drifted + unavailable + superseded.
fn check(farm: &mut Farm) -> String {
    farm.settle();
    let c = farm.driver.counts();
    assert_eq!(c.open, 0, "at rest nothing is open");
    assert_eq!(c.commands, c.acked + c.refused + c.timed_out, "{c:?}");
    assert_eq!(c.commands, c.confirmed + c.drifted + c.unavailable + c.superseded, "{c:?}");
    let answers = format!("{}+{}+{}", c.acked, c.refused, c.timed_out);
    let proofs = format!("{}+{}+{}+{}", c.confirmed, c.drifted, c.unavailable, c.superseded);
    format!("{} = {answers} = {proofs}", c.commands)
}

#[test]
fn a_fleet_goes_down_and_comes_back() {
    let mut farm = Farm::new(20, Habit::Good);
    farm.read_back();
    farm.tell(1, 0..20, Level::SLEEP);
    assert!(farm.driver.proving());
    insta::assert_snapshot!(check(&mut farm), @"20 = 20+0+0 = 20+0+0+0");
    assert!(!farm.driver.proving());
    assert_eq!(farm.reported(3).phase, TargetPhase::Confirmed);
    assert_eq!(farm.reported(3).watts, Some(Power(SLEEP_WATTS)));
    assert!(farm.machines.iter().all(|m| m.session.is_none()), "every session was given back");
    farm.tell(2, 0..20, Level(2));
    insta::assert_snapshot!(check(&mut farm), @"40 = 40+0+0 = 40+0+0+0");
    farm.run_for(Span::minutes(2));
    let view = farm.driver.machine_view(MachineId(3)).unwrap();
    assert_eq!(view.told.map(|t| t.value), Some(Level(2)));
    assert_eq!(view.acked.map(|t| t.value), Some(Answer::Accepted));
    assert_eq!(view.measured.map(|t| t.value), Some(Power(1414)));
}

#[test]
fn one_request_a_machine_and_no_more_than_the_bound() {
    let mut farm = Farm::new(200, Habit::Good);
    farm.read_back();
    farm.tell(1, 0..200, Level::SLEEP);
    farm.settle();
    assert!(farm.most_in_flight <= farm::CONCURRENCY, "{}", farm.most_in_flight);
    assert_eq!(farm.most_in_flight, farm::CONCURRENCY, "the bound is used");
}

#[test]
fn a_machine_that_lies_is_drifted_never_shed() {
    let mut farm = Farm::new(3, Habit::Good);
    farm.machines[1].habit = Habit::Lies;
    farm.read_back();
    farm.tell(1, 0..3, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"3 = 3+0+0 = 2+1+0+0");
    assert_eq!(farm.reported(1).phase, TargetPhase::Drifted);
    assert_eq!(farm.reported(1).answer, Some(Answer::Accepted));
    assert_eq!(farm.driver.refused_reason(MachineId(1)), Some("said yes, its watts say no"));
}

#[test]
fn a_machine_that_does_not_come_back_failed_to_restore() {
    let mut farm = Farm::new(2, Habit::Good);
    farm.read_back();
    farm.tell(1, 0..2, Level::SLEEP);
    farm.settle();
    farm.machines[0].habit = Habit::Lies;
    farm.tell(2, 0..2, TOP);
    insta::assert_snapshot!(check(&mut farm), @"4 = 4+0+0 = 3+1+0+0");
    assert_eq!(farm.reported(0).phase, TargetPhase::RestoreFailed);
}

#[test]
fn a_first_timeout_is_told_at_once_and_the_retry_goes_on() {
    let mut farm = Farm::new(8, Habit::Good);
    farm.read_back();
    farm.machines[5].habit = Habit::Mute;
    let began = farm.now;
    farm.tell(1, 0..8, Level::SLEEP);
    farm.run_until(|f| f.reported(5).answer == Some(Answer::TimedOut));
    assert_eq!(farm.reported(5).phase, TargetPhase::Unavailable);
    assert_eq!(farm.now.since(began), farm::BUDGET, "told when the first try ended");
    assert_eq!(farm.driver.counts().timed_out, 0, "the retry goes on");
    let others =
        |f: &Farm| (0..8).filter(|m| *m != 5).all(|m| f.driver.machines[m].answer.is_some());
    assert!(others(&farm), "nobody waited for the mute one");
    insta::assert_snapshot!(check(&mut farm), @"8 = 7+0+1 = 7+0+1+0");
    assert_eq!(farm.reported(5).link, Link::Silent);
}

#[test]
fn mute_machines_hold_nobody_back() {
    let n = 400;
    let ends = |mute: bool| {
        let mut farm = Farm::new(n, Habit::Good);
        farm.read_back();
        for m in (0..n).filter(|m| mute && m % 20 == 7) {
            farm.machines[m as usize].habit = Habit::Mute;
        }
        let began = farm.now;
        farm.tell(1, 0..n, Level::SLEEP);
        farm.run_until(|f| {
            f.driver.machines.iter().all(|m| m.answer.is_some())
                && (0..n as usize).all(|m| {
                    f.machines[m].habit == Habit::Mute
                        || f.driver.machines[m].phase == TargetPhase::Confirmed
                })
        });
        farm.now.since(began).0
    };
    let (without, with) = (ends(false), ends(true));
    assert!(with * 10 <= without * 13, "{with} against {without}");
}

#[test]
fn timed_out_but_proven_by_watts_is_confirmed() {
    let mut farm = Farm::new(1, Habit::Good);
    farm.read_back();
    farm.machines[0].habit = Habit::MuteAfterAccept;
    farm.tell(1, 0..1, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"1 = 0+0+1 = 1+0+0+0");
}

#[test]
fn a_second_controller_is_named() {
    let mut farm = Farm::new(1, Habit::Good);
    farm.read_back();
    farm.machines[0].session = Some("theirs".into());
    farm.machines[0].theirs = true;
    farm.tell(1, 0..1, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"1 = 0+1+0 = 0+0+1+0");
    let why = farm.driver.refused_reason(MachineId(0)).unwrap();
    insta::assert_snapshot!(why, @"another session is active (second controller?)");
    let rivals = |farm: &Farm| farm.driver.rivals().collect::<Vec<_>>();
    assert_eq!(rivals(&farm), [(MachineId(0), Rival::Session)]);
    // It lets go, and the next command gets through.
    farm.machines[0].session = None;
    farm.tell(2, 0..1, Level::SLEEP);
    farm.settle();
    assert_eq!(rivals(&farm), []);
}

#[test]
fn garbage_is_refused_with_what_came() {
    let mut farm = Farm::new(1, Habit::Good);
    farm.read_back();
    farm.machines[0].habit = Habit::WebPage;
    farm.tell(1, 0..1, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"1 = 0+1+0 = 0+0+1+0");
    let why = farm.driver.refused_reason(MachineId(0)).unwrap();
    assert!(why.contains("a web page came"), "{why}");
    assert_eq!(farm.reported(0).watts, Some(Power(TOP_WATTS)), "what was known stays known");
}

#[test]
fn an_older_plan_is_refused_and_a_late_one_never_sent() {
    let mut farm = Farm::new(2, Habit::Good);
    farm.read_back();
    farm.tell(5, 0..1, Level::SLEEP);
    farm.settle();
    farm.tell(4, 0..1, TOP);
    let late = farm.plan(6, 1..2, Level::SLEEP, Span::ZERO);
    farm.input(Input::Plan(&late));
    insta::assert_snapshot!(check(&mut farm), @"1 = 1+0+0 = 1+0+0+0");
    assert_eq!(farm.machines[0].commands, ["sleep"]);
    assert!(farm.machines[1].commands.is_empty());
    // The engine took it as told: it must hear that it was not, whatever the watts say of before.
    farm.run_for(Span::minutes(1));
    let late = farm.reported(1);
    assert_eq!((late.generation, late.phase), (6, TargetPhase::Unavailable));
}

#[test]
fn the_newest_target_wins_and_a_stale_raise_is_never_said() {
    let mut farm = Farm::new(1, Habit::Good);
    farm.read_back();
    farm.tell(1, 0..1, Level::SLEEP);
    farm.settle();
    // Only the request for a session is on the wire when the newer target comes.
    farm.tell(2, 0..1, TOP);
    farm.tell(3, 0..1, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"2 = 2+0+0 = 2+0+0+0");
    assert_eq!(farm.machines[0].commands, ["sleep", "sleep"]);
    // Here the raise was said, and is overtaken before it is proven.
    farm.tell(4, 0..1, TOP);
    farm.run_until(|f| f.driver.counts().acked == 3);
    farm.tell(5, 0..1, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"4 = 4+0+0 = 3+0+0+1");
}

#[test]
fn an_excluded_machine_is_read_and_never_told() {
    let mut farm = Farm::with(4, Habit::Good, |site| site.machines[2].excluded = true);
    farm.read_back();
    farm.tell(1, 0..4, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"3 = 3+0+0 = 3+0+0+0");
    assert!(farm.machines[2].commands.is_empty());
    let sum = farm.last.as_ref().unwrap().cohorts[0];
    assert_eq!(sum.power, Power(TOP_WATTS + 3 * SLEEP_WATTS), "it counts as drawing");
}

#[test]
fn power_that_moves_by_itself_is_reported() {
    let mut farm = Farm::new(2, Habit::Good);
    farm.read_back();
    farm.tell(1, 0..2, Level::SLEEP);
    farm.settle();
    farm.machines[1].draw(farm.now, TOP_WATTS, Span::seconds(1));
    farm.run_for(Span::seconds(65));
    assert_eq!(farm.reported(1).phase, TargetPhase::Drifted);
    assert_eq!(farm.reported(0).phase, TargetPhase::Confirmed);
    let why = farm.driver.refused_reason(MachineId(1)).unwrap();
    insta::assert_snapshot!(why, @"its power moved without our command");
}

#[test]
fn a_step_between_near_levels_must_move() {
    let mut farm = Farm::with(1, Habit::Good, |site| {
        site.cohorts[0].curve = farm::curve(&[(2485, 111_500), (2794, 121_800)]);
        site.cohorts[0].overclocked = 0;
    });
    farm.read_back();
    farm.machines[0].habit = Habit::Lies;
    farm.tell(1, 0..1, Level(1));
    // 2794 W lies within 15 % of 2485 W: only having moved is proof.
    insta::assert_snapshot!(check(&mut farm), @"1 = 1+0+0 = 0+1+0+0");
    farm.run_for(Span::minutes(2));
    assert_eq!(farm.reported(0).phase, TargetPhase::Drifted, "nor does a later reading do");
}

#[test]
fn read_back_tells_every_machine_once_before_any_command() {
    let mut farm = Farm::new(6, Habit::Good);
    farm.machines[2].habit = Habit::Mute;
    farm.machines[4].asleep_from_the_start(farm.now);
    farm.input(Input::ReadBack);
    let plan = farm.plan(1, 0..6, Level::SLEEP, Span::minutes(5));
    farm.input(Input::Plan(&plan));
    farm.run_until(|f| f.batches.iter().any(|b| b.machines.len() == 6));
    let all = farm.batches.iter().find(|b| b.machines.len() == 6).unwrap();
    assert_eq!(all.machines[2].link, Link::Silent, "given up, not unknown");
    assert_eq!(all.machines[2].watts, None, "missing is not zero");
    assert_eq!(all.machines[4].declared, Some(Declared::Asleep));
    for m in farm.machines.iter().filter(|m| m.habit == Habit::Good) {
        assert_eq!(m.heard[..2], ["power", "config"], "read before told");
    }
    farm.settle();
}

#[test]
fn silent_machines_are_tried_ever_more_rarely_and_found_again() {
    let mut farm = Farm::new(2, Habit::Good);
    farm.read_back();
    farm.machines[1].habit = Habit::Mute;
    farm.run_for(Span::minutes(3));
    assert_eq!(farm.reported(1).link, Link::Silent);
    let sum = farm.last.as_ref().unwrap().cohorts[0];
    assert_eq!((sum.heard, sum.silent), (1, 1));
    assert_eq!(sum.power, Power(2 * TOP_WATTS), "as last measured");
    assert_eq!(sum.rate.0, 121_800, "only what is heard of works");
    let tries = farm.machines[1].heard.len();
    farm.run_for(Span::hours(1));
    assert!(farm.machines[1].heard.len() - tries <= 9, "{}", farm.machines[1].heard.len());
    farm.machines[1].habit = Habit::Good;
    farm.run_for(Span::minutes(9));
    assert_eq!(farm.reported(1).link, Link::Fresh);
}

#[test]
fn quiet_rounds_say_one_heartbeat() {
    let mut farm = Farm::new(50, Habit::Good);
    farm.read_back();
    farm.batches.clear();
    farm.run_for(Span::minutes(10));
    assert_eq!(farm.batches.len(), 20, "one a round of 30 s");
    assert!(farm.batches.iter().all(|b| b.machines.is_empty()));
    let last = farm.last.as_ref().unwrap();
    assert!(last.at.since(last.cohorts[0].oldest.unwrap()) <= Span::seconds(1));
}

#[test]
fn a_clock_set_back_loses_nothing() {
    let mut farm = Farm::new(2, Habit::Good);
    farm.read_back();
    farm.set_clock_back(Span::hours(1));
    farm.batches.clear();
    farm.run_for(Span::minutes(2));
    assert!(farm.batches.len() >= 3, "polls go on");
    farm.tell(1, 0..2, Level::SLEEP);
    insta::assert_snapshot!(check(&mut farm), @"2 = 2+0+0 = 2+0+0+0");
}

#[test]
fn rate_is_read_between_levels() {
    let farm = Farm::new(1, Habit::Good);
    let cohort = &farm.driver.cohorts[0];
    let rates: Vec<_> = [0, 30, 407, 784, 2794, 3000, 9999].map(|w| cohort.rate_at(w)).into();
    assert_eq!(rates, [0, 0, 19_600, 39_200, 121_800, 128_328, 132_100]);
}

#[test]
fn another_protocol_is_refused_by_name() {
    let mut site = farm::site(1);
    site.drivers[0].kind = "abacus".into();
    let said = |id: u16, site: &Site| {
        FleetDriver::new(DriverId(id), site, Options::default()).unwrap_err().to_string()
    };
    let text = said(0, &site);
    assert!(text.starts_with(r#"failed to build driver luxos: kind "abacus" is none of luxos, "#));
    insta::assert_snapshot!(said(7, &site), @"failed to build driver 7: the site has 1");
}

#[test]
fn a_lack_of_descriptors_narrows_once_and_costs_no_machine_its_name() {
    let mut farm = Farm::new(200, Habit::Good);
    farm.read_back();
    farm.lack_from = Some(farm.now + Span::millis(50));
    farm.tell(1, 0..200, Level::SLEEP);
    farm.run_until(|f| f.driver.slots.all < farm::CONCURRENCY);
    assert!(farm.driver.slots.all >= SLOTS_MIN);
    farm.run_for(Span::seconds(2));
    assert_eq!(farm.driver.slots.all, SLOTS_MIN, "it goes no lower, however often it fails");
    farm.lack_from = None;
    insta::assert_snapshot!(check(&mut farm), @"200 = 200+0+0 = 200+0+0+0");
    assert!((0..200).all(|m| farm.driver.machines[m].fails == 0), "no machine was to blame");
    farm.run_for(Span::minutes(2));
    assert_eq!(farm.driver.slots.all, farm::CONCURRENCY, "and comes back");
}

#[test]
fn mute_machines_narrow_nothing() {
    let mut farm = Farm::new(200, Habit::Mute);
    farm.input(Input::ReadBack);
    farm.run_for(Span::minutes(1));
    assert_eq!(farm.driver.slots.all, farm::CONCURRENCY);
}
