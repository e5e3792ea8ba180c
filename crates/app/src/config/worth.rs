//! What the work is worth: a hash price, a contract, or a plain value of energy; and in which
//! currency it is paid.

use super::raw::{At, RawConfig, RawValue, Spanned, ValueSource};
use super::resolve::{Check, value as of};
use super::unit::{In, PerPhDay, PerWork, Work};
use super::{Fx, HashpriceSource, Worth};
use headgate_core::event::Hashprice;
use headgate_core::site::Value;
use headgate_core::time::{Span, Time};
use headgate_core::units::{Money, Price};
use headgate_feeds::fx::{FxRate, FxSeries};
use headgate_feeds::hashprice::Subsidy;
use std::ops::Range;
use std::path::PathBuf;

/// Age at which the hash price is discounted, where the file names none.
const STALE_AFTER: Span = Span::hours(36);
/// What an aged hash price loses: 20 %.
const STALE_DISCOUNT_PPM: i64 = 200_000;
/// Steps of one contract.
const STEPS_MAX: usize = 1_000;

/// `[value]` and `[fx]`, resolved.
#[derive(Debug)]
pub(super) struct Valued {
    /// As the engine takes it.
    pub(super) value: Value,
    /// Where hash prices come from.
    pub(super) hashprice: HashpriceSource,
    /// As a settlement takes it.
    pub(super) worth: Worth,
}

/// Resolves `[value]` and `[fx]`.
pub(super) fn value(check: &mut Check<'_>, raw: &RawConfig) -> Valued {
    let worth = &raw.value;
    let (currency, fx) = currency(check, raw);
    let mut valued = Valued {
        value: Value::Energy(Price::ZERO),
        hashprice: HashpriceSource::NotNeeded,
        worth: Worth { energy: Vec::new(), currency: currency.clone(), fx, settle_only: None },
    };
    let wrong_here = |check: &mut Check<'_>, keys: &[(&str, Option<Range<usize>>)], what: &str| {
        for (key, at) in keys {
            if let Some(at) = at {
                check.wrong(at, format!("`{key}` is for {what}: take it out"));
            }
        }
    };
    let hash_keys = [
        ("hashprice", worth.hashprice.as_ref().map(Spanned::span)),
        ("file", worth.file.as_ref().map(Spanned::span)),
        ("files", worth.files.as_ref().map(Spanned::span)),
        ("address", worth.address.as_ref().map(Spanned::span)),
    ];
    let price = ("price", worth.price.as_ref().map(Spanned::span));
    let contract_keys = [
        ("work", worth.work.as_ref().map(Spanned::span)),
        ("steps", worth.steps.first().map(Spanned::span)),
    ];
    match worth.source.get_ref() {
        ValueSource::Hashprice => {
            wrong_here(check, &[price], "`source = \"energy\"` or `\"contract\"`");
            wrong_here(check, &contract_keys, "`source = \"contract\"`");
            valued.value = by_hashprice(check, worth);
            valued.hashprice = hashprice(check, worth, &currency);
        }
        ValueSource::Energy => {
            wrong_here(check, &hash_keys, "`source = \"hashprice\"`");
            wrong_here(check, &contract_keys, "`source = \"contract\"`");
            match &worth.price {
                Some(price) => valued.energy(check, vec![(Time::MIN, price)], &currency),
                // Nothing is left to value where each cohort names a value of its own.
                None if raw.cohort.iter().all(|c| !c.enabled || c.value.is_some()) => {}
                None => {
                    let message = "`energy` needs a value: add `price = \"40 USD/MWh\"`";
                    check.wrong(&worth.source.span(), message);
                }
            }
        }
        ValueSource::Contract => {
            wrong_here(check, &hash_keys, "`source = \"hashprice\"`");
            contract(check, raw, &currency, &mut valued);
        }
    }
    valued
}

