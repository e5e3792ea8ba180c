//! What the fuzz targets drive and the tests replay: bytes in, no panic. The targets are in
//! `fuzz/`, their corpus beside them.

use crate::market::{Market, SHIPPED};
use crate::parse::{self, Options};
use crate::schedule::{self, ScheduleKind};
use crate::{fx, hashprice, meter, settlement_point};
use headgate_core::time::Span;
use std::io::Cursor;

const STEP: Span = Span::minutes(15);

/// Price files of every kind and packing, under every shipped market.
///
/// # Panics
/// When a shipped market is not usable.
pub fn prices(data: &[u8]) {
    for (name, _) in SHIPPED {
        let market = Market::shipped(name).expect("a shipped market is usable");
        let all = parse::parse("fuzz", Cursor::new(data), &market, &Options::default());
        if let Ok(parsed) = all
            && let Some(series) = parsed.series.first()
        {
            // What reads whole reads for one of its points, too.
            let point = settlement_point(&series.point.name, &series.point.kind);
            let options = Options { point: Some(point), ..Options::default() };
            let _ = parse::parse("fuzz", Cursor::new(data), &market, &options);
        }
    }
}

/// What is agreed by interval: positions, awards, calls, base points, units, peaks.
pub fn schedules(data: &[u8]) {
    let kinds = [
        ScheduleKind::DayAhead,
        ScheduleKind::Award,
        ScheduleKind::Deployment,
        ScheduleKind::BasePoint,
        ScheduleKind::Unit,
        ScheduleKind::Peak,
    ];
    for kind in kinds {
        let _ = schedule::parse("fuzz", Cursor::new(data), kind, STEP);
    }
}

/// Meters, hash prices and exchange rates.
pub fn series(data: &[u8]) {
    let _ = meter::parse("fuzz", Cursor::new(data), STEP);
    let _ = hashprice::parse("fuzz", Cursor::new(data));
    let _ = fx::FxSeries::parse("fuzz", Cursor::new(data));
}

/// Market files.
pub fn markets(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Market::parse("fuzz", text);
    }
}
