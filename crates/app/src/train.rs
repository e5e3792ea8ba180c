//! `headgate train`: fits what looking ahead goes by, on recorded prices.

use crate::backtest::{hashprices, read};
use crate::cli::{Format, TrainArgs};
use crate::config::Loaded;
use crate::model::{ModelFile, planned_as, worth_of};
use crate::prices::moment;
use crate::run::Refused;
use crate::settle::months;
use crate::site_files::{at_point, describe, load_site};
use anyhow::{Context, bail};
use headgate_core::event::{CohortModel, Hashprice};
use headgate_core::fleet::CohortId;
use headgate_core::horizon::model::Model;
use headgate_core::time::{Interval, Span, Time};
use headgate_feeds::market::Market;
use headgate_sim::backtest::{Dated, Known, Tape};
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
    at_point(&mut loaded, args.point.as_deref());
    let market = Market::load(&loaded.site.market.name)?;
    let given = |text: &Option<String>| text.as_deref().map(|t| moment(t, &market)).transpose();
    let own = read::book(&args.prices, &loaded, &market)?.book;
    let pool = Pool::read(own, &args.prices, &loaded, &market, args.alone)?;
    let all = pool.span();
    let span = Interval {
        start: given(&args.from)?.unwrap_or(all.start),
        end: given(&args.to)?.unwrap_or(all.end),
    };
    if span.start >= span.end {
        bail!(Refused(format!(
            "there is nothing from {} to {}; the prices cover {} to {}: move --from or --to",
            span.start, span.end, all.start, all.end
        )));
    }
    let models = pool.train(&loaded, &market, span, Known::Live)?;
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
    /// The book of the site's own point, and those of the other points of its files.
    ///
    /// # Errors
    /// One sentence for what is not usable.
    pub fn read(
        own: Book,
        specs: &[String],
        loaded: &Loaded,
        market: &Market,
        alone: bool,
    ) -> anyhow::Result<Self> {
        let mut books = vec![own];
        if !alone {
            books.extend(read::others(specs, loaded, market)?);
        }
        Ok(Self { books })
    }

    /// What is learned from at a moment: what was known by then of the site's own point, and of
    /// the first others that were told of in the same ways. Which those are is no foreknowledge
    /// either.
    fn known_by(&self, at: Time) -> Self {
        let own = self.books[0].known_by(at);
        let kinds = own.kinds();
        let others = self.books[1..].iter().map(|b| b.known_by(at)).filter(|b| b.kinds() == kinds);
        let others: Vec<Book> = others.take(POOL_MAX - 1).collect();
        Self { books: std::iter::once(own).chain(others).collect() }
    }

    /// What the site's own point covers.
    fn span(&self) -> Interval {
        self.books[0].covered().unwrap_or(Interval { start: Time::MIN, end: Time::MIN })
    }

    /// The pieces of a span without a gap that are long enough to learn from.
    fn pieces(&self, span: Interval) -> impl Iterator<Item = (&Book, Interval)> {
        let of = move |book: &'_ Book| book.pieces(span);
        let all = self.books.iter().flat_map(move |b| of(b).into_iter().map(move |p| (b, p)));
        all.filter(|(_, piece)| piece.length() >= PIECE_LEAST)
    }

    /// Tapes of a span, one for each piece without a gap, told by a convention.
    fn tapes(
        &self,
        span: Interval,
        values: &[Hashprice],
        known: Known,
    ) -> anyhow::Result<Vec<Tape>> {
        let tape = |(book, piece): (&Book, _)| Ok(known.retold(book.tape(piece, values)?));
        let tapes = self.pieces(span).map(tape);
        tapes.collect()
    }

    /// Trains a model for each cohort of a site on what a span tells by a convention.
    ///
    /// # Errors
    /// When the span tells too little, or the work's value is not known in it.
    pub fn train(
        &self,
        loaded: &Loaded,
        market: &Market,
        span: Interval,
        known: Known,
    ) -> anyhow::Result<Vec<CohortModel>> {
        // The last interval of the span settles a little after it.
        self.known_by(span.end + market.settle_step).fitted(loaded, market, span, known)
    }

    /// Models fitted on all that this pool tells of a span.
    fn fitted(
        &self,
        loaded: &Loaded,
        market: &Market,
        span: Interval,
        known: Known,
    ) -> anyhow::Result<Vec<CohortModel>> {
        let values = hashprices(loaded, span)?;
        let tapes = self.tapes(span, &values, known)?;
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
        known: Known,
        on_month: &mut dyn FnMut(Time),
    ) -> anyhow::Result<Vec<Dated>> {
        let mut dated = Vec::new();
        let later = months(market.zone(), span)?.into_iter().map(|(_, m)| m.start);
        let later = later.filter(|t| *t > span.start);
        for from in std::iter::once(span.start).chain(later) {
            on_month(from);
            // What settles last before it is known only after it has begun.
            let end = from - market.settle_step;
            let past = Interval { start: self.span().start, end };
            let pool = self.known_by(from);
            if past.start < past.end && pool.pieces(past).next().is_some() {
                dated.push(Dated { from, models: pool.fitted(loaded, market, past, known)? });
            }
        }
        Ok(dated)
    }
}

fn told(error: &TrainError, span: Interval, tapes: &[Tape]) -> String {
    format!(
        "{} ({} pieces of a week or more without a gap from {} to {}): add prices",
        describe(error),
        tapes.len(),
        span.start,
        span.end
    )
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
            "look_ahead": m.trained.look_ahead,
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
        let with = |known: bool| if known { "with" } else { "without" };
        let (ahead, foreseen) = (with(m.trained.day_ahead), with(m.trained.look_ahead));
        out += &format!(
            "{name}: worth {} in the market's terms; {} decisions {} to {}, {ahead} day-ahead \
             prices, {foreseen} the market's look-ahead, at {}\n",
            m.value,
            m.trained.rows,
            m.trained.span.start,
            m.trained.span.end,
            points.join(", ")
        );
    }
    out
}
