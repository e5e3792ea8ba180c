//! How load draws on fixed-price blocks: the one place where that is reckoned.

use crate::site::Block;
use crate::time::Span;
use crate::units::Energy;

/// What an interval's load made of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockUse {
    /// Energy of the block.
    pub bought: Energy,
    /// Energy of it that the load left over: it is sold back.
    pub unused: Energy,
}

/// Draws a load on blocks in their order; returns what each came to, and the load beyond all.
pub fn draw<'a>(
    load: Energy,
    span: Span,
    blocks: impl Iterator<Item = &'a Block>,
    mut each: impl FnMut(&Block, BlockUse),
) -> Energy {
    let mut rest = load;
    for block in blocks {
        let bought = block.energy(span);
        each(block, BlockUse { bought, unused: bought.minus_or_zero(rest) });
        rest = rest.minus_or_zero(bought);
    }
    rest
}
