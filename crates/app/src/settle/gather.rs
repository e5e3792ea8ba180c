//! Gathers what was metered, posted and agreed for each interval of a span.

use super::calendar;
use super::posted::{self, Posted};
use super::report::{Full, Gathered, Names, Report};
use super::work::{self, Fleet, Worths};
use crate::cli::SettleArgs;
use crate::config::Loaded;
use crate::prices::{moment, nanos};
use crate::run::Refused;
use crate::site_files::load_site;
use anyhow::bail;
use headgate_core::number::{div_half_even, to_i64};
use headgate_core::settle::{Capacity, Deployment, Exchange, Metered, Position, Quote, Work};
use headgate_core::site::PolicyRule;
use headgate_core::time::{Interval, SECOND, Span, Time};
use headgate_core::units::{Energy, Power, Price, WATT_SECONDS_PER_MWH};
use headgate_feeds::market::Market;
use headgate_feeds::meter::{self, MeterFile};
use headgate_feeds::schedule::{self, Entry, ScheduleKind};
use headgate_feeds::{SeriesKind, settlement_point};
use headgate_store::PriceStore;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Longest span of one statement: two years of five minutes.
const INTERVALS_MAX: i64 = 220_000;
/// Products of capacity of one site.
const PRODUCTS_MAX: usize = 64;

/// Everything that is read before intervals are put together.
pub(super) struct Inputs<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) market: &'a Market,
    pub(super) files: &'a [String],
    pub(super) store: Option<PriceStore>,
    pub(super) as_of: Option<Time>,
    step: Span,
    pub(super) notes: Vec<String>,
    pub(super) sources: Vec<String>,
}

/// Makes the report that the command asks for.
///
/// # Errors
/// When an input is missing or not usable.
pub fn report(args: &SettleArgs) -> anyhow::Result<Report> {
    let (Some(site), Some(metered)) = (&args.site, &args.meter) else {
        bail!(Refused("a statement needs a site and --meter FILE".into()));
    };
    let loaded = load_site(site)?;
    let market = Market::load(&loaded.site.market.name)?;
    let step = loaded.terms.step;
    let meter = meter::load(metered, step)?;
    let span = span(args, &meter, &market, step)?;
    let mut inputs = Inputs {
        loaded: &loaded,
        market: &market,
        files: &args.prices,
        store: posted::store(args, &loaded)?,
        as_of: args.as_of.map(nanos).transpose()?,
        step,
        notes: meter.notes.clone(),
        sources: vec![format!("meter: {}", metered.display())],
    };
    let own = inputs.own_prices()?;
    let mut rows = inputs.base(&meter, span, &own);
    inputs.resale(&mut rows)?;
    inputs.positions(args, &mut rows)?;
    let products = inputs.capacity(args, &mut rows)?;
    inputs.base_points(args, &mut rows)?;
    let worths = Worths::of(&loaded, inputs.as_of)?;
    let fleet = Fleet::of(&loaded.site, worths.foreign());
    inputs.work(args, &fleet, &worths, &mut rows)?;
    let terms = calendar::terms(&mut inputs, args, span)?;
    let strike = strike(args, &loaded)?;
    let names = Names {
        blocks: terms.blocks.iter().map(|b| b.name.clone()).collect(),
        adders: terms.adders.iter().map(|a| a.name.clone()).collect(),
        charges: terms.charges.iter().map(calendar::name).collect(),
        products,
        units: fleet.units.clone(),
    };
    let first = own.corrected.then(|| {
        let quoted = |m: &Metered| Metered {
            quote: m.quote.and(own.first.get(&m.interval.start).copied()),
            ..m.clone()
        };
        rows.iter().map(quoted).collect()
    });
    let load = |m: &Metered, energy: Energy| -> (Energy, Vec<Work>) {
        let worth = worths.at(m.interval.start);
        (energy, worth.map_or_else(Vec::new, |w| fleet.work(m.interval, energy, None, w)))
    };
    let on = |m: &Metered| load(m, fleet.most(m.interval.length()));
    let off = |m: &Metered| load(m, fleet.least(m.interval.length()));
    let known = !loaded.site.machines.is_empty();
    let mut sources = inputs.sources;
    sources.extend(work::source(&loaded));
    Ok(Report::of(Gathered {
        site: loaded.site.name.clone(),
        point: loaded.site.point.to_string(),
        zone: loaded.site.timezone.clone(),
        span,
        terms,
        names,
        intervals: rows,
        first,
        strike,
        full: known.then_some(Full { on: &on, off: &off }),
        sources,
        notes: inputs.notes,
    }))
}

