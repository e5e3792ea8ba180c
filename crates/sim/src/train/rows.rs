//! A tape as the rows of a regression: what was known at each step, and what it settled at.

use crate::backtest::Tape;
use headgate_core::horizon::features::{Eyes, Knowledge, Seen, View};
use headgate_core::horizon::model::offset_at;
use headgate_core::market::{FeedBook, PriceKind};
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::Price;
use std::collections::BTreeMap;

/// A span of one tape, step by step.
#[derive(Debug, Clone)]
pub struct Steps {
    /// First step's start.
    pub start: Time,
    /// Length of a step.
    pub step: Span,
    /// Value of a consumed MWh they are seen with, currency.
    pub value: f64,
    /// Steps of a settlement interval.
    pub per_interval: u8,
    /// What each step's settlement interval settled at, currency per MWh.
    pub settled: Vec<f64>,
    /// What was seen at the step's decision; `None` where no fresh price came.
    pub seen: Vec<Option<Seen>>,
}

/// How prices are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Value of a consumed MWh.
    pub value: Price,
    /// Distance that counts as one.
    pub scale: Price,
    /// Local time less UTC, from each moment on.
    pub offsets: &'a [(Time, Span)],
}

/// Lives through a tape and keeps what each step of a span saw, when it saw it first.
pub fn steps(tape: &Tape, span: Interval, look: &Look<'_>) -> Steps {
    let step = tape.step;
    let count = usize::try_from(span.length().0 / step.0).unwrap_or(0);
    let mut seen: Vec<Option<Seen>> = vec![None; count];
    let (mut book, mut eyes) = (FeedBook::default(), Eyes::default());
    // What is told at one moment is seen together, in whatever order it is listed.
    for together in tape.told.chunk_by(|a, b| a.at == b.at) {
        let told = &together[0];
        if told.at >= span.end {
            break;
        }
        for told in together {
            book.take(told.kind, &told.rows, told.at);
        }
        let ahead_alone = together.iter().all(|t| t.kind == PriceKind::DayAhead);
        if told.at < span.start || ahead_alone {
            continue;
        }
        let at = usize::try_from(told.at.since(span.start).0 / step.0).unwrap_or(usize::MAX);
        let Some(slot @ None) = seen.get_mut(at) else { continue };
        let view = View {
            book: &book,
            now: told.at,
            value: look.value,
            scale: look.scale,
            step,
            settle_step: tape.settle_step,
            offset: offset_at(look.offsets, told.at),
        };
        *slot = view.see_with(&mut eyes).filter(|s| s.knowledge != Knowledge::Stale);
    }
    let mut settled = Vec::with_capacity(count);
    let mut rows = tape.settled.iter().peekable();
    for i in 0..count {
        let at = span.start + Span(step.0 * i64::try_from(i).unwrap_or(0));
        while rows.peek().is_some_and(|r| r.interval.end <= at) {
            rows.next();
        }
        let price = rows.peek().filter(|r| r.interval.contains(at)).map(|r| r.price);
        settled.push(price.map_or(f64::NAN, |p| p.0 as f64 / 1e6));
    }
    let per_interval = u8::try_from(tape.settle_step.0 / step.0).unwrap_or(1);
    Steps { start: span.start, step, per_interval, value: look.value.0 as f64 / 1e6, settled, seen }
}

/// Leaves out what was seen with a kind of knowledge that is rarer than this: a table fitted on a
/// handful of decisions is worse than none.
pub fn leave_out_rare(steps: &mut [Steps], least: usize) {
    let mut counts: BTreeMap<Knowledge, usize> = BTreeMap::new();
    for seen in steps.iter().flat_map(|s| &s.seen).flatten() {
        *counts.entry(seen.knowledge).or_default() += 1;
    }
    let rare = |s: &Seen| counts.get(&s.knowledge).is_none_or(|n| *n < least);
    for seen in steps.iter_mut().flat_map(|s| &mut s.seen) {
        seen.take_if(|s| rare(s));
    }
}
