//! What there is to say about a site, in groups of label, value, unit and note. The screen and
//! the plain table say the same things because both say these.

use super::words::{
    Tone, UNKNOWN, clean, count, known, mw, number, seconds_until, span, time_utc, utc,
};
use crate::status::{FeedView, MeterView, Status, SwitchView};
use headgate_core::units::Power;

/// One value with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Fact {
    pub label: String,
    pub value: String,
    pub unit: String,
    pub note: String,
    pub tone: Tone,
}

/// Facts about one thing.
#[derive(Debug, Clone)]
pub struct Group {
    pub title: &'static str,
    pub facts: Vec<Fact>,
}

impl Group {
    /// The unit of its first fact.
    pub fn unit(&self) -> &str {
        self.facts.first().map_or("", |f| f.unit.as_str())
    }
}

impl Fact {
    fn new(label: &str, value: String, unit: &str) -> Self {
        let tone = if value == UNKNOWN { Tone::Quiet } else { Tone::Plain };
        // A value that is not known has no unit.
        let unit = if value == UNKNOWN { "" } else { unit };
        Self { label: label.into(), value, unit: unit.into(), note: String::new(), tone }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = clean(&note.into());
        self
    }

    fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// A count; before the first step nothing has been counted.
fn counted(s: &Status, label: &str, n: impl Into<u64>) -> Fact {
    let value = if s.seq == 0 { UNKNOWN.into() } else { count(n.into()) };
    Fact::new(label, value, "")
}

/// A count that should be none.
fn fault(s: &Status, label: &str, n: impl Into<u64>) -> Fact {
    let n = n.into();
    let fact = counted(s, label, n);
    if n > 0 { fact.tone(Tone::Warn) } else { fact }
}

fn currency(s: &Status) -> String {
    clean(&s.currency)
}

/// The unit of prices.
pub fn per_mwh(s: &Status) -> String {
    if s.currency.is_empty() { "per MWh".into() } else { format!("{}/MWh", currency(s)) }
}

/// Whether every feed that brings the prices of now is stale.
pub fn price_is_stale(s: &Status) -> bool {
    let mut live = s.feeds.iter().filter(|f| f.role != "day_ahead").peekable();
    live.peek().is_some() && live.all(|f| f.stale)
}

/// The price.
pub fn price(s: &Status) -> Group {
    let unit = per_mwh(s);
    let mut facts = Vec::new();
    match &s.price {
        Some(p) => {
            let stale = price_is_stale(s);
            let age = format!("{} old", span(p.age_s));
            let age = if stale { format!("STALE, {age}") } else { age };
            let tone = if stale { Tone::Warn } else { Tone::Strong };
            let expected = Fact::new("expected", number(p.expected, 2), &unit);
            facts.push(expected.note(p.basis.clone()).tone(tone));
            let tone = if stale { Tone::Warn } else { Tone::Plain };
            let latest = Fact::new("latest", number(p.latest, 2), &unit);
            facts.push(latest.note(age).tone(tone));
        }
        None => {
            facts.push(Fact::new("expected", UNKNOWN.into(), &unit).note("no price yet"));
            facts.push(Fact::new("latest", UNKNOWN.into(), &unit));
        }
    }
    facts
        .push(Fact::new("break-even", known(s.mean_breakeven, 2), &unit).note("mean of the fleet"));
    Group { title: "price", facts }
}

/// How far measured power is from the set point, in words.
fn gap(s: &Status) -> String {
    let (Some(target), Some(measured)) = (s.target_w, s.measured_w) else { return String::new() };
    let over = measured - target;
    let side = if over > 0 { "above" } else { "below" };
    // Closer than a kilowatt is as close as it is shown.
    if over.abs() < 1_000 {
        return "at target".into();
    }
    let doing = match (s.clock.proving, over > 0) {
        (true, true) => ", fall unproven",
        _ => "",
    };
    format!("{} {side} target{doing}", mw(over.abs()))
}

/// Power at the meter.
pub fn power(s: &Status) -> Group {
    let of = |w: Option<i64>| w.map_or_else(|| UNKNOWN.into(), mw);
    let measured = Fact::new("measured", of(s.measured_w), "MW").note(gap(s));
    let measured = if s.measured_w.is_some() { measured.tone(Tone::Strong) } else { measured };
    let limit = (s.seq > 0).then_some(s.import_limit_w);
    let facts = vec![
        Fact::new("target", of(s.target_w), "MW"),
        measured,
        Fact::new("planned", of(s.planned_w), "MW").note("once all told have obeyed"),
        Fact::new("limit", of(limit), "MW").note("import of the connection"),
    ];
    Group { title: "power", facts }
}

/// Money and energy since the start.
pub fn money(s: &Status) -> Group {
    let (m, unit) = (&s.money, currency(s));
    let none = s.seq == 0;
    let of = |v: f64| if none { UNKNOWN.into() } else { number(v, 2) };
    let energy = if none { UNKNOWN.into() } else { number(m.energy_mwh, 3) };
    let rate = Fact::new("now", known(m.rate_per_h, 2), &format!("{unit}/h"));
    let facts = vec![
        Fact::new("profit", of(m.profit), &unit).tone(Tone::Strong),
        rate,
        Fact::new("revenue", of(m.compute_revenue), &unit),
        Fact::new("energy cost", of(m.energy_cost), &unit),
        Fact::new("sold back", of(m.sell_back), &unit),
        Fact::new("energy", energy, "MWh"),
    ];
    Group { title: "money", facts }
}

/// Machines by what they do.
pub fn machines(s: &Status) -> Group {
    let m = &s.machines;
    let of = |label, n: u32| counted(s, label, n);
    let mut facts = vec![
        of("awake", m.awake),
        of("asleep", m.asleep),
        // A machine not yet heard of counts as failed, too, and need not have.
        if s.ready {
            fault(s, "failed", m.failed)
        } else {
            Fact::new("failed", UNKNOWN.into(), "")
        },
        of("excluded", m.excluded),
        of("not heard of", s.unknown_machines),
        of("all", m.all),
    ];
    facts[2].note =
        if s.ready && m.failed > 0 { "counted as drawing".into() } else { String::new() };
    Group { title: "machines", facts }
}

/// What became of the commands to machines.
pub fn commands(s: &Status) -> Group {
    let c = &s.commands;
    let of = |label, n: u64| counted(s, label, n);
    let facts = vec![
        of("told", c.commands),
        of("open", c.open),
        of("acked", c.acked),
        of("confirmed", c.confirmed),
        fault(s, "refused", c.refused),
        fault(s, "drifted", c.drifted),
        fault(s, "timed out", c.timed_out),
        fault(s, "unavailable", c.unavailable),
        of("superseded", c.superseded),
    ];
    Group { title: "commands", facts }
}

fn feed(f: &FeedView) -> Fact {
    let age = f.age_s.map_or_else(|| "never".into(), span);
    let mut note = clean(&f.role).replace('_', "-");
    // What went wrong before the source last answered well is over.
    let lasts = |ago: f64| f.ok_s.is_none_or(|ok| ago <= ok);
    if let Some(error) = f.last_error.as_ref().filter(|_| f.last_error_s.is_some_and(lasts)) {
        note = format!("{note}; {}", clean(error));
    }
    match f.stale {
        true => Fact::new(&clean(&f.name), age, "STALE").note(note).tone(Tone::Warn),
        false => Fact::new(&clean(&f.name), age, "old").note(note),
    }
}

fn meter(m: &MeterView) -> Fact {
    let power = m.power_w.map_or_else(|| "unknown".into(), |w| number(w as f64 / 1e6, 3));
    let mut note = m.age_s.map_or_else(|| "never".into(), |s| format!("{} old", span(s)));
    if m.stale {
        note.push_str(", STALE");
    }
    if let Some(error) = m.last_error.as_ref().filter(|_| m.failing) {
        note = format!("{note}; {}", clean(error));
    }
    let fact = Fact::new(&clean(&m.name), power, "MW").note(note);
    if m.stale || m.failing { fact.tone(Tone::Warn) } else { fact }
}

fn switch(s: &SwitchView) -> Fact {
    let stands = match s.closed {
        Some(true) => "closed",
        Some(false) => "OPEN",
        None => "unknown",
    };
    let mut note = s.age_s.map_or_else(|| "never told".into(), |s| format!("{} old", span(s)));
    if let Some(error) = &s.error {
        note = format!("{note}; {}", clean(error));
    }
    let fact = Fact::new(&clean(&s.name), stands.into(), "").note(note);
    if s.error.is_some() || s.closed != Some(true) { fact.tone(Tone::Warn) } else { fact }
}

/// The switches and how they stand.
pub fn switches(s: &Status) -> Group {
    Group { title: "switches", facts: s.switches.iter().map(switch).collect() }
}

/// The meters that are devices, and the age of what they last told.
pub fn meters(s: &Status) -> Group {
    Group { title: "meters", facts: s.meters.iter().map(meter).collect() }
}

/// The feeds and the age of what they last brought.
pub fn feeds(s: &Status) -> Group {
    Group { title: "feeds", facts: s.feeds.iter().map(feed).collect() }
}

/// What will happen next, and why power is what it is.
pub fn next(s: &Status) -> Group {
    let unit = per_mwh(s);
    let expected = s.price.as_ref().map(|p| p.expected);
    let away = |at: f64| match expected {
        Some(e) => format!("{} from the expected price", number((at - e).abs(), 2)),
        None => String::new(),
    };
    let mut facts = Vec::new();
    if let Some(at) = s.down_above {
        facts.push(Fact::new("down above", number(at, 2), &unit).note(away(at)));
    }
    if let Some(at) = s.up_below {
        facts.push(Fact::new("up below", number(at, 2), &unit).note(away(at)));
    }
    if let Some(wait) = seconds_until(s.at_ns, &s.wake_at).filter(|_| s.seq > 0) {
        let looks = Fact::new("looks again", format!("in {}", span(wait)), "");
        facts.push(looks.note(format!("at {}", time_utc(&s.wake_at))));
    }
    Group { title: "next", facts }
}

/// Why power is what it is, in one sentence.
pub fn why(s: &Status) -> String {
    match &s.wish {
        Some(wish) => clean(wish),
        None => "nothing has been decided yet".into(),
    }
}

/// What stands above everything else: a stop, a hold, machines not yet heard of.
pub fn banners(s: &Status) -> Vec<(Tone, String)> {
    let mut all = Vec::new();
    if let Some(said) = &s.stop {
        all.push((Tone::Alarm, format!("STOPPED by {}", clean(said))));
    }
    if let Some(said) = &s.hold {
        all.push((Tone::Alarm, format!("HELD by {}", clean(said))));
    }
    if let Some(c) = s.curtailment.as_ref().filter(|c| c.active) {
        let down = Power(c.asked_w);
        let text = match (&c.proven_at, c.by < c.at) {
            (Some(t), _) => format!("CURTAILED by {down}, proven at {}", utc(t)),
            (None, false) => format!("CURTAILING {down} by {}, not proven yet", utc(&c.by)),
            (None, true) => format!("NOT PROVEN: {down} was to be down by {}", utc(&c.by)),
        };
        all.push((Tone::Alarm, format!("{text}; {}", clean(&c.said))));
    }
    if s.seq == 0 {
        all.push((Tone::Quiet, "waiting for the first step".into()));
    } else if !s.ready {
        let heard = count(u64::from(s.machines.all.saturating_sub(s.unknown_machines)));
        let all_of = count(s.machines.all.into());
        let text = format!("reading machines back: {heard} of {all_of} heard; no decision yet");
        all.push((Tone::Plain, text));
    }
    all
}

/// The alarms that are on, each as one line.
pub fn alarms(s: &Status) -> Vec<String> {
    let line = |a: &crate::status::AlarmView| {
        let since = seconds_until(s.at_ns, &a.since);
        let age = since.map_or(String::new(), |d| format!(" ({} ago)", span(-d)));
        format!("! {}{age}", clean(&a.text))
    };
    s.alarms.iter().map(line).collect()
}

/// How the site runs, as one line.
pub fn identity(s: &Status) -> String {
    if s.site.is_empty() {
        return String::new();
    }
    // A mode that touches nothing must not be taken for one that does.
    let hands = match s.mode.as_str() {
        "shadow" => " (decides, touches nothing)",
        "advise" => " (acts on approval)",
        "off" => " (decides nothing)",
        _ => "",
    };
    let mode = format!("mode {}{hands}", s.mode);
    let policy = format!("policy {}", s.policy.replace('_', "-"));
    let words = [&s.site, &s.point, &mode, &policy, &s.market];
    clean(&words.map(String::as_str).join(" · "))
}
