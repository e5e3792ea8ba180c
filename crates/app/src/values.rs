//! What the work is worth over time: hash prices from wherever a configuration says, in the
//! market's currency, each told when it could be known.

use crate::config::{Fx, HashpriceSource, Loaded};
use anyhow::Context;
use headgate_core::event::{Event, Hashprice};
use headgate_core::time::{SECOND, Time};
use headgate_core::units::Money;
use headgate_feeds::hashprice::{Computed, Mempool, NetworkData, Subsidy};
use std::time::Duration;
use tokio::sync::mpsc;

/// Shortest and longest sleep of the thread that fetches hash prices.
const SLEEP_LEAST: Duration = Duration::from_secs(1);
const SLEEP_MOST: Duration = Duration::from_secs(30);

/// Whether hash prices that come from an address are fetched now or by [`follow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetching {
    Now,
    Later,
}

/// A hash price and when it is told: with it, or with a later exchange rate.
pub type Told = (Time, Hashprice);

/// The hash prices of a configuration in the currency the work is paid in, in the order in which
/// they are known; what they lack is logged.
///
/// # Errors
/// When a file that holds them cannot be read, or an address does not answer.
pub fn in_own_currency(loaded: &Loaded, fetching: Fetching) -> anyhow::Result<Vec<Hashprice>> {
    Ok(match &loaded.hashprice {
        HashpriceSource::NotNeeded => Vec::new(),
        HashpriceSource::Constant(money) => {
            vec![Hashprice { per_ph_day: *money, known_at: Time::MIN }]
        }
        HashpriceSource::Dated(rows) => rows.clone(),
        HashpriceSource::File(path) => headgate_feeds::hashprice::load(path)
            .with_context(|| format!("failed to load the hash prices `{}`", path.display()))?,
        HashpriceSource::Network { difficulty, price, fees } => {
            let subsidy = Subsidy::shipped()?;
            let data = NetworkData::load(difficulty, price, fees.as_deref(), &subsidy)
                .context("failed to load what the hash price is computed from")?;
            noted(data.hashprices(&subsidy))
        }
        HashpriceSource::Address { .. } if fetching == Fetching::Later => Vec::new(),
        HashpriceSource::Address { base, currency } => {
            fetch(&mut Mempool::new(base, currency)).context("failed to fetch the hash prices")?
        }
    })
}

fn fetch(mempool: &mut Mempool) -> anyhow::Result<Vec<Hashprice>> {
    let data = mempool.fetch(crate::clock::wall_now())?;
    Ok(noted(data.hashprices(&Subsidy::shipped()?)))
}

fn noted(computed: Computed) -> Vec<Hashprice> {
    for note in &computed.notes {
        tracing::info!("hash price: {note}");
    }
    computed.rows
}

/// Hash prices in the market's currency. Where a day has its own exchange rate, each new rate
/// tells the last hash price anew; it does not make it any younger.
fn in_market_currency(rows: &[Hashprice], fx: &Fx) -> Vec<Told> {
    match fx {
        Fx::Same => rows.iter().map(|h| (h.known_at, *h)).collect(),
        Fx::Rate(rate) => {
            let of = |h: &Hashprice| {
                let per_ph_day = rate.of(h.per_ph_day.0).map(Money)?;
                Some((h.known_at, Hashprice { per_ph_day, ..*h }))
            };
            rows.iter().filter_map(of).collect()
        }
        Fx::Series(series) => {
            let mut times: Vec<Time> = rows.iter().map(|h| h.known_at).collect();
            times.extend(series.rates().map(|(at, _)| at));
            times.sort_unstable();
            times.dedup();
            let of = |at: Time| {
                let next = rows.partition_point(|h| h.known_at <= at);
                let h = rows.get(next.checked_sub(1)?)?;
                let per_ph_day = series.at(at)?.1.of(h.per_ph_day.0).map(Money)?;
                Some((at, Hashprice { per_ph_day, ..*h }))
            };
            times.into_iter().filter_map(of).collect()
        }
    }
}

