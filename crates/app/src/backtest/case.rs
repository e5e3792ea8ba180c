//! What is back-tested: a site at a point over a span, and the policies to try.

use super::read;
use crate::cli::{BacktestArgs, KnownArg, PolicyArg};
use crate::config::{HashpriceSource, Loaded};
use crate::prices::moment;
use crate::run::Refused;
use crate::site_files::{at_point, load_site};
use crate::train::Pool;
use crate::values::{self, Fetching};
use anyhow::bail;
use headgate_core::event::{Event, Hashprice};
use headgate_core::site::{PolicyRule, Site};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Price};
use headgate_feeds::market::Market;
use headgate_sim::backtest::{
    Chosen, CompareError, Comparison, Dated, Known, Name, OnStep, Policy, Run, RunError,
    RunOptions, Tape, Trial, run,
};
use headgate_sim::sweep::Book;
use headgate_sim::world::mean_breakeven;

/// Everything that a back-test goes by.
pub struct Case {
    pub loaded: Loaded,
    pub market: Market,
    pub tape: Tape,
    pub chosen: Vec<Chosen>,
    /// Strike of the fixed-strike policy, and where it comes from.
    pub strike: (Price, &'static str),
    /// Break-even of the whole site at the meter, adders not taken off.
    pub breakeven: Price,
    /// By which convention prices are known.
    pub known: Known,
    /// How much later than that everything is told.
    pub lag: Span,
    /// What looking ahead goes by.
    pub models: Vec<Dated>,
    pub files: Vec<String>,
    pub notes: Vec<String>,
}

impl Case {
    /// Reads all that the command names.
    ///
    /// # Errors
    /// One sentence for what is missing or not usable.
    pub fn of(args: &BacktestArgs) -> anyhow::Result<Self> {
        let mut loaded = load_site(&args.site)?;
        if let Some(why) = &loaded.worth.settle_only {
            bail!(Refused(why.clone()));
        }
        at_point(&mut loaded, args.point.as_deref());
        let lag = crate::config::span(&args.lag);
        let lag = lag.map_err(|e| Refused(format!("--lag: {e}")))?;
        let market = Market::load(&loaded.site.market.name)?;
        let recorded = read::book(&args.prices, &loaded, &market)?;
        let mut notes = recorded.notes;
        let given = |text: &Option<String>| text.as_deref().map(|t| moment(t, &market)).transpose();
        let span = read::span(&recorded.book, &market, given(&args.from)?, given(&args.to)?)?;
        notes.extend(read::odd(&recorded.book, span, &market));
        let values = hashprices(&loaded, span)?;
        let known = known(args, &recorded.book)?;
        notes.splice(0..0, known.caveat().map(str::to_owned));
        let tape = known.retold(recorded.book.tape(span, &values)?);
        let first = values.first().map(|v| v.per_ph_day);
        let breakeven = breakeven(&loaded, first)?;
        let strike = strike(args, &loaded, breakeven)?;
        let chosen = chosen(&args.policies, strike.0);
        let ahead = chosen.iter().any(|c| c.name == Name::LookAhead);
        let models = match ahead {
            true => models(args, recorded.book, &loaded, &market, (span, known), &mut notes)?,
            false => Vec::new(),
        };
        let files = args.prices.clone();
        notes.extend(resale_elsewhere(&loaded));
        let mut case = Self {
            loaded,
            market,
            tape,
            chosen,
            strike,
            breakeven,
            known,
            lag,
            models,
            files,
            notes,
        };
        case.note_strike();
        Ok(case)
    }

    /// The trial of this case.
    pub fn trial(&self) -> Trial<'_> {
        Trial { site: &self.loaded.site, units: &self.loaded.units, tape: &self.tape }
    }

    /// Tries all policies.
    ///
    /// # Errors
    /// When a run fails, cannot be settled, or breaks the physics of the site.
    pub fn compare(&self) -> Result<Comparison, CompareError> {
        self.trial().compare(&self.chosen, &|rule| self.live(rule))
    }

    /// Lets the live engine live through the tape under a rule.
    ///
    /// # Errors
    /// When the site cannot be simulated.
    pub fn live(&self, rule: PolicyRule) -> Result<Run, RunError> {
        self.live_as(&self.loaded.site, &self.tape, rule, self.lag, &mut |_, _| {})
    }

    /// Lets the live engine live through this tape or another at this site or one that differs,
    /// told this much late, and tells every step.
    ///
    /// # Errors
    /// When the site cannot be simulated.
    pub fn live_as(
        &self,
        site: &Site,
        tape: &Tape,
        rule: PolicyRule,
        lag: Span,
        on_step: OnStep<'_>,
    ) -> Result<Run, RunError> {
        let options = RunOptions { lag, models: &self.models };
        run(site, &self.loaded.units, tape, Policy::Rule(rule), options, on_step)
    }

    fn note_strike(&mut self) {
        let (strike, from) = self.strike;
        if self.chosen.iter().any(|c| c.name == Name::FixedStrike) {
            self.notes.push(format!("fixed_strike goes by {strike}, {from}"));
        }
    }
}

/// By which convention prices are known.
///
/// # Errors
/// When it tells dispatch runs and there are none.
fn known(args: &BacktestArgs, book: &Book) -> anyhow::Result<Known> {
    let known = match args.known {
        KnownArg::Live => Known::Live,
        KnownArg::B2 => Known::B2,
        KnownArg::B1 => Known::B1,
        KnownArg::A => Known::A,
    };
    if known.needs_runs() && book.prices().dispatch.is_empty() {
        bail!(Refused(format!(
            "--known {} is about dispatch runs, and the files have none: add them, or take a or \
             live",
            known.as_str()
        )));
    }
    Ok(known)
}

