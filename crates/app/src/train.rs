//! `headgate train`: fits what looking ahead goes by, on recorded prices.

use crate::backtest::{hashprices, read};
use crate::cli::{Format, TrainArgs};
use crate::config::Loaded;
use crate::model::{ModelFile, planned_as, worth_of};
use crate::prices::moment;
use crate::run::Refused;
use crate::site_files::{describe, load_site};
use anyhow::{Context, bail};
use headgate_core::event::{CohortModel, Hashprice};
use headgate_core::fleet::CohortId;
use headgate_core::horizon::model::Model;
use headgate_core::time::{Interval, Span, Time};
use headgate_feeds::market::Market;
use headgate_feeds::settlement_point;
use headgate_sim::backtest::{Dated, Tape};
use headgate_sim::sweep::Book;
use headgate_sim::train::{Order, Settings, TrainError, train};
use serde_json::{Value, json};
use std::io::Write;

/// Points whose prices are learned from together, the site's own among them.
pub const POOL_MAX: usize = 8;
/// Pieces of prices shorter than this, between two gaps, are not learned from.
const PIECE_LEAST: Span = Span::hours(24 * 7);
/// Years around the prices for which the market's clock is told to a model.
const CLOCK: Span = Span::hours(24 * 366 * 3);

/// `headgate train`.
///
/// # Errors
/// When an input is missing or not usable, or the file cannot be written.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let mut loaded = load_site(&args.site)?;
    if let Some(name) = &args.point {
        let own = &loaded.site.point;
        let kind = if *name == own.name { own.kind.clone() } else { String::new() };
        loaded.site.point = settlement_point(name, &kind);
    }
    let market = Market::load(&loaded.site.market.name)?;
    let given = |text: &Option<String>| text.as_deref().map(|t| moment(t, &market)).transpose();
    let pool = Pool::read(&args.prices, &loaded, &market, args.alone)?;
    let all = pool.span();
    let span = Interval {
        start: given(&args.from)?.unwrap_or(all.start),
        end: given(&args.to)?.unwrap_or(all.end),
    };
    if span.start >= span.end {
        bail!(Refused(format!("there is nothing from {} to {}", span.start, span.end)));
    }
    let models = pool.train(&loaded, &market, span)?;
    let named = |m: CohortModel| (loaded.site.cohort(m.cohort).name.clone(), m.model);
    let file = ModelFile {
        trained_by: env!("CARGO_PKG_VERSION").into(),
        models: models.into_iter().map(named).collect(),
    };
    let bytes = file.to_bytes()?;
    std::fs::write(&args.out, &bytes)
        .with_context(|| format!("failed to write {}", args.out.display()))?;
    let document = document(&file, &bytes);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?,
        Format::Jsonl => writeln!(out, "{document}")?,
        Format::Table | Format::Csv => out.write_all(table(&file, args, &bytes).as_bytes())?,
    }
    Ok(())
}

/// Prices of several points that are learned from together.
pub struct Pool {
    books: Vec<Book>,
}

impl Pool {
    /// Reads files: the site's own point, and others that are told of in the same ways.
    ///
    /// # Errors
    /// One sentence for what is not usable.
    pub fn read(
        specs: &[String],
        loaded: &Loaded,
        market: &Market,
        alone: bool,
    ) -> anyhow::Result<Self> {
        let own = read::book(specs, loaded, market)?.book;
        let mut books = vec![own];
        if !alone {
            let others = read::others(specs, loaded, market, books[0].prices())?;
            books.extend(others.into_iter().take(POOL_MAX - 1));
        }
        Ok(Self { books })
    }

    /// What the site's own point covers.
    fn span(&self) -> Interval {
        let settled = self.books[0].settled();
        match (settled.first(), settled.last()) {
            (Some(first), Some(last)) => {
                Interval { start: first.interval.start, end: last.interval.end }
            }
            _ => Interval { start: Time::MIN, end: Time::MIN },
        }
    }

    /// Tapes of a span, one for each piece without a gap.
    fn tapes(&self, span: Interval, values: &[Hashprice]) -> anyhow::Result<Vec<Tape>> {
        let mut tapes = Vec::new();
        for book in &self.books {
            for piece in book.pieces(span) {
                if piece.length() >= PIECE_LEAST {
                    tapes.push(book.tape(piece, values)?);
                }
            }
        }
        Ok(tapes)
    }

    /// Trains a model for each cohort of a site on what a span tells.
    ///
    /// # Errors
    /// When the span tells too little, or the work's value is not known in it.
    pub fn train(
        &self,
        loaded: &Loaded,
        market: &Market,
        span: Interval,
    ) -> anyhow::Result<Vec<CohortModel>> {
        let values = hashprices(loaded, span)?;
        let tapes = self.tapes(span, &values)?;
        let mut models = Vec::new();
        for i in 0..loaded.site.cohorts.len() {
            let cohort = CohortId(u16::try_from(i)?);
            let Some(unit) = planned_as(&loaded.site, &loaded.units, cohort) else { continue };
            let last = values.last().map(|v| v.per_ph_day);
            let Some(value) = worth_of(&loaded.site, cohort, last) else { continue };
            let order = Order {
                unit,
                value,
                span,
                offsets: offsets(market, span),
                settings: Settings::default(),
            };
            let model = train(&tapes, &order);
            let model = model.map_err(|e| Refused(told(&e, span, &tapes)))?;
            models.push(CohortModel { cohort, model });
        }
        if models.is_empty() {
            bail!(Refused("the site has nothing that works: add a cohort to it".into()));
        }
        Ok(models)
    }