/// The hash prices of a configuration as events from a moment on. Of what was known before it
/// only the last counts.
///
/// # Errors
/// As [`in_own_currency`].
pub fn script(
    loaded: &Loaded,
    start: Time,
    fetching: Fetching,
) -> anyhow::Result<Vec<(Time, Event)>> {
    let told = in_market_currency(&in_own_currency(loaded, fetching)?, &loaded.worth.fx);
    let first = told.partition_point(|(at, _)| *at <= start).saturating_sub(1);
    // What a contract fixes never grows old: it is known anew at every start.
    let fixed =
        matches!(loaded.hashprice, HashpriceSource::Constant(_) | HashpriceSource::Dated(_));
    let event = |(at, h): Told| {
        let at = at.max(start);
        let h = if fixed { Hashprice { known_at: at, ..h } } else { h };
        (at, Event::Value(h))
    };
    Ok(told.into_iter().skip(first).map(event).collect())
}

/// Fetches hash prices from the configuration's address, if it names one, in a thread of its
/// own until the receiver is gone. A failure is logged; what was told before stands and ages.
///
/// # Errors
/// When the system gives no thread.
pub fn follow(loaded: &Loaded, into: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let HashpriceSource::Address { base, currency } = &loaded.hashprice else { return Ok(()) };
    let mut mempool = Mempool::new(base, currency);
    let fx = loaded.worth.fx.clone();
    std::thread::Builder::new().name("hashprice".into()).spawn(move || {
        let mut last: Option<Told> = None;
        while !into.is_closed() {
            let now = crate::clock::wall_now();
            if now >= mempool.next_at() {
                match fetch(&mut mempool) {
                    Ok(rows) => {
                        let told = in_market_currency(&rows, &fx);
                        let newest = told.into_iter().rfind(|(at, _)| *at <= now);
                        if let Some((_, h)) = newest.filter(|t| last != Some(*t))
                            && into.blocking_send(Event::Value(h)).is_err()
                        {
                            return;
                        }
                        last = newest.or(last);
                    }
                    Err(e) => tracing::warn!("failed to fetch the hash price: {e:#}"),
                }
            }
            let pause = mempool.next_at().since(crate::clock::wall_now()).0 / SECOND;
            let pause = Duration::from_secs(u64::try_from(pause).unwrap_or(0));
            std::thread::sleep(pause.clamp(SLEEP_LEAST, SLEEP_MOST));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_feeds::fx::{FxRate, FxSeries};

    fn hash(day: i64, dollars: i64) -> Hashprice {
        let known_at = Time::from_seconds(day * 86_400);
        Hashprice { per_ph_day: Money(dollars * 1_000_000), known_at }
    }

    fn check(fx: &Fx) -> String {
        let told = in_market_currency(&[hash(19_000, 50), hash(19_002, 60)], fx);
        let of = |(at, h): &Told| {
            let (at, known) = (at.day(), h.known_at.day());
            format!("{at}: {} known {known}", h.per_ph_day)
        };
        told.iter().map(of).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn another_currency_is_converted_as_its_rate_is_known() {
        insta::assert_snapshot!(check(&Fx::Same), @"19000: 50.00 known 19000; 19002: 60.00 known 19002");
        let half = Fx::Rate(FxRate(500_000_000));
        insta::assert_snapshot!(check(&half), @"19000: 25.00 known 19000; 19002: 30.00 known 19002");
        // Rates of 2022-01-07 and 2022-01-09: nothing is told before the first is known, and a
        // new rate makes no hash price younger.
        let text = "date,rate\n2022-01-07,2\n2022-01-09,3\n";
        let series = FxSeries::parse("fx.csv", std::io::Cursor::new(text)).unwrap();
        insta::assert_snapshot!(check(&Fx::Series(series)), @"19000: 100.00 known 19000; 19002: 180.00 known 19002");
        let text = "date,rate\n2022-01-08,2\n2022-01-10,3\n";
        let series = FxSeries::parse("fx.csv", std::io::Cursor::new(text)).unwrap();
        insta::assert_snapshot!(check(&Fx::Series(series)), @"19001: 100.00 known 19000; 19002: 120.00 known 19002; 19003: 180.00 known 19002");
    }
}