/// What looking ahead goes by: trained anew each month, a file, the site's own file, or nothing.
fn models(
    args: &BacktestArgs,
    book: Book,
    loaded: &Loaded,
    market: &Market,
    (span, known): (Interval, Known),
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Dated>> {
    if args.walk_forward.is_some() {
        let pool = Pool::read(book, &args.prices, loaded, market, args.alone)?;
        let mut tell = |from: Time| tracing::info!("training for what begins at {from}");
        let dated = pool.walk_forward(loaded, market, span, known, &mut tell)?;
        let first = dated.first().map_or(span.end, |d| d.from);
        if first > span.start {
            notes.push(format!(
                "too little precedes what lies before {first}: look_ahead plans there without a \
                 model"
            ));
        }
        return Ok(dated);
    }
    let dated = match &args.model {
        Some(path) => crate::model::dated(path, loaded)?,
        None => crate::model::of_site(loaded)?,
    };
    if known != Known::Live && !dated.is_empty() {
        bail!(Refused(
            "a model from a file was trained for prices that are known as they are live: let \
             --walk-forward month train one for --known, or leave look_ahead out with --policy"
                .into()
        ));
    }
    if dated.is_empty() {
        notes.push(
            "look_ahead has no model: it plans on the expected path; train one with `headgate \
             train`, or let --walk-forward month do it"
                .into(),
        );
    }
    for one in dated.iter().flat_map(|d| &d.models) {
        let trained = one.model.trained.span;
        if trained.end > span.start {
            notes.push(format!(
                "the model was trained on {} to {}, which the back-test overlaps: its capture is \
                 no evidence",
                trained.start, trained.end
            ));
        }
        if one.model.trained.day_ahead && book.prices().day_ahead.is_empty() {
            notes.push(
                "the model was trained with day-ahead prices, and none are given: add a file of \
                 them"
                    .into(),
            );
        }
        if one.model.trained.look_ahead && book.prices().look_ahead.is_empty() {
            notes.push(
                "the model was trained with the market's look-ahead, and none is given: add a \
                 file of it"
                    .into(),
            );
        }
    }
    Ok(dated)
}

/// Every hash price that counts in a span; the last one before it among them.
pub fn hashprices(loaded: &Loaded, span: Interval) -> anyhow::Result<Vec<Hashprice>> {
    if matches!(loaded.hashprice, HashpriceSource::Address { .. }) {
        bail!(Refused(
            "a back-test needs recorded hash prices, and [value] fetches the present one: give \
             `hashprice`, `file` or `files` in [value]"
                .into()
        ));
    }
    let told = values::script(loaded, span.start, Fetching::Now)?;
    let of = |(at, event): (Time, Event)| match event {
        // It is told then, which may be later than it was known in its own currency.
        Event::Value(h) => Some(Hashprice { known_at: at, ..h }),
        _ => None,
    };
    let values: Vec<Hashprice> = told.into_iter().filter_map(of).collect();
    let by_hashprice = loaded.hashprice != HashpriceSource::NotNeeded;
    match values.first() {
        Some(first) if by_hashprice && first.known_at > span.start => bail!(Refused(format!(
            "the first hash price is known at {} and the back-test begins at {}: move --from, or \
             add earlier hash prices",
            first.known_at, span.start
        ))),
        None if by_hashprice => bail!(Refused(
            "no hash price is known in the span: add those of its time to [value]".into()
        )),
        _ => Ok(values),
    }
}

/// The break-even of the whole site at the meter.
fn breakeven(loaded: &Loaded, hashprice: Option<Money>) -> anyhow::Result<Price> {
    match mean_breakeven(&loaded.site, hashprice) {
        Some(price) => Ok(price),
        None => bail!(Refused("the site has nothing that works: add a cohort to it".into())),
    }
}

fn strike(
    args: &BacktestArgs,
    loaded: &Loaded,
    breakeven: Price,
) -> anyhow::Result<(Price, &'static str)> {
    if let Some(text) = &args.strike {
        let price = headgate_feeds::quantity::price(text, &loaded.terms.currency);
        let price = price.map_err(|e| Refused(format!("--strike: {e}")))?;
        return Ok((price, "as --strike says"));
    }
    Ok(match loaded.site.policy.rule {
        PolicyRule::FixedStrike(price) => (price, "as [policy] says"),
        _ => (breakeven, "the break-even of the whole site: name another with --strike"),
    })
}

fn chosen(asked: &[PolicyArg], strike: Price) -> Vec<Chosen> {
    let name = |p: &PolicyArg| match p {
        PolicyArg::AlwaysOn => Name::AlwaysOn,
        PolicyArg::FixedStrike => Name::FixedStrike,
        PolicyArg::Breakeven => Name::Breakeven,
        PolicyArg::LookAhead => Name::LookAhead,
        PolicyArg::PerfectForesight => Name::PerfectForesight,
    };
    let mut names: Vec<Name> = asked.iter().map(name).collect();
    if names.is_empty() {
        names = Name::ALL.to_vec();
    }
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| Chosen { name, rule: name.rule(strike) }).collect()
}

/// A block that is sold back elsewhere is sold back here at the point's own price.
fn resale_elsewhere(loaded: &Loaded) -> Option<String> {
    let point = &loaded.site.point;
    let other = loaded.resale.iter().find(|p| *p != point)?;
    Some(format!(
        "a block is sold back at {other} by its contract; this back-test takes the price at {point}"
    ))
}

/// Steps that a document names.
pub fn seconds(span: Span) -> i64 {
    span.as_seconds()
}
