//! Hash price by day from the network itself:
//!
//! ```text
//! 86400 s * 1 PH/s / (difficulty * 2^32) * (subsidy + fees of a block) * price of the coin
//! ```
//!
//! A day's hash price takes the difficulty in force at the day's end and the day's last price, so
//! it is known at that end and not before.

use super::end_of_day;
use crate::error::FeedError;
use crate::limits::{HASHPRICES_MAX, NETWORK_ROWS_MAX};
use crate::quantity;
use crate::table::{self, Head, Row, Rows};
use headgate_core::event::Hashprice;
use headgate_core::number::{decimal, div_half_even};
use headgate_core::time::{Span, Time};
use headgate_core::units::Money;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The protocol's dated facts, shipped with the program.
const BITCOIN: &str = include_str!("../../../../markets/bitcoin.toml");
/// Longest a difficulty is carried on: twice the two weeks it is meant to hold. After that the
/// next one is missing from the data, and missing is not the same as unchanged.
const DIFFICULTY_HOLDS_MAX: Span = Span::hours(28 * 24);
/// Halvings listed in a protocol file.
const SUBSIDIES_MAX: usize = 64;
/// Satoshi in one bitcoin, as a power of ten.
const SATOSHI_DIGITS: u32 = 8;
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// How hard a block is to find, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difficulty(pub i64);

/// Satoshi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coin(pub i64);

/// What one PH/s held for a day brings, rounded half to even; `None` where nothing can be mined
/// at that difficulty or the result does not fit.
#[must_use]
pub fn per_ph_day(difficulty: Difficulty, reward: Coin, price: Money) -> Option<Money> {
    // 86400 * 1e15 / 2^32, with satoshi for coins and hundredths of difficulty, is the fraction
    // 675 * 5^9 / 2^16 once what both sides share is taken out: no float, and nothing overflows.
    const NUMERATOR: i128 = 675 * 1_953_125;
    const DENOMINATOR: i128 = 1 << 16;
    if difficulty.0 <= 0 {
        return None;
    }
    let n = i128::from(reward.0).checked_mul(i128::from(price.0))?.checked_mul(NUMERATOR)?;
    let money = div_half_even(n, i128::from(difficulty.0) * DENOMINATOR);
    i64::try_from(money).ok().map(Money)
}

/// What the protocol pays for a block, by date and by height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsidy {
    dated: Vec<(Time, u32, Coin)>,
    halving_blocks: u32,
    blocks_per_day: i64,
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[expect(dead_code, reason = "for the reader of the file")]
    name: String,
    block_time: String,
    halving_blocks: u32,
    address: String,
    subsidy: Vec<RawSubsidy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubsidy {
    from: String,
    height: u32,
    btc: String,
}

impl Subsidy {
    /// The subsidy of Bitcoin as shipped.
    ///
    /// # Errors
    /// [`FeedError`] when the shipped file is not usable, which a test rules out.
    pub fn shipped() -> Result<Self, FeedError> {
        Self::parse("markets/bitcoin.toml", BITCOIN)
    }

