//! `headgate plan`: the hours to come, from what the running site knows or from price files.

use crate::backtest::{hashprices, read};
use crate::cli::{Format, PlanArgs};
use crate::plant;
use crate::prices::moment;
use crate::run::Refused;
use crate::site_files::load_site;
use anyhow::bail;
use headgate_core::engine::{Engine, Outlook, OutlookError};
use headgate_core::event::Hashprice;
use headgate_core::time::Interval;
use headgate_core::units::{Power, Price};
use headgate_feeds::market::Market;
use headgate_sim::backtest::{RunOptions, engine_after};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;

/// Most hours that are planned.
const HOURS_MAX: u32 = 48;

/// `headgate plan`.
///
/// # Errors
/// When an input is missing or not usable, or nothing is known to plan on.
pub fn run(args: &PlanArgs) -> anyhow::Result<()> {
    if !(1..=HOURS_MAX).contains(&args.hours) {
        bail!(Refused(format!("--hours {}: from 1 to {HOURS_MAX} are planned", args.hours)));
    }
    let loaded = load_site(&args.site)?;
    let market = Market::load(&loaded.site.market.name)?;
    let engine = if args.prices.is_empty() {
        present(args, &loaded)?
    } else {
        let recorded = read::book(&args.prices, &loaded, &market)?;
        let at = args.at.as_deref().map(|t| moment(t, &market)).transpose()?;
        let all = read::span(&recorded.book, &market, None, at)?;
        let span = Interval { end: at.unwrap_or(all.end), ..all };
        let values: Vec<Hashprice> = hashprices(&loaded, span)?;
        let tape = recorded.book.tape(span, &values)?;
        let models = crate::model::of_site(&loaded)?;
        let options = RunOptions { models: &models, ..RunOptions::default() };
        engine_after(&loaded.site, &loaded.units, &tape, options)?
    };
    let step = engine.site().map_or(market.settle_step, |s| s.market.settle_step);
    let steps = i64::from(args.hours) * 3_600 / step.as_seconds().max(1);
    let outlook = match engine.outlook(usize::try_from(steps).unwrap_or(1).max(1)) {
        Ok(outlook) => outlook,
        Err(e) => bail!(Refused(format!("{}: {}", args.site.display(), mend(&engine, &e)))),
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Table => out.write_all(table(&engine, &outlook).as_bytes())?,
        Format::Csv => out.write_all(csv(&engine, &outlook).as_bytes())?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &document(&engine, &outlook))?;
            writeln!(out)?;
        }
        Format::Jsonl => writeln!(out, "{}", document(&engine, &outlook))?,
    }
    Ok(())
}

/// The engine of the site's data folder, running or not.
fn present(args: &PlanArgs, loaded: &crate::config::Loaded) -> anyhow::Result<Engine> {
    if args.at.is_some() {
        bail!(Refused("--at plans from recorded prices: name them with --prices".into()));
    }
    let folder = args.data.data.clone().unwrap_or_else(|| loaded.data.clone());
    let engine = plant::present(&folder)?;
    if engine.site().is_none_or(|s| s.name != loaded.site.name) {
        bail!(Refused(format!(
            "{} has not run in {}: start it, name its folder with --data, or give --prices",
            loaded.site.name,
            folder.display()
        )));
    }
    Ok(engine)
}

fn mend(engine: &Engine, error: &OutlookError) -> String {
    let name = |c: headgate_core::fleet::CohortId| {
        engine.site().map_or(String::new(), |s| s.cohort(c).name.clone())
    };
    match error {
        OutlookError::Unit(c, e) => format!("`{}` admits no plan: {e}", name(*c)),
        OutlookError::Plan(c, e) => format!("`{}` admits no plan: {e}", name(*c)),
        OutlookError::NoPrice => "no real-time price is known: add files that hold one".into(),
        other => other.to_string(),
    }
}

fn mw(power: Power) -> f64 {
    power.0 as f64 / 1e6
}

fn money(price: Price) -> f64 {
    price.0 as f64 / 1e6
}