impl Valued {
    /// Values energy at the machine by dated prices, the first of them from the beginning.
    fn energy(&mut self, check: &mut Check<'_>, steps: Vec<(Time, &At<In<Price>>)>, code: &str) {
        let amounts = steps.into_iter().map(|(from, p)| (from, check.amount_in(p, code)));
        self.worth.energy = amounts.collect();
        let first = self.worth.energy.first().map_or(Price::ZERO, |(_, p)| *p);
        // The engine is told one price for ever; what changes by date is for a settlement only.
        let known = match &self.worth.fx {
            Fx::Same => Some(first),
            Fx::Rate(rate) => rate.of(first.0).map(Price),
            Fx::Series(_) => None,
        };
        self.value = Value::Energy(known.unwrap_or(first));
        let why = match (&self.worth.fx, self.worth.energy.len()) {
            (Fx::Series(_), _) => "its value per MWh changes with every day's exchange rate",
            (_, 2..) => "its value per MWh changes by date",
            _ => return,
        };
        self.worth.settle_only = Some(format!(
            "{why}, which `headgate settle` takes into account and the running engine cannot: \
             give [value] one `price` and [fx] one `rate`"
        ));
    }
}

fn by_hashprice(check: &mut Check<'_>, worth: &RawValue) -> Value {
    Value::Hashprice {
        pool_fee_ppm: worth.pool_fee.as_ref().map_or(0, |f| of(f).0),
        stale_after: check.positive(worth.stale_after.as_ref(), STALE_AFTER),
        stale_discount_ppm: STALE_DISCOUNT_PPM,
    }
}

/// A file that has to be there.
fn file(check: &mut Check<'_>, file: &Spanned<PathBuf>) -> PathBuf {
    let path = check.file.resolve_path(file.get_ref());
    if !path.is_file() {
        let message = format!("there is no file {}: write it there", path.display());
        check.wrong(&file.span(), message);
    }
    path
}

fn hashprice(check: &mut Check<'_>, worth: &RawValue, code: &str) -> HashpriceSource {
    let given = [
        worth.hashprice.as_ref().map(|k| ("hashprice", k.span())),
        worth.file.as_ref().map(|k| ("file", k.span())),
        worth.files.as_ref().map(|k| ("files", k.span())),
        worth.address.as_ref().map(|k| ("address", k.span())),
    ];
    let given: Vec<_> = given.into_iter().flatten().collect();
    if let [(first, _), .., (_, at)] = &given[..] {
        check.wrong(at, format!("`{first}` is given too: take one of the two out"));
        return HashpriceSource::NotNeeded;
    }
    if let Some(price) = &worth.hashprice {
        let PerPhDay(money) = check.amount_in(price, code);
        return HashpriceSource::Constant(money);
    }
    if let Some(path) = &worth.file {
        return HashpriceSource::File(file(check, path));
    }
    if let Some(files) = &worth.files {
        let files = files.get_ref();
        return HashpriceSource::Network {
            difficulty: file(check, &files.difficulty),
            price: file(check, &files.price),
            fees: files.fees.as_ref().map(|f| file(check, f)),
        };
    }
    if let Some(address) = &worth.address {
        let text = address.get_ref().trim_end_matches('/');
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if host.is_none_or(str::is_empty) {
            check.wrong(&address.span(), "write an address like \"https://mempool.space\"");
        }
        return HashpriceSource::Address { base: text.to_owned(), currency: code.to_owned() };
    }
    let shipped = Subsidy::shipped().map(|s| s.address().to_owned());
    let base = shipped.unwrap_or_default();
    let message = format!(
        "no hash price is named, so it is fetched from {base}; name another `address`, or give \
         `hashprice`, `file` or `files`"
    );
    check.warn(&worth.source.span(), &message);
    HashpriceSource::Address { base, currency: code.to_owned() }
}