    /// Parses a protocol file; `file` is what messages call it.
    ///
    /// # Errors
    /// [`FeedError`] naming the key and the mend.
    pub fn parse(file: &str, text: &str) -> Result<Self, FeedError> {
        let raw: Raw = toml::from_str(text)
            .map_err(|e| FeedError::MarketText { file: file.to_owned(), source: Box::new(e) })?;
        let bad = |key: String, what: String, mend: &str| FeedError::MarketKey {
            file: file.to_owned(),
            key,
            what,
            mend: mend.to_owned(),
        };
        let block = quantity::span(&raw.block_time)
            .map_err(|e| bad("block_time".into(), e, "write it as 10 min"))?;
        if block.as_seconds() <= 0 || raw.halving_blocks == 0 {
            let what = "a block takes time and a halving takes blocks".into();
            return Err(bad("block_time".into(), what, "use 10 min and 210000"));
        }
        let mut dated = Vec::new();
        for (i, s) in raw.subsidy.iter().take(SUBSIDIES_MAX).enumerate() {
            let key = |k: &str| format!("subsidy[{i}].{k}");
            let from = crate::local::utc(s.from.as_bytes()).or_else(|| {
                // The first block is older than any year a market's date may be of.
                (s.height == 0).then_some(Time::MIN)
            });
            let from = from.ok_or_else(|| {
                bad(key("from"), format!("`{}` is no moment", s.from), "write 2024-04-20T00:09:27Z")
            })?;
            let coin = decimal(&s.btc, SATOSHI_DIGITS)
                .map_err(|e| bad(key("btc"), e.to_string(), "write it as 3.125"))?;
            dated.push((from, s.height, Coin(coin)));
        }
        if dated.is_empty() || !dated.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1) {
            let what = "the dates or heights are not rising".into();
            return Err(bad("subsidy".into(), what, "put them in order"));
        }
        let blocks_per_day = DAY_S / block.as_seconds();
        let (halving_blocks, address) = (raw.halving_blocks, raw.address);
        Ok(Self { dated, halving_blocks, blocks_per_day, address })
    }

    /// The address numbers are fetched from where a configuration names none.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What a block found at a moment is paid, where the chain is known to have reached a height.
    #[must_use]
    pub fn at(&self, at: Time, height: u32) -> Coin {
        let next = self.dated.partition_point(|(from, ..)| *from <= at);
        let (_, known_height, coin) = self.dated[next.saturating_sub(1)];
        // A chain past the next halving has halved, whatever the list of dates still says.
        let halvings = (height / self.halving_blocks)
            .saturating_sub(known_height / self.halving_blocks)
            .min(63);
        Coin(coin.0 >> halvings)
    }
}

/// Difficulty, coin price and fees by day, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkData {
    /// From when a difficulty is in force: the height of its first block, and the difficulty.
    pub difficulty: BTreeMap<Time, (u32, Difficulty)>,
    /// Last price of the coin on a UTC day, by the day's number.
    pub price: BTreeMap<i32, Money>,
    /// Fees of a mean block of a UTC day; `None` where fees are left out altogether.
    pub fees: Option<BTreeMap<i32, Coin>>,
    /// What was passed over while reading, one sentence each.
    pub notes: Vec<String>,
}

/// Hash prices by day, and what they lack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Computed {
    /// One a day, in time order, each known at the end of its day.
    pub rows: Vec<Hashprice>,
    /// What is missing, one sentence each.
    pub notes: Vec<String>,
}

impl NetworkData {
    /// Loads difficulty, price and perhaps fees from CSV files, packed or not.
    ///
    /// # Errors
    /// [`FeedError`] naming file, line, column and the mend.
    pub fn load(
        difficulty: &Path,
        price: &Path,
        fees: Option<&Path>,
        subsidy: &Subsidy,
    ) -> Result<Self, FeedError> {
        let mut data = Self::default();
        let blocks_per_day = subsidy.blocks_per_day;
        let mut one = |path: &Path, what: What| -> Result<(), FeedError> {
            let mut reader = Reader {
                what,
                columns: (0, 0),
                extra: None,
                per_block: false,
                blocks_per_day,
                untimed: 0,
                data: &mut data,
            };
            table::load(path, &mut reader)?;
            let untimed = reader.untimed;
            let empty = match what {
                What::Difficulty => data.difficulty.is_empty(),
                What::Price => data.price.is_empty(),
                What::Fees => data.fees.as_ref().is_none_or(BTreeMap::is_empty),
            };
            if empty {
                return Err(table::no_rows(&path.display().to_string(), "write one line a day"));
            }
            if untimed > 0 {
                let note = format!("{untimed} difficulties without a time are left out");
                data.notes.push(note);
            }
            Ok(())
        };
        one(difficulty, What::Difficulty)?;
        one(price, What::Price)?;
        if let Some(fees) = fees {
            one(fees, What::Fees)?;
        }
        Ok(data)
    }