/// The plan as one document.
fn document(engine: &Engine, outlook: &Outlook) -> Value {
    let site = engine.site();
    let name = |c: usize| site.map(|s| s.cohorts[c].name.clone());
    let steps: Vec<Value> = outlook
        .path
        .iter()
        .enumerate()
        .map(|(k, step)| {
            let each = outlook.cohorts.iter().map(|c| {
                let p = &c.plan[k];
                json!({
                    "name": name(usize::from(c.cohort.0)),
                    "power_w": p.power.0,
                    "start": p.start,
                    "profit": p.profit.0 as f64 / 1e6,
                    "down_above": p.down_above.map(money),
                    "up_below": p.up_below.map(money),
                })
            });
            let power: i64 = outlook.cohorts.iter().map(|c| c.plan[k].power.0).sum();
            json!({
                "start": step.interval.start.to_string(),
                "end": step.interval.end.to_string(),
                "price": money(step.price),
                "source": step.source.name(),
                "day_ahead": step.day_ahead.map(money),
                "power_w": power,
                "cohorts": each.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "site": site.map(|s| s.name.clone()),
        "point": site.map(|s| s.point.name.clone()),
        "currency": site.map(|s| s.market.currency.clone()),
        "at": outlook.at.to_string(),
        "step_s": outlook.path.first().map(|s| s.interval.length().as_seconds()),
        "now": engine.decision().map(|d| json!({
            "target_w": d.target.0,
            "wish": d.wish,
            "down_above": d.next.and_then(|n| n.down_above).map(money),
            "up_below": d.next.and_then(|n| n.up_below).map(money),
        })),
        "steps": steps,
    })
}

/// The plan for people.
fn table(engine: &Engine, outlook: &Outlook) -> String {
    let mut out = String::new();
    let Some(site) = engine.site() else { return out };
    let currency = &site.market.currency;
    let mut line = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a string takes everything");
        out.push('\n');
    };
    line(format_args!("{} at {}, seen from {}", site.name, site.point, outlook.at));
    if let Some(d) = engine.decision() {
        line(format_args!("now {:.3} MW: {}", mw(d.target), d.wish));
    }
    for c in &outlook.cohorts {
        let name = &site.cohort(c.cohort).name;
        line(format_args!(
            "{name}: a MWh is worth {:.2} {currency} at the meter; in the plan it earns {:.2}",
            money(c.value),
            c.plan.iter().map(|p| p.profit.0).sum::<i64>() as f64 / 1e6,
        ));
    }
    line(format_args!(""));
    line(format_args!(
        "{:<16} {:>9} {:<10} {:>9}  {:<16} {:>9} {:>6} {:>10} {:>10}",
        "UTC", "price", "source", "day ahead", "cohort", "MW", "start", "down above", "up below"
    ));
    let price = |p: Option<Price>| p.map_or(String::from("-"), |p| format!("{:.2}", money(p)));
    for (k, step) in outlook.path.iter().enumerate() {
        for (i, c) in outlook.cohorts.iter().enumerate() {
            let p = &c.plan[k];
            let (at, cost, source, ahead) = if i == 0 {
                let at = step.interval.start.to_string();
                let source = step.source.name();
                (at[..16].replace('T', " "), price(Some(step.price)), source, price(step.day_ahead))
            } else {
                Default::default()
            };
            line(format_args!(
                "{at:<16} {cost:>9} {source:<10} {ahead:>9}  {:<16} {:>9.3} {:>6} {:>10} {:>10}",
                site.cohort(c.cohort).name,
                mw(p.power),
                if p.start { "start" } else { "" },
                price(p.down_above),
                price(p.up_below),
            ));
        }
    }
    out
}

/// The plan as rows.
fn csv(engine: &Engine, outlook: &Outlook) -> String {
    let mut out = String::from(
        "start,end,price,source,day_ahead,cohort,power_w,start_made,profit,down_above,up_below\n",
    );
    let price = |p: Option<Price>| p.map_or(String::new(), |p| money(p).to_string());
    for (k, step) in outlook.path.iter().enumerate() {
        for c in &outlook.cohorts {
            let p = &c.plan[k];
            let name = engine.site().map_or("", |s| s.cohort(c.cohort).name.as_str());
            writeln!(
                out,
                "{},{},{},{},{},{name},{},{},{},{},{}",
                step.interval.start,
                step.interval.end,
                money(step.price),
                step.source.name(),
                price(step.day_ahead),
                p.power.0,
                p.start,
                p.profit.0 as f64 / 1e6,
                price(p.down_above),
                price(p.up_below),
            )
            .expect("a string takes everything");
        }
    }
    out
}
