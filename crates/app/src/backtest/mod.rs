//! `headgate backtest`: a site lived through recorded prices.

pub mod read;
