//! The settlement of a site: what each interval's energy, contracts and duties came to, line by
//! line, in integers, so that the sum by intervals, by components and by units is one number.
//!
//! The core knows no calendar: months, terms and coincident peaks come in as intervals in UTC.
//! The live account and the statement price energy by the same function, [`draw`].

mod charges;
mod compare;
mod energy;
mod input;
mod line;
mod peaks;
mod split;
mod statement;
mod terms;

pub use compare::{Change, Difference, difference};
pub use energy::{BlockUse, draw};
pub use input::{Capacity, Deployment, Exchange, Metered, Position, Quote, UnitId, Work};
pub use line::{Class, Component, Line, Quantity};
pub use peaks::coincident_peaks;
pub use split::split;
pub use statement::{
    Counterfactual, Settled, Statement, Total, Unsettled, Why, counterfactual, settle,
};
pub use terms::{
    AdderOn, AdderTerms, BlockTerms, Charge, CoincidentPeakTariff, Demand, DeviationPrice,
    DeviationTerms, Peak, Terms,
};
