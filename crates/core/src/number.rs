//! Exact decimal parsing and named integer rounding: the only ways a number enters the core.

use std::fmt;

/// Says why a text is not a usable decimal number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberError {
    /// There was nothing to read.
    Empty,
    /// The text is a float's way of saying "not a number" or "infinite".
    NotFinite(String),
    /// The text is not a decimal number.
    NotANumber(String),
    /// The number does not fit.
    OutOfRange(String),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "an empty field where a number is expected"),
            Self::NotFinite(t) => write!(f, "`{t}` is not a finite number"),
            Self::NotANumber(t) => write!(f, "`{t}` is not a number"),
            Self::OutOfRange(t) => write!(f, "`{t}` is out of range"),
        }
    }
}

impl std::error::Error for NumberError {}

/// Longest text accepted as one number; anything longer is hostile or broken.
pub const NUMBER_TEXT_MAX: usize = 64;

/// Reads a decimal text as an integer count of `10^-digits`, rounding half to even beyond that.
///
/// Accepts surrounding blanks, a sign, a decimal point and a small exponent (`-1.5e-3`).
///
/// # Errors
/// [`NumberError`] when the text is empty, not a finite decimal number, or too large for `i64`.
pub fn decimal(text: &str, digits: u32) -> Result<i64, NumberError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    plain(text.as_bytes(), digits).map_or_else(|| careful(text, digits), Ok)
}

/// As [`decimal`], of any text without blanks around it that is not empty.
fn careful(text: &str, digits: u32) -> Result<i64, NumberError> {
    let shown = || text.chars().take(NUMBER_TEXT_MAX).collect::<String>();
    let lower = text.to_ascii_lowercase();
    if matches!(lower.trim_start_matches(['+', '-']), "nan" | "inf" | "infinity") {
        return Err(NumberError::NotFinite(shown()));
    }
    if text.len() > NUMBER_TEXT_MAX {
        return Err(NumberError::NotANumber(shown()));
    }
    let (mantissa, exponent) = match lower.split_once('e') {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| NumberError::NotANumber(shown()))?),
        None => (lower.as_str(), 0),
    };
    let (negative, body) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(NumberError::NotANumber(shown()));
    }
    let mut value: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()) {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i128::from(b - b'0')))
            .ok_or_else(|| NumberError::OutOfRange(shown()))?;
    }
    let fraction_len = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let shift = i32::try_from(digits).unwrap_or(i32::MAX) - fraction_len + exponent;
    let scaled = scale_half_even(value, shift).ok_or_else(|| NumberError::OutOfRange(shown()))?;
    let signed = if negative { -scaled } else { scaled };
    i64::try_from(signed).map_err(|_| NumberError::OutOfRange(shown()))
}

