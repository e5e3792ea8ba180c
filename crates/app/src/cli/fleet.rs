//! Arguments of `headgate fleet`.

use super::{DataArg, Format, ReasonArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Brings so much power down by a deadline, proven by what measures import, and holds it down.
    Curtail(CurtailArgs),
    /// Lets power come back after a curtailment, by the site's ramps.
    Resume(ReasonArgs),
}

#[derive(Debug, Args)]
pub struct CurtailArgs {
    /// How much power to bring down, at the meter, such as 25MW.
    #[arg(value_name = "POWER")]
    pub power: String,
    /// By when: after so long, such as 30s, or at a moment, RFC 3339.
    #[arg(long, value_name = "WHEN")]
    pub by: String,
    /// Shows who would go, who would not and why, and sends nothing.
    #[arg(long)]
    pub preview: bool,
    /// Why; it goes into the journal.
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub data: DataArg,
    /// How the preview or the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