/// The span asked for, or the meter's own, in whole settlement intervals.
fn span(
    args: &SettleArgs,
    meter: &MeterFile,
    market: &Market,
    step: Span,
) -> anyhow::Result<Interval> {
    let (first, last) = match (meter.intervals.first(), meter.intervals.last()) {
        (Some(first), Some(last)) => (first.interval.start, last.interval.end),
        _ => bail!(Refused("the meter has no reading".into())),
    };
    let month = args.month.as_deref().map(|m| month(m, market)).transpose()?;
    let given = |text: &Option<String>| text.as_deref().map(|t| moment(t, market)).transpose();
    let start = month.map(|m| m.start).or(given(&args.from)?).unwrap_or(first);
    let end = month.map(|m| m.end).or(given(&args.to)?).unwrap_or(last);
    for (t, flag) in [(start, "--from"), (end, "--to")] {
        if t.interval(step).start != t {
            bail!(Refused(format!("{flag} {t} is not at the edge of a {step} interval")));
        }
    }
    if start >= end || end.since(start).0 / step.0 > INTERVALS_MAX {
        bail!(Refused(format!(
            "a statement of {start} to {end} is empty or too long: move --from or --to"
        )));
    }
    Ok(Interval { start, end })
}

/// A month of the market's calendar, such as 2024-06.
fn month(text: &str, market: &Market) -> anyhow::Result<Interval> {
    let wrong = || Refused(format!("`{text}` is no month: write it as 2024-06"));
    let first: jiff::civil::Date = format!("{text}-01").parse().map_err(|_| wrong())?;
    let next = first.last_of_month().tomorrow().map_err(|_| wrong())?;
    let midnight = |d: jiff::civil::Date| moment(&d.to_string(), market);
    Ok(Interval { start: midnight(first)?, end: midnight(next)? })
}

fn strike(args: &SettleArgs, loaded: &Loaded) -> anyhow::Result<Option<Price>> {
    let currency = &loaded.terms.currency;
    if let Some(text) = &args.strike {
        let price = headgate_feeds::quantity::price(text, currency);
        return Ok(Some(price.map_err(|e| Refused(format!("--strike: {e}")))?));
    }
    Ok(match loaded.site.policy.rule {
        PolicyRule::FixedStrike(price) => Some(price),
        PolicyRule::AlwaysOn | PolicyRule::Breakeven | PolicyRule::LookAhead => None,
    })
}

/// Intervals of a span that an entry overlaps, by index, with how long it does.
fn overlaps(span: Interval, step: Span, of: Interval) -> impl Iterator<Item = (usize, Span)> {
    let (from, to) = (of.start.max(span.start), of.end.min(span.end));
    let first = (from.since(span.start).0 / step.0).max(0);
    let mut at = first;
    std::iter::from_fn(move || {
        let start = Time(span.start.0 + at * step.0);
        if from >= to || start >= to {
            return None;
        }
        let shared = (start + step).min(to).since(start.max(from));
        at += 1;
        Some((usize::try_from(at - 1).ok()?, shared))
    })
}

fn whole(rows: &[Metered]) -> Interval {
    let (first, last) = (&rows[0], &rows[rows.len() - 1]);
    Interval { start: first.interval.start, end: last.interval.end }
}

