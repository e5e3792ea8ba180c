//! The status as Prometheus reads it. What is not known is left out: a gap is not a zero.
//!
//! There is no label per machine; a site has too many of them, and the journal keeps each.

use crate::doors::beat::Beat;
use crate::doors::ready::Readiness;
use crate::status::{CommandCounts, FeedView, MachineCounts, MoneyView, PriceView, Status};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Media type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Most samples of one metric; its labels come from lists that the configuration bounds.
const SAMPLES_MAX: usize = 256;

/// Writes every metric that has a value.
pub(super) fn render(status: &Status, beat: &Beat) -> String {
    let mut out = String::new();
    for metric in METRICS {
        let samples = (metric.read)(&View { status, beat });
        if samples.is_empty() {
            continue;
        }
        let Metric { name, kind, help, .. } = metric;
        let kind = kind.word();
        let mut line = |text: std::fmt::Arguments<'_>| {
            out.write_fmt(text).expect("writing to a text does not fail");
        };
        line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for sample in samples.iter().take(SAMPLES_MAX) {
            line(format_args!("{name}{} {}\n", sample.labels, sample.value));
        }
    }
    out
}

struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&View<'_>) -> Vec<Sample>,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

struct View<'a> {
    status: &'a Status,
    beat: &'a Beat,
}

impl View<'_> {
    /// The one label of everything that is money.
    fn money(&self, value: impl FnOnce(&MoneyView) -> f64) -> Vec<Sample> {
        self.in_currency(Some(value(&self.status.money)))
    }

    fn price(&self, value: impl FnOnce(&PriceView) -> f64) -> Vec<Sample> {
        self.in_currency(self.status.price.as_ref().map(value))
    }

    fn in_currency(&self, value: Option<f64>) -> Vec<Sample> {
        real(value, &[("currency", &self.status.currency)])
    }

    fn machines(&self, value: impl FnOnce(&MachineCounts) -> u32) -> Vec<Sample> {
        whole(Some(value(&self.status.machines)))
    }

    fn commands(&self, value: impl FnOnce(&CommandCounts) -> u64) -> Vec<Sample> {
        whole(Some(value(&self.status.commands)))
    }
}

struct Sample {
    labels: String,
    value: String,
}

fn whole(value: Option<impl ToString>) -> Vec<Sample> {
    value.map(|v| Sample { labels: String::new(), value: v.to_string() }).into_iter().collect()
}

fn flag(on: bool) -> Vec<Sample> {
    whole(Some(u8::from(on)))
}

fn real(value: Option<f64>, labels: &[(&str, &str)]) -> Vec<Sample> {
    let finite = value.filter(|v| v.is_finite());
    finite.map(|v| Sample { labels: show(labels), value: v.to_string() }).into_iter().collect()
}

/// Each of these outcomes with its count.
fn split(label: &str, counts: &[(&str, u64)]) -> Vec<Sample> {
    let sample =
        |&(word, n): &(&str, u64)| Sample { labels: show(&[(label, word)]), value: n.to_string() };
    counts.iter().map(sample).collect()
}

