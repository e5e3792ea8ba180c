//! Quantities as people write them, with their units: `7 MW`, `28 USD/MWh`, `15 min`.
//!
//! All are read exactly: a number finer than what is kept is refused, never rounded.

use headgate_core::number::decimal;
use headgate_core::site::Ramp;
use headgate_core::time::Span;
use headgate_core::units::{Money, Power, Price, Rate};
use headgate_drivers::devices::register::MICROWATTS_MAX;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::marker::PhantomData;

/// Highest power a site can have: 1 TW.
const POWER_MAX: i64 = 1_000_000_000_000;
/// Highest price, either way: a million a megawatt-hour.
const PRICE_MAX: i64 = 1_000_000_000_000;
/// Most money in one amount: a billion.
const MONEY_MAX: i64 = 1_000_000_000_000_000;
/// Highest work rate of one machine.
const RATE_MAX: i64 = 1_000_000_000_000_000;
/// Longest span: about ten years.
const SPAN_MAX: i64 = 3_660 * 86_400 * 1_000_000_000;
/// Parts per million in the whole.
const PPM: i64 = 1_000_000;

/// A unit: how it is written, its decimals in what is kept, and what else it is multiplied by.
type Unit = (&'static str, u32, i64);

const POWER_UNITS: &[Unit] = &[("W", 0, 1), ("kW", 3, 1), ("MW", 6, 1), ("GW", 9, 1)];
const SPAN_UNITS: &[Unit] =
    &[("ms", 6, 1), ("s", 9, 1), ("min", 9, 60), ("h", 9, 3_600), ("d", 9, 86_400)];
const HASH_UNITS: &[Unit] = &[("GH/s", 0, 1), ("TH/s", 3, 1), ("PH/s", 6, 1), ("EH/s", 9, 1)];
const ENERGY_UNITS: &[Unit] = &[("MWh", 6, 1), ("kWh", 9, 1)];
const HASHPRICE_UNITS: &[Unit] = &[("PH/day", 6, 1), ("TH/day", 9, 1)];
const DEMAND_UNITS: &[Unit] = &[("kW-yr", 6, 1), ("kW-month", 6, 1)];

/// A quantity that a person writes as text.
pub trait Quantity: Sized {
    /// What it is, with its article: `a power`.
    const WHAT: &'static str;
    /// How it is written: `7 MW`.
    const LIKE: &'static str;
    /// Reads it; the error says what is wrong with the text.
    fn read(text: &str) -> Result<Self, String>;
}

/// A quantity as read from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<'de, T: Quantity> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Quantity> de::Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} in quotes, like \"{}\"", T::WHAT, T::LIKE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                read(text).map(Text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// Reads a quantity; the error is a whole sentence with the mend.
pub fn read<T: Quantity>(text: &str) -> Result<T, String> {
    let (what, like) = (T::WHAT, T::LIKE);
    T::read(text)
        .map_err(|why| format!("\"{text}\" is not {what}: {why}; write it like \"{like}\""))
}

/// Something in a currency; whether it is the market's is checked when the market is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct In<T> {
    /// How much.
    pub amount: T,
    /// ISO 4217 code as written.
    pub currency: String,
}

/// What a rate counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Hashes.
    Hash,
    /// Anything else, by its name.
    Other(String),
}

impl Work {
    /// What messages call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Hash => "hashes",
            Self::Other(name) => name,
        }
    }
}

/// Work per second, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRate {
    /// How fast.
    pub rate: Rate,
    /// Of what.
    pub work: Work,
}

/// A share in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub i64);

/// What a count of one in a device's register stands for, in micro-watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountOf(pub i64);

/// Money for one PH/s held for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerPhDay(pub Money);

/// Money for a million units of work other than hashes, and what is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerWork {
    /// For a million of them.
    pub per_million: Money,
    /// What they are, as curves name them.
    pub work: String,
}

impl PerWork {
    /// The same as a hash price: rates of other work are kept in thousandths where hashing has
    /// GH/s, so a PH/s for a day stands for 1,000 units a second, which is 86.4 million units.
    pub fn per_ph_day(&self) -> Option<Money> {
        let n = i128::from(self.per_million.0) * 864;
        let money = headgate_core::number::div_half_even(n, 10);
        i64::try_from(money).ok().map(Money)
    }
}

