//! Quantities as people write them in a configuration: a number, a blank, a unit.

use headgate_core::number::decimal;
use headgate_core::time::Span;
use headgate_core::units::{Money, Price};

/// Reads a length of time such as `5 min`, `20 s`, `30 h` or `2 d`.
///
/// # Errors
/// One sentence when the text is not a positive or zero length with a known unit.
pub fn span(text: &str) -> Result<Span, String> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{unit}` is not a unit of time (ms, s, min, h, d)")),
    };
    let micros = decimal(number, 6).map_err(|e| e.to_string())?;
    let nanos = i128::from(micros) * unit_ms;
    match i64::try_from(nanos) {
        Ok(n) if n >= 0 => Ok(Span(n)),
        Ok(_) => Err(format!("`{text}` is negative")),
        Err(_) => Err(format!("`{text}` is too long")),
    }
}

/// Reads a price such as `5000 USD/MWh`, in the currency expected.
///
/// # Errors
/// One sentence when the text is not a price in that currency.
pub fn price(text: &str, currency: &str) -> Result<Price, String> {
    let (number, unit) = split(text)?;
    if unit != format!("{currency}/MWh") {
        return Err(format!("the unit is `{unit}` where `{currency}/MWh` is expected"));
    }
    decimal(number, 6).map(Price).map_err(|e| e.to_string())
}

/// Reads a hash price such as `55.20 USD/PH/day`, in the currency expected.
///
/// # Errors
/// One sentence when the text is not a hash price in that currency, or is negative.
pub fn hashprice(text: &str, currency: &str) -> Result<Money, String> {
    let (number, unit) = split(text)?;
    if unit != format!("{currency}/PH/day") {
        return Err(format!("the unit is `{unit}` where `{currency}/PH/day` is expected"));
    }
    match decimal(number, 6) {
        Ok(n) if n >= 0 => Ok(Money(n)),
        Ok(_) => Err(format!("`{text}` is negative")),
        Err(e) => Err(e.to_string()),
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    text.split_once(' ')
        .map(|(number, unit)| (number, unit.trim()))
        .ok_or_else(|| format!("`{text}` is not a number, a blank and a unit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_need_their_unit() {
        assert_eq!(span("5 min"), Ok(Span::minutes(5)));
        assert_eq!(span("0.5 s"), Ok(Span::millis(500)));
        assert_eq!(span("5"), Err("`5` is not a number, a blank and a unit".into()));
        assert_eq!(span("-5 s"), Err("`-5 s` is negative".into()));
        let parsec = "`parsec` is not a unit of time (ms, s, min, h, d)";
        assert_eq!(span("5 parsec"), Err(parsec.into()));
        assert_eq!(price("-250 USD/MWh", "USD"), Ok(Price(-250_000_000)));
        let wrong = "the unit is `AUD/MWh` where `USD/MWh` is expected";
        assert_eq!(price("1 AUD/MWh", "USD"), Err(wrong.into()));
        assert_eq!(hashprice("55.20 USD/PH/day", "USD"), Ok(Money(55_200_000)));
        assert_eq!(hashprice("-1 USD/PH/day", "USD"), Err("`-1 USD/PH/day` is negative".into()));
    }
}