/// A contract: a price per MWh at the machine or per unit of work, perhaps changing by date.
fn contract(check: &mut Check<'_>, raw: &RawConfig, code: &str, valued: &mut Valued) {
    let worth = &raw.value;
    if let Some(at) = worth.steps.get(STEPS_MAX).map(Spanned::span) {
        check.wrong(&at, format!("a contract has at most {STEPS_MAX} steps: join some"));
    }
    let by_work = match (&worth.price, &worth.work) {
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (Some(_), Some(work)) => {
            check.wrong(&work.span(), "`price` is given too: take one of the two out");
            return;
        }
        (None, None) => {
            let message = "a contract pays something: add `price = \"60 USD/MWh\"`, or for work \
                           that is no hashing `work = \"0.20 USD/Mtokens\"`";
            check.wrong(&worth.source.span(), message);
            return;
        }
    };
    let mut froms = vec![Time::MIN];
    for step in &worth.steps {
        let (at, step) = (step.span(), step.get_ref());
        let from = check.midnight(&step.from, false);
        if froms.last().is_some_and(|last| *last >= from) {
            check.wrong(&step.from.span(), "the steps are not in order of their days: sort them");
        }
        froms.push(from);
        if (step.price.is_some(), step.work.is_some()) != (!by_work, by_work) {
            let key = if by_work { "work" } else { "price" };
            check.wrong(&at, format!("a step of this contract has one `{key}` and no other"));
            return;
        }
    }
    let steps = worth.steps.iter().map(Spanned::get_ref);
    if by_work {
        let all = worth.work.iter().chain(steps.filter_map(|s| s.work.as_ref()));
        let rows = all.zip(&froms).map(|(w, from)| work(check, raw, w, code, *from)).collect();
        valued.hashprice = HashpriceSource::Dated(rows);
        valued.value = by_hashprice(check, worth);
    } else {
        let all = worth.price.iter().chain(steps.filter_map(|s| s.price.as_ref()));
        valued.energy(check, froms.into_iter().zip(all).collect(), code);
    }
}

/// A price of work, as the hash price it amounts to.
fn work(
    check: &mut Check<'_>,
    raw: &RawConfig,
    text: &At<In<PerWork>>,
    code: &str,
    known_at: Time,
) -> Hashprice {
    let per = check.amount_in(text, code);
    if per.work == Work::Hash.name() {
        check.wrong(&text.span(), "hashing is paid by `source = \"hashprice\"`: use that");
    }
    let other = raw.cohort.iter().filter(|c| c.enabled && c.value.is_none()).find_map(|c| {
        let levels = c.curve.as_ref()?.get_ref();
        let counts = |l: &&super::raw::RawLevel| l.get_ref().1.0.work.name() != per.work;
        levels.iter().find(counts).map(|l| l.get_ref().1.0.work.name().to_owned())
    });
    if let Some(other) = other {
        let message = format!("a cohort's curve counts {other}, not {}: use one word", per.work);
        check.wrong(&text.span(), message);
    }
    let per_ph_day = per.per_ph_day().unwrap_or(Money::ZERO);
    Hashprice { per_ph_day, known_at }
}

/// The currency the work is paid in, and how it becomes the market's.
fn currency(check: &mut Check<'_>, raw: &RawConfig) -> (String, Fx) {
    let market = check.currency().to_owned();
    let Some(named) = raw.value.currency.as_ref().filter(|c| *c.get_ref() != market) else {
        if let Some(fx) = &raw.fx {
            let message = format!(
                "the work is paid in {market} already: take [fx] out, or name \
                                   another `currency` in [value]"
            );
            check.wrong(&fx.span(), message);
        }
        return (market, Fx::Same);
    };
    let code = named.get_ref().clone();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        check.wrong(&named.span(), "a currency is three capital letters, like \"EUR\"");
    }
    let Some(fx) = &raw.fx else {
        let message = format!(
            "it is not the market's {market}: add [fx] with `rate` or `file`, the {market} that \
             one {code} is worth"
        );
        check.wrong(&named.span(), message);
        return (code, Fx::Same);
    };
    let fx_at = fx.span();
    match (&fx.get_ref().rate, &fx.get_ref().file) {
        (Some(rate), None) => match FxRate::read(rate.get_ref()) {
            Ok(rate) => (code, Fx::Rate(rate)),
            Err(e) => {
                check.wrong(&rate.span(), format!("{e}: write it like \"1.0848\""));
                (code, Fx::Same)
            }
        },
        (None, Some(path)) => {
            let at = path.span();
            match FxSeries::load(&file(check, path)) {
                Ok(series) => (code, Fx::Series(series)),
                Err(headgate_feeds::FeedError::Read { .. }) => (code, Fx::Same),
                Err(e) => {
                    check.wrong(&at, e.sentence());
                    (code, Fx::Same)
                }
            }
        }
        _ => {
            check.wrong(&fx_at, "give one of `rate` and `file`");
            (code, Fx::Same)
        }
    }
}