    /// The hash price of each day whose coin price and difficulty are known.
    #[must_use]
    pub fn hashprices(&self, subsidy: &Subsidy) -> Computed {
        let mut out = Computed { rows: Vec::new(), notes: self.notes.clone() };
        let (mut without_difficulty, mut without_fees, mut odd) = (0usize, 0usize, 0usize);
        for (day, price) in self.price.iter().rev().take(HASHPRICES_MAX) {
            let end = end_of_day(*day);
            let in_force = self.difficulty.range(..end).next_back();
            let Some((from, (height, difficulty))) =
                in_force.filter(|(from, _)| end.since(**from) <= DIFFICULTY_HOLDS_MAX)
            else {
                without_difficulty += 1;
                continue;
            };
            // The first block's height, and as many more as the protocol aims at since.
            let since = end.since(*from).as_seconds() * subsidy.blocks_per_day / DAY_S;
            let height = height.saturating_add(u32::try_from(since.min(2_015)).unwrap_or(0));
            let fees = self.fees.as_ref().map(|fees| fees.get(day).copied());
            without_fees += usize::from(fees == Some(None));
            let reward = subsidy.at(end, height).0 + fees.flatten().map_or(0, |c| c.0);
            match per_ph_day(*difficulty, Coin(reward), *price) {
                Some(per_ph_day) => out.rows.push(Hashprice { per_ph_day, known_at: end }),
                None => odd += 1,
            }
        }
        out.rows.reverse();
        let mut note = |n: usize, text: &str| {
            if n > 0 {
                out.notes.push(format!("{n} days {text}"));
            }
        };
        note(without_difficulty, "have a coin price and no difficulty in force: left out");
        note(without_fees, "have no fees: their hash price is of the subsidy alone");
        note(odd, "give no usable number: left out");
        out
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Difficulty,
    Price,
    Fees,
}

#[derive(Debug)]
struct Reader<'a> {
    what: What,
    /// Columns of the time and of the value.
    columns: (usize, usize),
    /// Column of the height or of the number of blocks.
    extra: Option<usize>,
    per_block: bool,
    blocks_per_day: i64,
    untimed: usize,
    data: &'a mut NetworkData,
}

impl Rows for Reader<'_> {
    fn header(&mut self, head: &Head) -> Result<(), FeedError> {
        let (times, values, extra): (&[&str], &[&str], &[&str]) = match self.what {
            What::Difficulty => (
                &["first_block_time_utc", "time_utc", "date"],
                &["difficulty"],
                &["first_block_height", "height"],
            ),
            What::Price => (&["date"], &["close", "price", "close_usd", "price_usd"], &[]),
            What::Fees => (&["date"], &["fees_btc_per_block", "fees_btc"], &["blocks"]),
        };
        let found = head.find(times).zip(head.find(values));
        let mend = match self.what {
            What::Difficulty => "write first_block_height,first_block_time_utc,difficulty",
            What::Price => "write date,close with the day's last price",
            What::Fees => "write date,fees_btc with the day's fees, or date,fees_btc_per_block",
        };
        self.columns = found.ok_or_else(|| head.unknown(mend))?;
        self.extra = head.find(extra);
        self.per_block = head.names()[self.columns.1] == "fees_btc_per_block";
        if self.what == What::Fees {
            self.data.fees.get_or_insert_default();
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), FeedError> {
        let (time, value) = self.columns;
        let data = &mut *self.data;
        let have = data.difficulty.len() + data.price.len();
        if have + data.fees.as_ref().map_or(0, BTreeMap::len) >= NETWORK_ROWS_MAX {
            return Err(table::too_many(row, NETWORK_ROWS_MAX));
        }
        let zero = |what: &str| row.bad(value, format!("{what} is zero"), "leave the row out");
        match self.what {
            What::Difficulty if row.bytes(time).is_empty() => self.untimed += 1,
            What::Difficulty => {
                let from = row.moment_or_day(time)?;
                let difficulty = Difficulty(row.amount(value, 2)?);
                if difficulty.0 == 0 {
                    return Err(zero("a difficulty"));
                }
                let height = self.extra.map_or(Ok(0), |c| row.amount(c, 0))?;
                let height = u32::try_from(height).unwrap_or(u32::MAX);
                data.difficulty.insert(from, (height, difficulty));
            }
            What::Price => {
                let price = Money(row.amount(value, 6)?);
                if price.0 == 0 {
                    return Err(zero("a coin's price"));
                }
                data.price.insert(row.day(time)?, price);
            }
            What::Fees => {
                let fees = row.amount(value, SATOSHI_DIGITS)?;
                let blocks = match (self.per_block, self.extra) {
                    (true, _) => 1,
                    (false, Some(column)) => row.amount(column, 0)?,
                    (false, None) => self.blocks_per_day,
                };
                if blocks == 0 {
                    return Ok(());
                }
                let per_block = div_half_even(i128::from(fees), i128::from(blocks));
                let coin = Coin(headgate_core::number::to_i64(per_block));
                data.fees.get_or_insert_default().insert(row.day(time)?, coin);
            }
        }
        Ok(())
    }
}