/// Money for a kilowatt of peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandRate {
    /// How much.
    pub per_kw: Money,
    /// For how many months: 12 or 1.
    pub months: u8,
}

/// A calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub jiff::civil::Date);

/// Splits `7 MW` into its number and its unit.
fn split(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | ',' | '_');
    let (number, unit) = text.split_at(text.find(|c| !in_number(c)).unwrap_or(text.len()));
    if number.is_empty() {
        return Err("the number is missing".into());
    }
    Ok((number, unit.trim()))
}

/// Reads a number exactly, in units of `10^-digits`, times a factor.
fn exact(number: &str, (name, digits, factor): Unit, max: i64) -> Result<i64, String> {
    let value = decimal(number, digits).map_err(|e| e.to_string())?;
    let fraction = number.split_once('.').map_or("", |(_, f)| f).trim_end_matches('0');
    if fraction.len() > digits as usize {
        return Err(format!("in {name} at most {digits} decimals are kept"));
    }
    let value = value.checked_mul(factor).filter(|v| v.unsigned_abs() <= max.unsigned_abs());
    value.ok_or_else(|| format!("`{number}` is out of range"))
}

fn find(units: &[Unit], unit: &str) -> Result<Unit, String> {
    let names = || units.iter().map(|u| u.0).collect::<Vec<_>>().join(", ");
    if unit.is_empty() {
        return Err(format!("the unit is missing (one of {})", names()));
    }
    let found = units.iter().find(|u| u.0 == unit).copied();
    found.ok_or_else(|| format!("the unit `{unit}` is not one of {}", names()))
}

/// Reads a quantity that is never negative.
fn plain(text: &str, units: &[Unit], max: i64) -> Result<i64, String> {
    let (number, unit) = split(text)?;
    not_negative(exact(number, find(units, unit)?, max)?)
}

fn not_negative(value: i64) -> Result<i64, String> {
    if value < 0 { Err("it is below zero".into()) } else { Ok(value) }
}

/// Reads `CODE` or `CODE/unit` after a number.
fn currency(code: &str) -> Result<String, String> {
    if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(code.to_owned());
    }
    Err(format!("`{code}` is not a currency's three capital letters"))
}

/// Reads a number, a currency and what it is per.
fn per(text: &str, units: &[Unit], max: i64) -> Result<In<i64>, String> {
    let (number, unit) = split(text)?;
    let missing = || format!("`{unit}` does not say what it is per");
    let (code, unit) = unit.split_once('/').ok_or_else(missing)?;
    let currency = currency(code.trim())?;
    Ok(In { amount: exact(number, find(units, unit.trim())?, max)?, currency })
}

impl Quantity for Power {
    const WHAT: &'static str = "a power";
    const LIKE: &'static str = "7 MW";
    fn read(text: &str) -> Result<Self, String> {
        plain(text, POWER_UNITS, POWER_MAX).map(Self)
    }
}

impl Quantity for CountOf {
    const WHAT: &'static str = "what one count stands for";
    const LIKE: &'static str = "1 kW";
    fn read(text: &str) -> Result<Self, String> {
        let units = [("W", 6, 1), ("kW", 9, 1), ("MW", 12, 1)];
        let count = plain(text, &units, MICROWATTS_MAX)?;
        if count == 0 { Err("it is nothing".into()) } else { Ok(Self(count)) }
    }
}

impl Quantity for Span {
    const WHAT: &'static str = "a length of time";
    const LIKE: &'static str = "15 min";
    fn read(text: &str) -> Result<Self, String> {
        plain(text, SPAN_UNITS, SPAN_MAX).map(Self)
    }
}

impl Quantity for Share {
    const WHAT: &'static str = "a share";
    const LIKE: &'static str = "4 %";
    fn read(text: &str) -> Result<Self, String> {
        let ppm = plain(text, &[("%", 4, 1)], i64::MAX)?;
        if ppm > PPM { Err("it is above 100 %".into()) } else { Ok(Self(ppm)) }
    }
}

