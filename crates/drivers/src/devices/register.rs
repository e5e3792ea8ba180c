//! From a device's words to watts: numbers as meters keep them, and which of them are believed.

use headgate_core::number::{div_half_even, to_i64};
use headgate_core::units::Power;

/// Most that a count can stand for: a gigawatt. Any number of 64 bits times this fits 128.
pub const MICROWATTS_MAX: i64 = 1_000_000_000_000_000;
/// Micro-units in a unit.
const MICRO: i128 = 1_000_000;
/// A reading is taken for one in the wrong unit when it is so many times the last one, or so
/// small a part of it: 1,000 give or take a tenth.
const THOUSANDFOLD: std::ops::RangeInclusive<i64> = 900..=1_100;

/// Where a register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

/// How a number is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 16 bits, never negative.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// 32 bits, never negative.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// 64 bits, never negative.
    U64,
    /// 64 bits, two's complement.
    I64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 64 bits.
    F64,
}

/// Every shape, by the name configurations have for it.
pub const SHAPES: [(&str, Shape); 8] = [
    ("u16", Shape::U16),
    ("i16", Shape::I16),
    ("u32", Shape::U32),
    ("i32", Shape::I32),
    ("u64", Shape::U64),
    ("i64", Shape::I64),
    ("f32", Shape::F32),
    ("f64", Shape::F64),
];

impl Shape {
    /// How many registers it takes.
    #[must_use]
    pub fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }
}

/// A number in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// In which table.
    pub table: Table,
    /// Address of its first word as it goes over the wire, from 0.
    pub at: u16,
    /// How it is laid out.
    pub shape: Shape,
    /// Whether the word with the lowest bits comes first; most devices send it last.
    pub low_first: bool,
    /// What a count of one stands for, in micro-watts; 1 to [`MICROWATTS_MAX`].
    pub microwatts: i64,
    /// Whether import is counted as negative.
    pub reversed: bool,
}

/// What is believed of a site's meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Export up to here is noise around nothing, and counts as nothing.
    pub noise: Power,
    /// More cannot be.
    pub most: Power,
}

/// Why a reading is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// Another number of words came than was asked for.
    #[error("it answered with {0} words in place of {1}")]
    Words(usize, u16),
    /// Not a number, infinite, or the pattern that stands for a value that is not there.
    #[error("its register holds no value")]
    NoValue,
    /// It says that power flows out.
    #[error("it says {0}, which is export: is its sign reversed?")]
    Export(Power),
    /// More than the site could draw.
    #[error("it says {power}, more than the {most} that can be: is its scale right?")]
    TooMuch {
        /// What it says.
        power: Power,
        /// What can be.
        most: Power,
    },
    /// A thousand times, or a thousandth of, what it said before.
    #[error("it says {power} after {before}, a thousand times off: has its unit changed?")]
    Thousandfold {
        /// What it says.
        power: Power,
        /// What it said before.
        before: Power,
    },
}

impl Register {
    /// Reads watts as the device has them, by sign as configured.
    ///
    /// # Errors
    /// [`Nonsense`] where there is no number.
    pub fn power(&self, words: &[u16]) -> Result<Power, Nonsense> {
        if words.len() != usize::from(self.shape.words()) {
            return Err(Nonsense::Words(words.len(), self.shape.words()));
        }
        let join = |bits: u64, word: &u16| bits << 16 | u64::from(*word);
        let bits = match self.low_first {
            false => words.iter().fold(0, join),
            true => words.iter().rev().fold(0, join),
        };
        let watts = match self.shape {
            Shape::F32 => self.real(f64::from(f32::from_bits(low32(bits))))?,
            Shape::F64 => self.real(f64::from_bits(bits))?,
            shape => self.whole(integer(shape, bits).ok_or(Nonsense::NoValue)?),
        };
        Ok(if self.reversed { Power(-watts) } else { Power(watts) })
    }

    fn whole(&self, count: i128) -> i64 {
        let watts = div_half_even(count * i128::from(self.microwatts), MICRO);
        to_i64(watts.clamp(-i128::from(i64::MAX), i128::from(i64::MAX)))
    }