fn show(labels: &[(&str, &str)]) -> String {
    let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
    format!("{{{}}}", pairs.join(","))
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    read: fn(&View<'_>) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Gauge, help, read }
}

const fn counter(
    name: &'static str,
    help: &'static str,
    read: fn(&View<'_>) -> Vec<Sample>,
) -> Metric {
    Metric { name, kind: Kind::Counter, help, read }
}

/// Every metric; docs/metrics.md has the same list, and a test compares them.
const METRICS: &[Metric] = &[
    // The program.
    gauge("headgate_info", "Always 1; its labels say what runs.", |v| {
        let s = v.status;
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("site", &s.site),
            ("point", &s.point),
            ("market", &s.market),
            ("mode", &s.mode),
            ("policy", &s.policy),
        ];
        real(Some(1.0), &labels)
    }),
    gauge("headgate_ready", "1 when /ready says so, else 0.", |v| {
        flag(Readiness::of(v.status, v.beat).ready)
    }),
    counter("headgate_engine_turns_total", "Turns of the engine loop since the start.", |v| {
        whole(Some(v.beat.turns()))
    }),
    gauge("headgate_engine_turn_age_seconds", "Wall time since the engine loop turned.", |v| {
        real(v.beat.age().map(|age| age.as_secs_f64()), &[])
    }),
    counter("headgate_journal_events_total", "Place of the newest event in the journal.", |v| {
        whole(Some(v.status.seq))
    }),
    counter("headgate_plan_generations_total", "Generation of the newest dispatch plan.", |v| {
        whole(Some(v.status.generation))
    }),
    gauge("headgate_site_time_seconds", "Unix time of the clock the site lives by.", |v| {
        whole(Some(v.status.at_ns.div_euclid(headgate_core::time::SECOND)))
    }),
    gauge("headgate_clock_speed_ratio", "Speed of that clock since the start; 1 is real.", |v| {
        real(Some(v.status.clock.speed), &[])
    }),
    gauge("headgate_clock_progress_ratio", "Share of the replay that has passed.", |v| {
        real(v.status.clock.progress, &[])
    }),
    gauge("headgate_clock_proving", "1 while the clock waits for machines, else 0.", |v| {
        flag(v.status.clock.proving)
    }),
    // Prices.
    gauge("headgate_price_expected_per_mwh", "Expected price of the running interval.", |v| {
        v.price(|p| p.expected)
    }),
    gauge("headgate_price_latest_per_mwh", "Newest price that went into it.", |v| {
        v.price(|p| p.latest)
    }),
    gauge("headgate_price_age_seconds", "Age of that newest price.", |v| {
        real(v.status.price.as_ref().map(|p| p.age_s), &[])
    }),
    gauge("headgate_breakeven_mean_per_mwh", "Energy-weighted break-even of the fleet.", |v| {
        v.in_currency(v.status.mean_breakeven)
    }),
    gauge("headgate_price_down_above_per_mwh", "Above this price power would go down.", |v| {
        v.in_currency(v.status.down_above)
    }),
    gauge("headgate_price_up_below_per_mwh", "Below this price power would go up.", |v| {
        v.in_currency(v.status.up_below)
    }),
    gauge("headgate_feed_age_seconds", "Age of a feed's newest price.", |v| {
        let feeds = v.status.feeds.iter();
        feeds.flat_map(|f| real(f.age_s, &[("feed", &f.name), ("role", &f.role)])).collect()
    }),
    gauge("headgate_feed_stale", "1 when a feed's newest price is too old, else 0.", |v| {
        let one = |f: &FeedView| Sample {
            labels: show(&[("feed", &f.name), ("role", &f.role)]),
            value: u8::from(f.stale).to_string(),
        };
        v.status.feeds.iter().map(one).collect()
    }),
    gauge("headgate_feed_answer_age_seconds", "Time since a feed's source last answered.", |v| {
        let feeds = v.status.feeds.iter();
        feeds.flat_map(|f| real(f.ok_s, &[("feed", &f.name), ("role", &f.role)])).collect()
    }),
    // Power.
    gauge("headgate_import_limit_watts", "Hard ceiling of import at the meter.", |v| {
        whole(Some(v.status.import_limit_w))
    }),
    gauge("headgate_import_target_watts", "Import the engine decided on.", |v| {
        whole(v.status.target_w)
    }),
    gauge("headgate_import_planned_watts", "Import the dispatch plan should come to.", |v| {
        whole(v.status.planned_w)
    }),
    gauge("headgate_import_measured_watts", "Import as last measured.", |v| {
        whole(v.status.measured_w)
    }),
    gauge("headgate_meter_age_seconds", "Age of what a meter last told and was believed.", |v| {
        v.status.meters.iter().flat_map(|m| real(m.age_s, &[("meter", &m.name)])).collect()
    }),
    gauge("headgate_held", "1 while a person holds the site, else 0.", |v| {
        flag(v.status.hold.is_some())
    }),
    gauge("headgate_stopped", "1 while a person has stopped the site, else 0.", |v| {
        flag(v.status.stop.is_some())
    }),
    // Machines and their commands.
    gauge("headgate_machines", "Machines in the configuration.", |v| v.machines(|m| m.all)),
    gauge("headgate_machines_awake", "Machines that work.", |v| v.machines(|m| m.awake)),
    gauge("headgate_machines_asleep", "Machines that sleep.", |v| v.machines(|m| m.asleep)),
    gauge("headgate_machines_lost", "Machines counted as drawing and asked for nothing.", |v| {
        v.machines(|m| m.lost)
    }),
    gauge("headgate_machines_failed", "Machines that failed.", |v| v.machines(|m| m.failed)),
    gauge("headgate_machines_excluded", "Machines the configuration excludes.", |v| {
        v.machines(|m| m.excluded)
    }),
    gauge("headgate_machines_unknown", "Machines not heard of since the start.", |v| {
        whole(Some(v.status.unknown_machines))
    }),
    counter("headgate_commands_total", "Commands to machines.", |v| v.commands(|c| c.commands)),
    gauge("headgate_commands_open", "Commands whose outcome is not known yet.", |v| {
        v.commands(|c| c.open)
    }),
    counter("headgate_command_answers_total", "Commands by what the machine said.", |v| {
        let c = &v.status.commands;
        let counts = [
            ("acked", c.acked),
            ("refused", c.refused),
            ("timed_out", c.timed_out),
            ("unconfirmed", c.unconfirmed),
        ];
        split("answer", &counts)
    }),
    counter("headgate_command_outcomes_total", "Commands by what the watts said.", |v| {
        let c = &v.status.commands;
        let counts = [
            ("confirmed", c.confirmed),
            ("drifted", c.drifted),
            ("unavailable", c.unavailable),
            ("superseded", c.superseded),
        ];
        split("outcome", &counts)
    }),
    // Money.
    gauge("headgate_profit", "Compute revenue and sell-back less energy cost.", |v| {
        v.money(|m| m.profit)
    }),
    gauge("headgate_compute_revenue", "Worth of the work done.", |v| {
        v.money(|m| m.compute_revenue)
    }),
    gauge("headgate_energy_cost", "Cost of the energy used.", |v| v.money(|m| m.energy_cost)),
    gauge("headgate_sell_back", "Income from contracted energy that was not used.", |v| {
        v.money(|m| m.sell_back)
    }),
    gauge("headgate_profit_per_hour", "Worth of work less cost of energy now, an hour.", |v| {
        v.in_currency(v.status.money.rate_per_h)
    }),
    counter("headgate_energy_mwh_total", "Energy used, at the meter.", |v| {
        real(Some(v.status.money.energy_mwh), &[])
    }),
    // Alarms.
    gauge("headgate_alarms", "Alarms that are on.", |v| whole(Some(v.status.alarms.len()))),
    gauge("headgate_alarm", "Alarms of one kind that are on; nothing where none is.", |v| {
        let mut kinds = BTreeMap::new();
        for alarm in &v.status.alarms {
            *kinds.entry(alarm.alarm.as_str()).or_insert(0_u64) += 1;
        }
        split("alarm", &Vec::from_iter(kinds))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::status;
    use std::collections::BTreeSet;

    const DOC: &str = include_str!("../../../../docs/metrics.md");

    fn text(change: impl FnOnce(&mut Status)) -> String {
        let mut status = status();
        change(&mut status);
        let beat = Beat::new();
        beat.touch();
        render(&status, &beat)
    }

    /// Name, kind, labels and help of each metric, as the document writes them.
    fn emitted(text: &str) -> BTreeSet<String> {
        let mut rows = BTreeSet::new();
        let mut help = "";
        let mut kind = ("", "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').unwrap().1;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                kind = rest.split_once(' ').unwrap();
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, kind.0, "a sample follows its own head");
                let labels = line.split_once('{').map_or("", |(_, l)| l.split_once('}').unwrap().0);
                // No label of the test's status has a comma in it.
                let labels: Vec<_> =
                    labels.split(',').map(|l| l.split('=').next().unwrap()).collect();
                rows.insert(format!("| `{name}` | {} | {} | {help} |", kind.1, labels.join(", ")));
            }
        }
        rows
    }

    #[test]
    fn the_document_and_the_program_have_the_same_metrics() {
        let documented: BTreeSet<String> =
            DOC.lines().filter(|l| l.starts_with("| `headgate_")).map(str::to_owned).collect();
        let emitted = emitted(&text(|_| {}));
        let missing: Vec<_> = emitted.difference(&documented).collect();
        assert!(missing.is_empty(), "not in docs/metrics.md:\n{missing:#?}");
        let gone: Vec<_> = documented.difference(&emitted).collect();
        assert!(gone.is_empty(), "only in docs/metrics.md:\n{gone:#?}");
        assert_eq!(emitted.len(), METRICS.len(), "each metric has a sample and a name of its own");
    }

    #[test]
    fn values_are_those_of_the_status() {
        let text = text(|_| {});
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        has("headgate_import_measured_watts 2480000");
        has("headgate_price_expected_per_mwh{currency=\"USD\"} 31.25");
        has("headgate_command_outcomes_total{outcome=\"drifted\"} 5");
        has("headgate_profit_per_hour{currency=\"USD\"} -3.5");
        has("headgate_feed_stale{feed=\"dam\",role=\"day_ahead\"} 0");
        has("headgate_alarm{alarm=\"not_obeying\"} 1");
        has("headgate_site_time_seconds 1724198123");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = text(|s| {
            s.measured_w = None;
            s.price = None;
            s.mean_breakeven = Some(f64::NAN);
            s.feeds[0].age_s = None;
            s.feeds[0].ok_s = None;
        });
        for name in
            ["import_measured", "price_expected", "breakeven_mean", "feed_age_seconds{feed=\"lmp\""]
        {
            assert!(!text.contains(name), "{name} in\n{text}");
        }
        assert!(text.contains("headgate_feed_age_seconds{feed=\"spp\""));
    }

    #[test]
    fn two_alarms_of_a_kind_are_one_sample() {
        let text = text(|s| s.alarms.push(s.alarms[0].clone()));
        assert!(text.contains("headgate_alarm{alarm=\"not_obeying\"} 2\n"));
        assert!(text.contains("headgate_alarms 2\n"));
    }

    #[test]
    fn a_label_cannot_break_out() {
        let text = text(|s| s.site = "a\"b\\c\nd".to_owned());
        assert!(text.contains(r#"site="a\"b\\c\nd","#), "{text}");
    }
}
