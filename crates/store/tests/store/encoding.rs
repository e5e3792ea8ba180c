//! The encoding of events, as bytes: an old journal must stay readable.
//!
//! If one of these changes, an existing journal can no longer be read. New variants go at the end
//! of their enum, which changes nothing here. Anything else (a field added, moved or of another
//! type, a variant moved) needs a new `segment::FORMAT`, and the old one still read.

use headgate_core::curtail::RampClass;
use headgate_core::event::{
    Act, AutomationMode, Event, FeedId, Hashprice, MeterId, OperatorAct, Stamped,
};
use headgate_core::fleet::{
    Answer, CohortId, CohortSum, Declared, DriverId, Link, MachineId, MachineReport,
    OperatingPoint, PowerCurve, TargetPhase, TelemetryBatch,
};
use headgate_core::hands::{Hands, SwitchId, SwitchSpec};
use headgate_core::horizon::unit::{Begins, UnitSpec};
use headgate_core::market::{PriceKind, PriceRow, SettlementPoint};
use headgate_core::site::{
    Block, Cohort, DriverSpec, Failsafe, Feed, MachineSpec, MachineTimes, MarketRule, MeterKind,
    MeterSpec, Overhead, Policy, PolicyRule, PriceLoss, Ramp, Site, SiteLimits, Value,
};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Power, Price, Rate};
use headgate_store::Outcome;
use headgate_store::segment::segment_name;

const AT: Time = Time(1_700_000_000_000_000_000);

