//! Training of the look-ahead policy: from recorded prices to a model of integers.
//!
//! [`rows`] lives through tapes and keeps what each decision saw, by the core's own features;
//! [`fit`] finds what states of the unit were worth as a function of that, in rounds: values
//! backwards along what happened, by the choices of the last round's fit, then a ridge
//! regression on hinges; [`trees`] are fitted to what comes of it. f64 is used here and ends here.

pub mod band;
pub mod columns;
pub mod fit;
mod grow;
pub mod quantise;
pub mod ridge;
pub mod rows;
pub mod trees;
pub mod values;
pub mod weigh;

use crate::backtest::Tape;
pub use fit::Settings;
use headgate_core::horizon::model::{Anchors, MODEL_VERSION, Model, Trained};
use headgate_core::horizon::unit::{Lattice, LatticeError, UnitSpec};
use headgate_core::market::PriceKind;
use headgate_core::time::{Interval, Span, Time};
use headgate_core::units::{Money, Price};

/// What is trained.
#[derive(Debug, Clone)]
pub struct Order {
    /// The unit.
    pub unit: UnitSpec,
    /// Value of a consumed MWh.
    pub value: Price,
    /// Prices within this span alone are learned from.
    pub span: Interval,
    /// Local time less UTC, from each moment on, in time order.
    pub offsets: Vec<(Time, Span)>,
    /// Settings.
    pub settings: Settings,
}

/// Why nothing can be learned.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The unit does not fit the step.
    #[error("failed to put the unit on a lattice: {0}")]
    Unit(LatticeError),
    /// Tapes with different steps were given.
    #[error("failed to pool {0}: its steps differ from those of {1}")]
    Steps(String, String),
    /// Too little is known.
    #[error("failed to learn from {rows} decisions: at least {least} are needed")]
    Rows {
        /// Decisions found.
        rows: usize,
        /// Decisions needed.
        least: usize,
    },
}

/// Decisions below which nothing is fitted: a week of quarter hours.
pub const ROWS_LEAST: usize = 672;

/// Distance from the value that counts as one: ten units of currency, which did best on the prices
/// of ERCOT and Victoria, and a twentieth of the value where a currency's unit is small.
fn scale(value: Price) -> Price {
    Price((value.0.abs() / 20).max(10_000_000))
}

/// Trains a model on tapes, pooled.
///
/// # Errors
/// [`TrainError`] when the unit or the tapes do not go together, or there is too little of them.
pub fn train(tapes: &[Tape], order: &Order) -> Result<Model, TrainError> {
    let least = |rows| TrainError::Rows { rows, least: ROWS_LEAST };
    let first = tapes.first().ok_or(least(0))?;
    for tape in tapes {
        if (tape.step, tape.settle_step) != (first.step, first.settle_step) {
            let (a, b) = (tape.point.to_string(), first.point.to_string());
            return Err(TrainError::Steps(a, b));
        }
    }
    let lattice = Lattice::new(&order.unit, first.step).map_err(TrainError::Unit)?;
    let anchors = Anchors::of(&lattice);
    let scale = scale(order.value);
    let look = rows::Look { value: order.value, scale, offsets: &order.offsets };
    let span = |t: &Tape| Interval {
        start: t.span.start.max(order.span.start),
        end: t.span.end.min(order.span.end),
    };
    let mut steps: Vec<_> = tapes.iter().map(|t| rows::steps(t, span(t), &look)).collect();
    rows::leave_out_rare(&mut steps, ROWS_LEAST);
    let money = |p: Price| p.0 as f64 / 1e6;
    let (value, far) = (money(order.value), money(scale));
    let fit = fit::Fit {
        steps: &steps,
        spec: &order.unit,
        lattice: &lattice,
        anchors: &anchors,
        scale: far,
        settings: order.settings,
    };
    let fitted = fit.run();
    let rows = fitted.iter().map(|f| f.rows).sum();
    if rows < ROWS_LEAST {
        return Err(least(rows));
    }
    let moves = values::Moves::of(&lattice, &order.unit);
    let told = |kind| tapes.iter().any(|t| t.told.iter().any(|k| k.kind == kind));
    Ok(Model {
        version: MODEL_VERSION,
        unit: order.unit,
        value: order.value,
        scale,
        step: first.step,
        settle_step: first.settle_step,
        offsets: order.offsets.clone(),
        trained: Trained {
            points: tapes.iter().map(|t| t.point.clone()).collect(),
            span: order.span,
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            day_ahead: told(PriceKind::DayAhead),
            look_ahead: told(PriceKind::LookAhead),
        },
        worth_most: Money((fit.clip() * 1e6).round() as i64),
        tables: fitted.iter().map(quantise::table).collect(),
        band: band::fit(&steps, &lattice, &moves, value, far, order.settings.band_late),
        anchors,
    })
}