/// A number as nearly all are written, a few digits with a point and a sign before them at most;
/// `None` where it takes more care.
fn plain(text: &[u8], digits: u32) -> Option<i64> {
    let (negative, body) = match text {
        [b'-', body @ ..] => (true, body),
        _ => (false, text),
    };
    // With so few digits nothing leaves 64 bits.
    if body.len() > 12 || digits > 6 {
        return None;
    }
    let (mut value, mut left, mut begun, mut point) = (0i64, digits, false, false);
    for byte in body {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                left = if point { left.checked_sub(1)? } else { left };
                begun = true;
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    let value = value * 10i64.pow(left);
    begun.then_some(if negative { -value } else { value })
}

fn scale_half_even(value: i128, shift: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    if shift >= 0 {
        let factor = 10i128.checked_pow(u32::try_from(shift).ok()?)?;
        return value.checked_mul(factor);
    }
    match 10i128.checked_pow(shift.unsigned_abs()) {
        Some(factor) => Some(div_half_even(value, factor)),
        None => Some(0),
    }
}

/// Divides rounding to the nearest integer, halves to the even one.
///
/// # Panics
/// When `d` is not positive.
#[must_use]
#[inline(always)]
pub fn div_half_even(n: i128, d: i128) -> i128 {
    // Always made a part of what calls it, so that a divisor known there becomes a
    // multiplication.
    match (i64::try_from(n), i64::try_from(d)) {
        (Ok(n), Ok(d)) => i128::from(div_half_even_small(n, d)),
        _ => div_half_even_large(n, d),
    }
}

/// As [`div_half_even`], for what does not fit 64 bits.
#[inline(never)]
fn div_half_even_large(n: i128, d: i128) -> i128 {
    let (q, r) = divided(n, d);
    match (2 * r).cmp(&d) {
        std::cmp::Ordering::Less => q,
        std::cmp::Ordering::Greater => q + 1,
        std::cmp::Ordering::Equal => q + (q & 1),
    }
}

/// As [`div_half_even`], for what fits 64 bits.
#[inline(always)]
fn div_half_even_small(n: i64, d: i64) -> i64 {
    assert!(d > 0, "the divisor is positive");
    let (q, r) = (n.div_euclid(d), n.rem_euclid(d));
    // The rest is below the divisor, so its distance from the divisor fits where twice it may not.
    match r.cmp(&(d - r)) {
        std::cmp::Ordering::Less => q,
        std::cmp::Ordering::Greater => q + 1,
        std::cmp::Ordering::Equal => q + (q & 1),
    }
}

/// Divides rounding towards minus infinity.
///
/// # Panics
/// When `d` is not positive.
#[must_use]
#[inline]
pub fn div_floor(n: i128, d: i128) -> i128 {
    divided(n, d).0
}

/// Quotient towards minus infinity, and the rest, which is not negative. Nearly all that is
/// divided fits 64 bits, where a processor divides many times faster than in 128; of what does
/// not, nearly all is a price times the nanoseconds of an interval, which takes two divisions.
#[inline]
fn divided(n: i128, d: i128) -> (i128, i128) {
    assert!(d > 0, "the divisor is positive");
    if let (Ok(n), Ok(d)) = (i64::try_from(n), i64::try_from(d)) {
        return (i128::from(n.div_euclid(d)), i128::from(n.rem_euclid(d)));
    }
    if let (Ok(high), Ok(d @ 1..LONG_DIVISOR)) = (i64::try_from(n >> DIGIT_BITS), i64::try_from(d))
    {
        // By hand, the digits of the quotient being of so many bits: n = 2^bits high + low. The
        // rest of the first is below d, so that with the next digit it fits 64 bits.
        let low = n as i64 & ((1 << DIGIT_BITS) - 1);
        let (first, rest) = (high.div_euclid(d), high.rem_euclid(d));
        let rest = (rest << DIGIT_BITS) | low;
        let q = (i128::from(first) << DIGIT_BITS) + i128::from(rest / d);
        return (q, i128::from(rest % d));
    }
    let q = n.div_euclid(d);
    (q, n - q * d)
}

/// Bits of a digit of the long division.
const DIGIT_BITS: u32 = 21;
/// What is divided by long has to be below this.
const LONG_DIVISOR: i64 = 1 << (i64::BITS - 1 - DIGIT_BITS);

/// Divides rounding towards plus infinity.
///
/// # Panics
/// When `d` is not positive.
#[must_use]
#[inline]
pub fn div_ceil(n: i128, d: i128) -> i128 {
    -divided(-n, d).0
}

/// Narrows to `i64`; a value that does not fit is a broken invariant, never a wrong number.
///
/// # Panics
/// When the value does not fit.
#[must_use]
pub fn to_i64(n: i128) -> i64 {
    i64::try_from(n).expect("a quantity fits 64 bits: inputs are bounded at the edge")
}

/// Writes an integer count of `10^-digits` as a decimal with at most `shown` decimals, exact
/// digits cut, never rounded up.
#[must_use]
pub fn show(value: i64, digits: u32, shown: u32) -> String {
    let scale = 10u64.pow(digits);
    let magnitude = value.unsigned_abs();
    let (whole, rest) = (magnitude / scale, magnitude % scale);
    let sign = if value < 0 { "-" } else { "" };
    if shown == 0 {
        return format!("{sign}{whole}");
    }
    let text = format!("{rest:0width$}", width = digits as usize);
    format!("{sign}{whole}.{}", &text[..(shown as usize).min(text.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, digits: u32, want: Result<i64, &str>) {
        let got = decimal(text, digits).map_err(|e| e.to_string());
        assert_eq!(got, want.map_err(String::from), "{text}");
    }

    #[test]
    fn decimals_are_exact() {
        check(" 31.61", 6, Ok(31_610_000));
        check("-251.00", 6, Ok(-251_000_000));
        check("9160.85", 6, Ok(9_160_850_000));
        check("1e-05", 6, Ok(10));
        check("2.5", 0, Ok(2));
        check("3.5", 0, Ok(4));
        check("-2.5", 0, Ok(-2));
        check(".5", 1, Ok(5));
        check("0e-999", 6, Ok(0));
        check("nan", 6, Err("`nan` is not a finite number"));
        check("-Inf", 6, Err("`-Inf` is not a finite number"));
        check("", 6, Err("an empty field where a number is expected"));
        check("1,5", 6, Err("`1,5` is not a number"));
        check("--1", 6, Err("`--1` is not a number"));
        check(".", 6, Err("`.` is not a number"));
        check("99999999999999999999", 6, Err("`99999999999999999999` is out of range"));
    }

    proptest! {
        #[test]
        fn what_is_plain_is_read_as_with_care(
            text in "[-+]?[0-9]{0,8}[.e]?[0-9]{0,7}", digits in 0u32..8
        ) {
            if let Some(number) = plain(text.as_bytes(), digits) {
                assert_eq!(careful(&text, digits), Ok(number));
            }
        }

        #[test]
        fn every_integer_survives_text(v in -10_000_000_000_000i64..10_000_000_000_000) {
            let text = show(v, 6, 6);
            assert_eq!(decimal(&text, 6), Ok(v), "{}", text);
        }

        #[test]
        fn roundings_bracket(n in -1_000_000i128..1_000_000, d in 1i128..1000) {
            let (lo, near, hi) = (div_floor(n, d), div_half_even(n, d), div_ceil(n, d));
            assert!(lo <= near && near <= hi && hi - lo <= 1);
            assert!(lo * d <= n && n <= hi * d);
        }

        /// Divided by hand it is as the machine divides 128 bits.
        #[test]
        fn long_division_is_division(
            n in proptest::num::i128::ANY,
            narrower in 0u32..80,
            d in proptest::prop_oneof![1i64..1_000_000, 1i64..1 << 43, 1i64..i64::MAX],
        ) {
            let (n, d) = (n >> narrower, i128::from(d));
            assert_eq!(divided(n, d), (n.div_euclid(d), n.rem_euclid(d)));
        }

        /// Across the edge of 64 bits the rounding is the same.
        #[test]
        fn wide_numbers_divide_as_narrow_ones(n in -5_000i128..5_000, d in 1i128..90) {
            let wide = 1i128 << 70;
            for of in [div_floor, div_half_even, div_ceil] {
                // The even neighbour stays the even one, as `wide` is even.
                assert_eq!(of(n + wide * d, d), of(n, d) + wide);
                assert_eq!(of(n * wide, d * wide), of(n, d));
            }
        }
    }
}