fn check(event: Event) -> String {
    // A new variant does not compile here: give it a golden of its own.
    match &event {
        Event::Started { .. }
        | Event::Configured(_)
        | Event::Prices { .. }
        | Event::FeedRejected { .. }
        | Event::Value(_)
        | Event::Telemetry(_)
        | Event::Meter { .. }
        | Event::Operator(_)
        | Event::Tick
        | Event::ClockStepped { .. }
        | Event::Units(_)
        | Event::Models(_)
        | Event::Hands(_)
        | Event::Switch { .. } => {}
    }
    let stamped = Stamped { seq: 300, at: AT, event };
    let bytes = postcard::to_stdvec(&stamped).unwrap();
    assert_eq!(postcard::from_bytes::<Stamped>(&bytes).unwrap(), stamped);
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn act(act: Act) -> String {
    check(Event::Operator(OperatorAct { actor: "ana".into(), reason: "storm".into(), act }))
}

fn unit() -> UnitSpec {
    UnitSpec {
        cohort: CohortId(1),
        min: Power(40),
        max: Power(100),
        start_at: Power(60),
        ramp_up: Some(Ramp { power: Power(20), per: Span(5) }),
        ramp_down: None,
        min_on: Span(7),
        min_off: Span(8),
        start_cost: Money(400),
        starts_per_day: Some(6),
        begins: Begins::On,
    }
}

fn prices(kind: PriceKind) -> String {
    let interval = Interval::starting(AT, Span::minutes(15));
    let rows = vec![PriceRow { interval, price: Price(-31_610_000), known_at: AT }];
    check(Event::Prices { feed: FeedId(2), kind, rows })
}

#[test]
fn small_events_keep_their_bytes() {
    let value = Hashprice { per_ph_day: Money(45_000_000), known_at: AT };
    insta::assert_snapshot!(check(Event::Started { version: "1.2.3".into(), epoch: 7 }), @"ac028080d0e2c6bfce972f0005312e322e3307");
    insta::assert_snapshot!(prices(PriceKind::Dispatch), @"ac028080d0e2c6bfce972f020200018080d0e2c6bfce972f80a0c1a5f8f3ce972f9fd2921e8080d0e2c6bfce972f");
    insta::assert_snapshot!(prices(PriceKind::Settlement), @"ac028080d0e2c6bfce972f020201018080d0e2c6bfce972f80a0c1a5f8f3ce972f9fd2921e8080d0e2c6bfce972f");
    insta::assert_snapshot!(prices(PriceKind::DayAhead), @"ac028080d0e2c6bfce972f020202018080d0e2c6bfce972f80a0c1a5f8f3ce972f9fd2921e8080d0e2c6bfce972f");
    insta::assert_snapshot!(prices(PriceKind::LookAhead), @"ac028080d0e2c6bfce972f020203018080d0e2c6bfce972f80a0c1a5f8f3ce972f9fd2921e8080d0e2c6bfce972f");
    let rejected = Event::FeedRejected { feed: FeedId(1), error: "line 3".into() };
    insta::assert_snapshot!(check(rejected), @"ac028080d0e2c6bfce972f0301066c696e652033");
    insta::assert_snapshot!(check(Event::Value(value)), @"ac028080d0e2c6bfce972f048095f52a8080d0e2c6bfce972f");
    let meter = |power| check(Event::Meter { meter: MeterId(1), power });
    insta::assert_snapshot!(meter(Some(Power(-5))), @"ac028080d0e2c6bfce972f06010109");
    insta::assert_snapshot!(meter(None), @"ac028080d0e2c6bfce972f060100");
    insta::assert_snapshot!(check(Event::Tick), @"ac028080d0e2c6bfce972f08");
    insta::assert_snapshot!(check(Event::Units(vec![unit()])), @"ac028080d0e2c6bfce972f0a010150c8017801280a000e10a006010601");
    insta::assert_snapshot!(check(Event::ClockStepped { by: Span(-1) }), @"ac028080d0e2c6bfce972f0901");
}

#[test]
fn acts_keep_their_bytes() {
    insta::assert_snapshot!(act(Act::Hold { power: Some(Power(1)), until: Some(AT) }), @"ac028080d0e2c6bfce972f0703616e610573746f726d000102018080d0e2c6bfce972f");
    insta::assert_snapshot!(act(Act::Release), @"ac028080d0e2c6bfce972f0703616e610573746f726d01");
    insta::assert_snapshot!(act(Act::Stop), @"ac028080d0e2c6bfce972f0703616e610573746f726d02");
    insta::assert_snapshot!(act(Act::Mode(AutomationMode::Off)), @"ac028080d0e2c6bfce972f0703616e610573746f726d0300");
    insta::assert_snapshot!(act(Act::Mode(AutomationMode::Shadow)), @"ac028080d0e2c6bfce972f0703616e610573746f726d0301");
    insta::assert_snapshot!(act(Act::Mode(AutomationMode::Advise)), @"ac028080d0e2c6bfce972f0703616e610573746f726d0302");
    insta::assert_snapshot!(act(Act::Mode(AutomationMode::Auto)), @"ac028080d0e2c6bfce972f0703616e610573746f726d0303");
    insta::assert_snapshot!(act(Act::Mode(AutomationMode::Hold)), @"ac028080d0e2c6bfce972f0703616e610573746f726d0304");
}

#[test]
fn curtailments_and_switches_keep_their_bytes() {
    insta::assert_snapshot!(act(Act::Curtail { shed: Power(25_000_000), by: AT }), @"ac028080d0e2c6bfce972f0703616e610573746f726d0480e1eb178080d0e2c6bfce972f");
    insta::assert_snapshot!(act(Act::Resume), @"ac028080d0e2c6bfce972f0703616e610573746f726d05");
    let feeds = vec![MachineId(3), MachineId(70_000)];
    let switch = SwitchSpec { name: "pdu 1".into(), feeds, allowed: true };
    let classes = vec![None, Some(RampClass::Fast), Some(RampClass::Slow)];
    let hands = Hands { classes, switches: vec![switch], inrush: limits().ramp_up };
    insta::assert_snapshot!(check(Event::Hands(hands)), @"ac028080d0e2c6bfce972f0c030001000101010570647520310203f0a204010180897a80e0ba84bf03");
    let seen = |closed| check(Event::Switch { switch: SwitchId(1), closed });
    insta::assert_snapshot!(seen(Some(false)), @"ac028080d0e2c6bfce972f0d010100");
    insta::assert_snapshot!(seen(None), @"ac028080d0e2c6bfce972f0d0100");
}

#[test]
fn telemetry_keeps_its_bytes() {
    let report = |phase, link, answer, declared| MachineReport {
        machine: MachineId(70_000),
        generation: 9,
        phase,
        link,
        answer,
        declared,
        watts: Some(Power(2794)),
        measured_at: Some(AT),
    };
    let machines = vec![
        report(TargetPhase::Pending, Link::Unknown, None, None),
        report(TargetPhase::Dispatched, Link::Fresh, Some(Answer::Accepted), None),
        report(TargetPhase::Confirmed, Link::Silent, Some(Answer::Refused), None),
        report(TargetPhase::Drifted, Link::Fresh, None, Some(Declared::Asleep)),
        report(TargetPhase::Unavailable, Link::Fresh, None, Some(Declared::Awake)),
        report(TargetPhase::RestoreFailed, Link::Fresh, Some(Answer::TimedOut), None),
    ];
    let sum = CohortSum {
        cohort: CohortId(1),
        heard: 3,
        silent: 2,
        power: Power(8000),
        rate: Rate(360_000),
        oldest: None,
    };
    let batch = TelemetryBatch { driver: DriverId(1), at: AT, cohorts: vec![sum], machines };
    insta::assert_snapshot!(check(Event::Telemetry(batch)), @"ac028080d0e2c6bfce972f05018080d0e2c6bfce972f01010302807d80f92b0006f0a204090000000001d42b018080d0e2c6bfce972ff0a20409010101000001d42b018080d0e2c6bfce972ff0a20409020201010001d42b018080d0e2c6bfce972ff0a20409030100010001d42b018080d0e2c6bfce972ff0a20409040100010101d42b018080d0e2c6bfce972ff0a20409050101020001d42b018080d0e2c6bfce972f");
}

#[test]
fn a_configuration_keeps_its_bytes() {
    insta::assert_snapshot!(check(Event::Configured(Box::new(site()))), @"ac028080d0e2c6bfce972f01075065636f7320310261620f416d65726963612f4368696361676f056572636f740355534480e0a596bb1180a0f1c2b134074c5a5f57455354024c5a80f104e0a71280bfd6060180897a80e0ba84bf0300018092f40180c8afa0250180ade20480fcd91a8080d0e2c6bfce972f8080c8f7d8e4f5972fc0843d80897ac0bef40300a09c018080b49fdbf73a80b51801077331396b70726f00033c00a00cc0e404d42b90ef0e0180c0b2cd3b80e0a596bb1180a0f1c2b13480a0f1c2b134c0b802060180d7cc5a00010e3132372e312e302e313a3430323800010102d80401036c6d7000010d6572636f745f6e70365f3738380d66696c653a2f7372762f37383880a086b1b52601056c75786f73056c75786f73bc1f80d0acf30e80b09dc2df01a0060103706f69008090dfc04a80a0f1c2b13401008090dfc04a8090d8c69e05");
    let rules = [
        PolicyRule::AlwaysOn,
        PolicyRule::FixedStrike(Price(5)),
        PolicyRule::Breakeven,
        PolicyRule::LookAhead,
    ];
    let rules: Vec<_> = rules.iter().map(|r| hex(&postcard::to_stdvec(r).unwrap())).collect();
    insta::assert_snapshot!(rules.join(" "), @"00 010a 02 03");
    insta::assert_snapshot!(hex(&postcard::to_stdvec(&Value::Energy(Price(5))).unwrap()), @"010a");
    insta::assert_snapshot!(hex(&postcard::to_stdvec(&MeterKind::Reported).unwrap()), @"01");
}

#[test]
fn an_outcome_and_a_segment_keep_their_bytes() {
    let outcome = Outcome { cause: 300, digest: [7; 16], body: vec![1, 2, 3] };
    insta::assert_snapshot!(hex(&postcard::to_stdvec(&outcome).unwrap()), @"ac020707070707070707070707070707070703010203");
    let disk = crate::examples::disk(1).1;
    let options = crate::examples::options(1 << 20);
    let mut journal = headgate_store::Journal::open(std::sync::Arc::clone(&disk), options);
    let journal = &mut journal.as_mut().unwrap().0;
    journal.append(&crate::examples::event(1), true).unwrap();
    journal.sync().unwrap();
    insta::assert_snapshot!(hex(&disk.read(&segment_name(1), 0, 1000).unwrap()), @"484541444741544501000000fb1dc80a0100000000000000000000000000000000000000000000000000000000000000000000000000000005312e322e3300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000010000000b35f48260103f2b4fa42b7b23dee7692b7f698df43250180a8a69ccebfce972f06000180897a");
}

fn site() -> Site {
    Site {
        name: "Pecos 1".into(),
        config_hash: "ab".into(),
        timezone: "America/Chicago".into(),
        market: MarketRule {
            name: "ercot".into(),
            currency: "USD".into(),
            dispatch_step: Span::minutes(5),
            settle_step: Span::minutes(15),
        },
        point: SettlementPoint { name: "LZ_WEST".into(), kind: "LZ".into() },
        overhead: Overhead { share_ppm: 40_000, fixed: Power(150_000) },
        limits: limits(),
        blocks: vec![Block {
            quantity: Power(5_000_000),
            price: Price(28_000_000),
            from: AT,
            to: AT + Span::hours(24),
            resale_fee: Price(500_000),
            resale_share_ppm: 1_000_000,
        }],
        import_adder: Price(4_100_000),
        value: Value::Hashprice {
            pool_fee_ppm: 10_000,
            stale_after: Span::hours(36),
            stale_discount_ppm: 200_000,
        },
        cohorts: vec![cohort()],
        machines: vec![MachineSpec {
            address: "127.1.0.1:4028".into(),
            cohort: CohortId(0),
            excluded: true,
        }],
        policy: Policy {
            mode: AutomationMode::Shadow,
            rule: PolicyRule::Breakeven,
            starts_per_hour: 600,
        },
        feeds: vec![Feed {
            name: "lmp".into(),
            role: PriceKind::Dispatch,
            rank: 1,
            parser: "ercot_np6_788".into(),
            source: "file:/srv/788".into(),
            stale_after: Span::minutes(11),
        }],
        drivers: vec![DriverSpec {
            name: "luxos".into(),
            kind: "luxos".into(),
            port: 4028,
            request_budget: Span::seconds(2),
            poll_watts: Span::seconds(30),
            concurrency: 800,
        }],
        meters: vec![MeterSpec {
            name: "poi".into(),
            kind: MeterKind::MachineSum,
            stale_after: Span::seconds(10),
        }],
        failsafe: Failsafe {
            dispatch_price: PriceLoss {
                hold: Span::minutes(15),
                day_ahead: true,
                otherwise: Power::ZERO,
            },
            meter_hold: Span::seconds(10),
            telemetry_hold: Span::seconds(90),
        },
    }
}

fn limits() -> SiteLimits {
    let ramp = |mw: i64, per| Some(Ramp { power: Power(mw * 1_000_000), per });
    SiteLimits {
        import: Power(7_000_000),
        ramp_up: ramp(1, Span::minutes(1)),
        ramp_down: None,
        step: ramp(2, Span::seconds(5)),
    }
}

fn cohort() -> Cohort {
    let point = |w, r| OperatingPoint { power: Power(w), rate: Rate(r) };
    let levels = [point(784, 39_200), point(2794, 121_800)];
    Cohort {
        name: "s19kpro".into(),
        driver: DriverId(0),
        curve: PowerCurve::new(Power(30), &levels).unwrap(),
        overclocked: 1,
        times: MachineTimes {
            down: Span::seconds(8),
            up: Span::seconds(300),
            min_on: Span::minutes(15),
            min_off: Span::minutes(15),
        },
        start_cost: Money(20_000),
        starts_per_day: 6,
        strike: Some(Price(95_000_000)),
        value: None,
    }
}