    fn real(&self, count: f64) -> Result<i64, Nonsense> {
        if !count.is_finite() {
            return Err(Nonsense::NoValue);
        }
        // A conversion that does not fit ends at the nearest number that does.
        let watts = (count * self.microwatts as f64 / MICRO as f64).round() as i64;
        Ok(watts.max(-i64::MAX))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the upper half is not there: two words came")]
fn low32(bits: u64) -> u32 {
    bits as u32
}

/// The number, unless its bits are those that stand for none: all ones where there is no sign,
/// the lowest number where there is one.
fn integer(shape: Shape, bits: u64) -> Option<i128> {
    let width = u32::from(shape.words()) * 16;
    let all = u64::MAX >> (64 - width);
    let top = 1u64 << (width - 1);
    let signed = matches!(shape, Shape::I16 | Shape::I32 | Shape::I64);
    if bits == if signed { top } else { all } {
        return None;
    }
    let value = i128::from(bits);
    Some(if signed && bits & top != 0 { value - (i128::from(all) + 1) } else { value })
}

impl Bounds {
    /// The power, where it can be believed after what was believed before.
    ///
    /// # Errors
    /// [`Nonsense`] says why it cannot.
    pub fn believe(&self, power: Power, before: Option<Power>) -> Result<Power, Nonsense> {
        if power < -self.noise {
            return Err(Nonsense::Export(power));
        }
        if power > self.most {
            return Err(Nonsense::TooMuch { power, most: self.most });
        }
        let power = power.max(Power::ZERO);
        let times = |large: Power, small: Power| {
            small > Power::ZERO && THOUSANDFOLD.contains(&(large.0 / small.0))
        };
        match before {
            Some(before) if times(power, before) || times(before, power) => {
                Err(Nonsense::Thousandfold { power, before })
            }
            _ => Ok(power),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn register(shape: Shape, microwatts: i64) -> Register {
        let (table, low_first, reversed) = (Table::Holding, false, false);
        Register { table, at: 0, shape, low_first, microwatts, reversed }
    }

    fn check(shape: Shape, microwatts: i64, words: &[u16], expect: Result<i64, Nonsense>) {
        assert_eq!(register(shape, microwatts).power(words), expect.map(Power), "{shape:?}");
    }

    #[test]
    fn numbers_are_read_as_they_are_laid_out() {
        check(Shape::U16, 1_000_000, &[40_000], Ok(40_000));
        check(Shape::I16, 1_000_000, &[0xfffe], Ok(-2));
        check(Shape::U32, 100_000, &[0x0001, 0x86a0], Ok(10_000));
        check(Shape::I32, 1_000_000_000, &[0xffff, 0xffff], Ok(-1_000));
        check(Shape::U64, 1_000_000, &[0, 0, 0x0001, 0x86a0], Ok(100_000));
        check(Shape::I64, 1_000_000, &[0xffff, 0xffff, 0xffff, 0xff9c], Ok(-100));
        // 12.5 MW in kilowatts and 0.5 W.
        check(Shape::F32, 1_000_000_000, &[0x4643, 0x5000], Ok(12_500_000));
        check(Shape::F64, 1_000_000, &[0x3fe0, 0, 0, 0], Ok(1));
        let swapped = Register { low_first: true, ..register(Shape::U32, 1_000_000) };
        assert_eq!(swapped.power(&[0x86a0, 0x0001]), Ok(Power(100_000)));
        let reversed = Register { reversed: true, ..register(Shape::I16, 1_000_000) };
        assert_eq!(reversed.power(&[0xfffe]), Ok(Power(2)));
    }

    #[test]
    fn what_is_no_number_is_no_power() {
        for words in [[0x7fc0, 0], [0x7f80, 0], [0xff80, 0], [0x7fff, 0xffff]] {
            check(Shape::F32, 1_000_000, &words, Err(Nonsense::NoValue));
        }
        check(Shape::U16, 1, &[0xffff], Err(Nonsense::NoValue));
        check(Shape::I16, 1, &[0x8000], Err(Nonsense::NoValue));
        check(Shape::U32, 1, &[0xffff, 0xffff], Err(Nonsense::NoValue));
        check(Shape::I32, 1, &[0x8000, 0], Err(Nonsense::NoValue));
        check(Shape::U32, 1, &[1], Err(Nonsense::Words(1, 2)));
        check(Shape::F64, 1, &[], Err(Nonsense::Words(0, 4)));
    }

    #[test]
    fn only_what_can_be_is_believed() {
        let bounds = Bounds { noise: Power(1_000), most: Power(6_000_000) };
        let check = |power, before: Option<i64>, expect: Result<i64, Nonsense>| {
            let (power, before) = (Power(power), before.map(Power));
            assert_eq!(bounds.believe(power, before), expect.map(Power), "{power} {before:?}");
        };
        let thousandfold = |power, before| {
            Err(Nonsense::Thousandfold { power: Power(power), before: Power(before) })
        };
        check(3_000_000, None, Ok(3_000_000));
        check(-1_000, None, Ok(0));
        check(-1_001, None, Err(Nonsense::Export(Power(-1_001))));
        let most = Power(6_000_000);
        check(6_000_001, None, Err(Nonsense::TooMuch { power: Power(6_000_001), most }));
        check(3_000, Some(3_000_000), thousandfold(3_000, 3_000_000));
        check(3_000_000, Some(3_100), thousandfold(3_000_000, 3_100));
        // A feeder that opens, and one that closes, are believed.
        check(0, Some(3_000_000), Ok(0));
        check(3_000_000, Some(0), Ok(3_000_000));
        check(30_000, Some(3_000_000), Ok(30_000));
    }

    proptest! {
        #[test]
        fn any_words_are_taken(
            shape in prop::sample::select(SHAPES.map(|(_, s)| s).to_vec()),
            words in prop::collection::vec(any::<u16>(), 0..6),
            microwatts in 1..=MICROWATTS_MAX,
            before in prop::option::of(0..i64::MAX),
            flags in any::<[bool; 2]>(),
        ) {
            let [low_first, reversed] = flags;
            let register = Register { low_first, reversed, ..register(shape, microwatts) };
            let bounds = Bounds { noise: Power(1_000), most: Power(i64::MAX / 2) };
            if let Ok(power) = register.power(&words) {
                let believed = bounds.believe(power, before.map(Power));
                prop_assert!(believed.is_err() || believed.is_ok_and(|p| p.0 >= 0));
            }
        }
    }
}
