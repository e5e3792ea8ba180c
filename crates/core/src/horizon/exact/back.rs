//! Goes back over the steps of a plan, by loops that know the number of levels where it is one of
//! those that nearly every unit has.

use super::kernel::{self, NEVER, Pay};
use super::{Ahead, Planner};
use std::ops::Range;

impl Planner {
    /// Goes back over steps, from the row as it is, and tells each row and what its step pays.
    pub(super) fn sweep(
        &mut self,
        ahead: &Ahead<'_>,
        steps: Range<usize>,
        tell: impl FnMut(usize, &[i64], &[i64]),
    ) {
        if ahead.bands.is_empty() {
            self.sweep_levels::<false>(ahead, steps, tell);
        } else {
            self.sweep_levels::<true>(ahead, steps, tell);
        }
    }

    fn sweep_levels<const BANDED: bool>(
        &mut self,
        ahead: &Ahead<'_>,
        steps: Range<usize>,
        tell: impl FnMut(usize, &[i64], &[i64]),
    ) {
        match self.shape.levels {
            1 => self.sweep_as::<BANDED, 1>(ahead, steps, tell),
            2 => self.sweep_as::<BANDED, 2>(ahead, steps, tell),
            3 => self.sweep_as::<BANDED, 3>(ahead, steps, tell),
            4 => self.sweep_as::<BANDED, 4>(ahead, steps, tell),
            7 => self.sweep_as::<BANDED, 7>(ahead, steps, tell),
            10 => self.sweep_as::<BANDED, 10>(ahead, steps, tell),
            _ => self.sweep_as::<BANDED, 0>(ahead, steps, tell),
        }
    }

    fn sweep_as<const BANDED: bool, const LEVELS: usize>(
        &mut self,
        ahead: &Ahead<'_>,
        steps: Range<usize>,
        mut tell: impl FnMut(usize, &[i64], &[i64]),
    ) {
        let (width, levels) = (self.shape.width(), self.shape.known::<LEVELS>());
        for t in steps.rev() {
            let reset = self.layers > 1 && self.new_day(ahead, t);
            let pay = &mut self.pay[..levels];
            self.rewards.pay(ahead, t, self.small, pay);
            let off = !BANDED || ahead.bands[t].off;
            let pay = Pay { on: pay, off };
            let computed = if reset { 1 } else { self.layers };
            for layer in 0..computed {
                let (low, high) = self.row.split_at_mut((layer + 1) * width);
                let row = &mut low[layer * width..];
                let start = match high.get(..width) {
                    Some(next) => kernel::start::<LEVELS>(&self.shape, next, pay),
                    None if self.unlimited => kernel::start::<LEVELS>(&self.shape, row, pay),
                    None => NEVER,
                };
                kernel::back::<BANDED, LEVELS>(&self.shape, row, pay, start, &mut self.spare);
            }
            if reset {
                let (first, rest) = self.row.split_at_mut(width);
                rest.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
            }
            tell(t, &self.row, &self.pay);
        }
    }
}