    /// Models trained anew before each month of a span, each on all that precedes it; months
    /// before which there is too little have none, and the engine's own plan stands in.
    ///
    /// # Errors
    /// As [`Pool::train`].
    pub fn walk_forward(
        &self,
        loaded: &Loaded,
        market: &Market,
        span: Interval,
        on_month: &mut dyn FnMut(Time),
    ) -> anyhow::Result<Vec<Dated>> {
        let mut dated = Vec::new();
        for from in months(market, span) {
            on_month(from);
            // What settles last before it is known only after it has begun.
            let end = from - market.settle_step;
            let past = Interval { start: self.span().start, end };
            let enough = self.tapes(past, &[])?.iter().any(|t| t.span.length() >= PIECE_LEAST);
            if past.start < past.end && enough {
                dated.push(Dated { from, models: self.train(loaded, market, past)? });
            }
        }
        Ok(dated)
    }
}

fn told(error: &TrainError, span: Interval, tapes: &[Tape]) -> String {
    format!(
        "{} ({} pieces of prices without a gap from {} to {}): add earlier prices",
        describe(error),
        tapes.len(),
        span.start,
        span.end
    )
}

/// The first moment of a span and of each of the market's months that begins within it.
fn months(market: &Market, span: Interval) -> Vec<Time> {
    let zone = market.zone();
    let mut all = vec![span.start];
    let local = jiff::Timestamp::from_second(span.start.0.div_euclid(1_000_000_000));
    let Ok(local) = local.map(|t| zone.to_datetime(t)) else { return all };
    let mut date = local.date().first_of_month();
    loop {
        let Ok(next) = date.checked_add(jiff::Span::new().months(1)) else { return all };
        date = next;
        let Ok(at) = zone.to_timestamp(next.at(0, 0, 0, 0)) else { return all };
        let at = Time::from_seconds(at.as_second());
        if at >= span.end {
            return all;
        }
        all.push(at);
    }
}

/// Local time less UTC from each moment on, from before the prices to some years after.
fn offsets(market: &Market, span: Interval) -> Vec<(Time, Span)> {
    let zone = market.zone();
    let of = |t: Time| jiff::Timestamp::from_second(t.0.div_euclid(1_000_000_000)).ok();
    let (Some(begin), Some(end)) = (of(span.start - CLOCK), of(span.end + CLOCK)) else {
        return Vec::new();
    };
    let hours = |o: jiff::tz::Offset| Span::seconds(i64::from(o.seconds()));
    let mut all = vec![(Time::from_seconds(begin.as_second()), hours(zone.to_offset(begin)))];
    let next = zone.following(begin).take_while(|t| t.timestamp() < end);
    all.extend(next.map(|t| (Time::from_seconds(t.timestamp().as_second()), hours(t.offset()))));
    all
}

fn document(file: &ModelFile, bytes: &[u8]) -> Value {
    let one = |(name, m): &(String, Model)| {
        json!({
            "cohort": name,
            "value": m.value.0 as f64 / 1e6,
            "step_s": m.step.as_seconds(),
            "settle_s": m.settle_step.as_seconds(),
            "from": m.trained.span.start.to_string(),
            "to": m.trained.span.end.to_string(),
            "points": m.trained.points.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "decisions": m.trained.rows,
            "day_ahead": m.trained.day_ahead,
            "tables": m.tables.iter().map(|t| format!("{:?}", t.knowledge)).collect::<Vec<_>>(),
        })
    };
    json!({
        "bytes": bytes.len(),
        "blake3": blake3::hash(bytes).to_hex().to_string(),
        "models": file.models.iter().map(one).collect::<Vec<_>>(),
    })
}

fn table(file: &ModelFile, args: &TrainArgs, bytes: &[u8]) -> String {
    let mut out = format!(
        "{}: {} bytes, blake3 {}\n",
        args.out.display(),
        bytes.len(),
        &blake3::hash(bytes).to_hex()[..16]
    );
    for (name, m) in &file.models {
        let points: Vec<String> = m.trained.points.iter().map(ToString::to_string).collect();
        let ahead = if m.trained.day_ahead { "with" } else { "without" };
        out += &format!(
            "{name}: worth {} in the market's terms; {} decisions {} to {}, {ahead} day-ahead \
             prices, at {}\n",
            m.value,
            m.trained.rows,
            m.trained.span.start,
            m.trained.span.end,
            points.join(", ")
        );
    }
    out
}