impl Inputs<'_> {
    /// Every interval of the span with its reading and its price.
    fn base(&mut self, meter: &MeterFile, span: Interval, own: &Posted) -> Vec<Metered> {
        let read: BTreeMap<Time, Energy> = meter
            .intervals
            .iter()
            .filter(|m| m.measured == self.step)
            .map(|m| (m.interval.start, m.energy))
            .collect();
        let mut rows = Vec::new();
        let mut start = span.start;
        while start < span.end {
            rows.push(Metered {
                energy: read.get(&start).copied(),
                quote: own.latest.get(&start).copied(),
                resale: vec![None; self.loaded.resale.len()],
                ..Metered::unknown(Interval::starting(start, self.step))
            });
            start += self.step;
        }
        rows
    }

    /// Prices where blocks are sold back, other than the site's own point.
    fn resale(&mut self, rows: &mut [Metered]) -> anyhow::Result<()> {
        let loaded = self.loaded;
        for (i, point) in loaded.resale.iter().enumerate() {
            if !loaded.terms.blocks[i].elsewhere {
                continue;
            }
            let posted = self.posted(point, SeriesKind::Settlement)?;
            if posted.latest.is_empty() {
                self.notes.push(format!("no price of {point}, where a block is sold back"));
            }
            for row in &mut *rows {
                row.resale[i] = posted.latest.get(&row.interval.start).copied();
            }
        }
        Ok(())
    }

    pub(super) fn schedule(
        &mut self,
        path: &Path,
        kind: ScheduleKind,
    ) -> anyhow::Result<Vec<Entry>> {
        let entries = schedule::load(path, kind, self.step)?;
        self.sources.push(format!("{}: {} entries", path.display(), entries.len()));
        Ok(entries)
    }

    fn positions(&mut self, args: &SettleArgs, rows: &mut [Metered]) -> anyhow::Result<()> {
        let Some(path) = &args.day_ahead else { return Ok(()) };
        let entries = self.schedule(path, ScheduleKind::DayAhead)?;
        let posted = self.posted(&self.loaded.site.point.clone(), SeriesKind::DayAhead)?;
        let span = whole(rows);
        for entry in entries {
            for (i, shared) in overlaps(span, self.step, entry.interval) {
                if shared != self.step {
                    bail!(Refused(format!(
                        "{} line {}: a position covers whole settlement intervals of {}",
                        path.display(),
                        entry.line,
                        self.step
                    )));
                }
                let start = rows[i].interval.start;
                let own = entry.price.map(|price| Quote { price, known_at: Time::MIN });
                let Some(quote) = own.or_else(|| posted.at(start)) else {
                    bail!(Refused(format!(
                        "{} line {}: no day-ahead price of {} at {start}: give a column `price` \
                         or a day-ahead file with --prices",
                        path.display(),
                        entry.line,
                        self.loaded.site.point
                    )));
                };
                rows[i].position = Some(Position { power: entry.power, quote });
            }
        }
        Ok(())
    }

    /// Awards and deployments; returns the names of the products.
    fn capacity(&mut self, args: &SettleArgs, rows: &mut [Metered]) -> anyhow::Result<Vec<String>> {
        let Some(path) = &args.awards else {
            if args.deployments.is_some() {
                bail!(Refused(
                    "--deployments needs --awards: what was sold, and for how much".into()
                ));
            }
            return Ok(Vec::new());
        };
        let entries = self.schedule(path, ScheduleKind::Award)?;
        let names: BTreeSet<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if names.len() > PRODUCTS_MAX {
            bail!(Refused(format!("{}: more than {PRODUCTS_MAX} products", path.display())));
        }
        let number = |name: &str| {
            let at = names.iter().position(|n| n == name).unwrap_or(0);
            u16::try_from(at).expect("PRODUCTS_MAX fits 16 bits")
        };
        let mut prices: BTreeMap<&str, Posted> = BTreeMap::new();
        for name in &names {
            let point = settlement_point(name, "");
            prices.insert(name, self.posted(&point, SeriesKind::CapacityDayAhead)?);
        }
        let span = whole(rows);
        for entry in &entries {
            for (i, shared) in overlaps(span, self.step, entry.interval) {
                let start = rows[i].interval.start;
                let own = entry.price.map(|price| Quote { price, known_at: Time::MIN });
                let posted = || prices[entry.name.as_str()].at(start);
                let (Some(quote), true) = (own.or_else(posted), shared == self.step) else {
                    bail!(Refused(format!(
                        "{} line {}: no price of {} at {start}, or not a whole interval: give a \
                         column `price`, or its day-ahead prices with --prices",
                        path.display(),
                        entry.line,
                        entry.name
                    )));
                };
                let product = number(&entry.name);
                rows[i].capacity.push(Capacity { product, awarded: entry.power, quote });
            }
        }
        if let Some(path) = &args.deployments {
            let calls = self.schedule(path, ScheduleKind::Deployment)?;
            if let Some(call) = calls.iter().find(|c| !names.contains(&c.name)) {
                bail!(Refused(format!(
                    "{} line {}: {} was never awarded",
                    path.display(),
                    call.line,
                    call.name
                )));
            }
            self.deployments(&calls, &number, rows);
        }
        Ok(names)
    }

    /// What was delivered is what the meter fell by, from the interval before the call.
    fn deployments(&mut self, calls: &[Entry], number: &dyn Fn(&str) -> u16, rows: &mut [Metered]) {
        let (span, step) = (whole(rows), self.step);
        let mean = |e: Energy, over: Span| {
            let watts = i128::from(e.0) * i128::from(SECOND);
            Power(to_i64(div_half_even(watts, i128::from(over.0))))
        };
        // What the meter fell by is delivered once, however many calls there are at a time.
        let mut spent = vec![Power::ZERO; rows.len()];
        let mut last: Option<(Time, Option<Power>)> = None;
        for call in calls {
            // A call that touches the one before it finds the load curtailed: their base is one.
            let base = match last {
                Some((end, base)) if call.interval.start <= end => base,
                _ => {
                    let before = rows.iter().rev().find(|r| r.interval.end <= call.interval.start);
                    before.and_then(|r| r.energy).map(|e| mean(e, step))
                }
            };
            let end = last.map_or(Time::MIN, |(end, _)| end).max(call.interval.end);
            last = Some((end, base));
            for (i, shared) in overlaps(span, step, call.interval) {
                // Called for a part of the interval, it is so much less over the whole of it.
                let part = |p: Power| mean(p.over(shared), step);
                let drawn = rows[i].energy.map(|e| mean(e, step));
                let fell = base.zip(drawn).map_or(Power::ZERO, |(b, d)| b.minus_or_zero(d));
                let required = part(call.power);
                let delivered = fell.minus_or_zero(spent[i]).min(required);
                spent[i] += delivered;
                let product = number(&call.name);
                rows[i].deployments.push(Deployment { product, required, delivered });
            }
        }
        if !calls.is_empty() {
            self.notes.push(
                "what was delivered of a deployment is what the meter fell by since the last \
                 interval before the call; without that reading nothing counts as delivered"
                    .into(),
            );
        }
    }

    fn base_points(&mut self, args: &SettleArgs, rows: &mut [Metered]) -> anyhow::Result<()> {
        let Some(path) = &args.base_points else { return Ok(()) };
        if self.loaded.terms.deviation.is_none() {
            bail!(Refused(
                "--base-points needs [settlement] base_point: how far the load may stray, which \
                 has no default"
                    .into()
            ));
        }
        let entries = self.schedule(path, ScheduleKind::BasePoint)?;
        let span = whole(rows);
        let mut sums: BTreeMap<usize, (Energy, Span)> = BTreeMap::new();
        for entry in &entries {
            for (i, shared) in overlaps(span, self.step, entry.interval) {
                let sum = sums.entry(i).or_insert((Energy::ZERO, Span::ZERO));
                *sum = (sum.0 + entry.power.over(shared), sum.1 + shared);
            }
        }
        let mut partly = 0usize;
        for (i, (energy, told)) in sums {
            partly += usize::from(told != self.step);
            if told == self.step {
                let watts = i128::from(energy.0) * i128::from(SECOND);
                let mean = div_half_even(watts, i128::from(self.step.0));
                rows[i].base_point = Some(Power(to_i64(mean)));
            }
        }
        if partly > 0 {
            self.notes.push(format!(
                "{partly} intervals have a base point for a part of their time only: they are \
                 not charged for it"
            ));
        }
        Ok(())
    }

    /// Work by cohort: as told by --units, or as the staircase fills.
    fn work(
        &mut self,
        args: &SettleArgs,
        fleet: &Fleet<'_>,
        worths: &Worths,
        rows: &mut [Metered],
    ) -> anyhow::Result<()> {
        let own = match &args.units {
            Some(path) => Some(self.units(path, fleet, rows)?),
            None => {
                self.notes.push(
                    "which machine ran is not told: work is taken to have been done by the most \
                     valuable step first (give --units to tell it)"
                        .into(),
                );
                None
            }
        };
        let (mut unvalued, mut beyond) = (0usize, 0usize);
        for (i, row) in rows.iter_mut().enumerate() {
            let rate = worths.exchange(row.interval.start);
            row.exchange = rate.map(|(known_at, nano)| Exchange { nano, known_at });
            let Some(energy) = row.energy else { continue };
            beyond += usize::from(energy > fleet.most(row.interval.length()));
            let Some(worth) = worths.at(row.interval.start) else {
                unvalued += 1;
                // Revenue that is unknown is not zero: the interval stays unsettled.
                row.unvalued = true;
                continue;
            };
            let told = own.as_ref().map(|own| own[i].as_slice());
            row.work = fleet.work(row.interval, energy, told, worth);
            row.value = mean_value(&row.work, worths.known_at(row.interval.start));
        }
        let mut note = |n: usize, text: &str| {
            if n > 0 {
                self.notes.push(format!("{n} intervals {text}"));
            }
        };
        note(unvalued, "have no value of the work: they are not settled");
        note(beyond, "draw more than every machine at its highest level: the rest earns nothing");
        Ok(())
    }

    /// Energy of each cohort by interval.
    fn units(
        &mut self,
        path: &Path,
        fleet: &Fleet<'_>,
        rows: &[Metered],
    ) -> anyhow::Result<Vec<Vec<Energy>>> {
        let entries = self.schedule(path, ScheduleKind::Unit)?;
        let mut own = vec![vec![Energy::ZERO; fleet.units.len()]; rows.len()];
        let span = whole(rows);
        for entry in entries {
            let Some(unit) = fleet.unit(&entry.name) else {
                bail!(Refused(format!(
                    "{} line {}: there is no cohort `{}`: use {}",
                    path.display(),
                    entry.line,
                    entry.name,
                    fleet.units.join(", ")
                )));
            };
            for (i, shared) in overlaps(span, self.step, entry.interval) {
                let n = i128::from(entry.energy.0) * i128::from(shared.0);
                let part = div_half_even(n, i128::from(entry.interval.length().0));
                own[i][unit.0 as usize] += Energy(to_i64(part));
            }
        }
        Ok(own)
    }
}

/// What a unit of energy of the work was worth on average, for the line that counts it.
fn mean_value(work: &[Work], known_at: Time) -> Option<Quote> {
    let energy: i128 = work.iter().map(|w| i128::from(w.energy.0)).sum();
    let revenue: i128 = work.iter().map(|w| i128::from(w.revenue.0)).sum();
    let mean = |e: i128| to_i64(div_half_even(revenue * WATT_SECONDS_PER_MWH, e));
    // Values in two currencies have no mean.
    let alike = work.windows(2).all(|w| w[0].foreign == w[1].foreign);
    (alike && energy > 0).then(|| Quote { price: Price(mean(energy)), known_at })
}