impl Quantity for WorkRate {
    const WHAT: &'static str = "a rate of work";
    const LIKE: &'static str = "39.2 TH/s";
    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        let (unit, work) = if unit.ends_with("H/s") || unit.is_empty() {
            (find(HASH_UNITS, unit)?, Work::Hash)
        } else {
            let named = |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_alphanumeric());
            let work = unit.strip_suffix("/s").filter(named);
            let work = work.ok_or_else(|| format!("the unit `{unit}` is not work per second"))?;
            (("thousandths", 3, 1), Work::Other(work.to_owned()))
        };
        let rate = not_negative(exact(number, unit, RATE_MAX)?)?;
        Ok(Self { rate: Rate(rate), work })
    }
}

impl Quantity for Ramp {
    const WHAT: &'static str = "power in a time";
    const LIKE: &'static str = "2 MW per 5 s";
    fn read(text: &str) -> Result<Self, String> {
        let (power, span) = if let Some((power, span)) = text.split_once(" per ") {
            (power, Span::read(span)?)
        } else if let Some((power, unit)) = text.split_once('/') {
            (power, Span::read(&format!("1 {}", unit.trim()))?)
        } else {
            return Err("it does not say in how much time".into());
        };
        let power = Power::read(power)?;
        if power == Power::ZERO || span == Span::ZERO {
            return Err("it is zero, which would stop all movement".into());
        }
        Ok(Self { power, per: span })
    }
}

impl Quantity for In<Price> {
    const WHAT: &'static str = "a price of energy";
    const LIKE: &'static str = "28 USD/MWh";
    fn read(text: &str) -> Result<Self, String> {
        let In { amount, currency } = per(text, ENERGY_UNITS, PRICE_MAX)?;
        Ok(Self { amount: Price(amount), currency })
    }
}

impl Quantity for In<Money> {
    const WHAT: &'static str = "an amount of money";
    const LIKE: &'static str = "0.02 USD";
    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        if let Some((code, rest)) = unit.split_once('/') {
            return Err(format!("`/{rest}` after `{code}` is too much"));
        }
        let currency = currency(unit)?;
        let amount = not_negative(exact(number, ("currency", 6, 1), MONEY_MAX)?)?;
        Ok(Self { amount: Money(amount), currency })
    }
}

impl Quantity for In<PerPhDay> {
    const WHAT: &'static str = "a hash price";
    const LIKE: &'static str = "45 USD/PH/day";
    fn read(text: &str) -> Result<Self, String> {
        let In { amount, currency } = per(text, HASHPRICE_UNITS, MONEY_MAX)?;
        Ok(Self { amount: PerPhDay(Money(not_negative(amount)?)), currency })
    }
}

impl Quantity for In<PerWork> {
    const WHAT: &'static str = "a price of work";
    const LIKE: &'static str = "0.20 USD/Mtokens";
    fn read(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        let missing = || format!("`{unit}` does not say what it is per");
        let (code, work) = unit.split_once('/').ok_or_else(missing)?;
        let currency = currency(code.trim())?;
        let work = work.trim().strip_prefix('M').filter(|w| !w.is_empty());
        let work = work.filter(|w| w.chars().all(char::is_alphanumeric)).ok_or_else(missing)?;
        let per_million = not_negative(exact(number, ("currency", 6, 1), MONEY_MAX / 1_000)?)?;
        let amount = PerWork { per_million: Money(per_million), work: work.to_owned() };
        Ok(Self { amount, currency })
    }
}

impl Quantity for In<DemandRate> {
    const WHAT: &'static str = "a price of peak power";
    const LIKE: &'static str = "66.76 USD/kW-yr";
    fn read(text: &str) -> Result<Self, String> {
        let In { amount, currency } = per(text, DEMAND_UNITS, MONEY_MAX)?;
        let months = if text.trim_end().ends_with("yr") { 12 } else { 1 };
        let per_kw = Money(not_negative(amount)?);
        Ok(Self { amount: DemandRate { per_kw, months }, currency })
    }
}

impl Quantity for Date {
    const WHAT: &'static str = "a date";
    const LIKE: &'static str = "2026-01-31";
    fn read(text: &str) -> Result<Self, String> {
        // The parser also takes times and dates without dashes; one way of writing is enough.
        if text.len() != Self::LIKE.len() {
            return Err("it is not year-month-day".into());
        }
        text.parse().map(Self).map_err(|_| "there is no such day".into())
    }
}
