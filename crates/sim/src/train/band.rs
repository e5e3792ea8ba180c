//! Two thresholds fitted on the past: the fall-back, and what a model has to beat.

use super::rows::Steps;
use super::values::Moves;
use headgate_core::horizon::model::Band;
use headgate_core::horizon::unit::Lattice;
use headgate_core::units::Price;

/// Starts below the value tried, in scales.
const STARTS: [f64; 8] = [-1.5, -1.0, -0.6, -0.3, -0.1, 0.0, 0.2, 0.4];
/// Stops above the value tried, in scales.
const STOPS: [f64; 11] = [0.0, 0.2, 0.4, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0, 9.0];

/// Finds the band that earned most on the steps, when each estimate is acted on `late` steps
/// after it was made.
pub fn fit(
    steps: &[Steps],
    lattice: &Lattice,
    moves: &Moves,
    value: f64,
    scale: f64,
    late: usize,
) -> Band {
    let mut best = (f64::MIN, 0.0, 0.0);
    for start in STARTS {
        for stop in STOPS.into_iter().filter(|s| *s >= start) {
            let band = (value + start * scale, value + stop * scale);
            let earned: f64 =
                steps.iter().map(|s| earned(s, lattice, moves, value, band, late)).sum();
            if earned > best.0 {
                best = (earned, start, stop);
            }
        }
    }
    let price = |x: f64| Price((x * scale * 1e6).round() as i64);
    Band { start_below: price(best.1), stop_above: price(best.2) }
}

fn earned(
    steps: &Steps,
    lattice: &Lattice,
    moves: &Moves,
    value: f64,
    (start, stop): (f64, f64),
    late: usize,
) -> f64 {
    let on: Vec<bool> = moves.energy.iter().map(|e| *e > 0.0).collect();
    debug_assert_eq!(on.len(), lattice.states());
    let (mut s, mut sum) = (moves.full, 0.0);
    for t in 0..steps.settled.len() {
        let told = t.checked_sub(late).and_then(|t| steps.seen[t].as_ref());
        let (to, cost) = match told.map(|x| x.estimate.0 as f64 / 1e6) {
            None => (moves.hold[s], 0.0),
            Some(price) => {
                let list = &moves.next[s];
                let first = list[0];
                let last = list[list.len() - 1];
                let least = list.iter().find(|(d, _)| on[*d]).copied();
                match on[s] {
                    true if price > stop => first,
                    true if price > value => least.unwrap_or(last),
                    true => last,
                    false if price < start => last,
                    false => first,
                }
            }
        };
        let price = if steps.settled[t].is_nan() { value } else { steps.settled[t] };
        sum += (value - price) * moves.energy[to] - cost;
        s = to;
    }
    sum
}
