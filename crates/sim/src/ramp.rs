//! How power and work rate change after a command: a hold, then a straight line.

use headgate_core::time::{Span, Time};

/// One quantity on its way from one value to another, over nanoseconds since the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Value at the command.
    pub from: i64,
    /// Value at the end and after.
    pub to: i64,
    /// Nanoseconds for which nothing happens.
    pub hold: i64,
    /// Nanoseconds until the end is reached; never before `hold`.
    pub end: i64,
}

impl Track {
    /// A track that holds `from`, then goes straight to `to`.
    #[must_use]
    pub fn new(from: i64, to: i64, hold: Span, end: Span) -> Self {
        let hold = hold.0.max(0);
        Self { from, to, hold, end: end.0.max(hold) }
    }

    /// The value so many nanoseconds after the command, rounded down.
    #[must_use]
    pub fn value(&self, after: i64) -> i64 {
        if after >= self.end {
            return self.to;
        }
        if after <= self.hold {
            return self.from;
        }
        let share = i128::from(self.to - self.from) * i128::from(after - self.hold);
        let moved = share.div_euclid(i128::from(self.end - self.hold));
        self.from + i64::try_from(moved).expect("the way made is no longer than the whole way")
    }

    /// The sum of value x nanoseconds since the command, rounded down.
    ///
    /// It is a closed formula of the time since the command, so it does not matter how often
    /// or when it is asked for.
    #[must_use]
    pub fn integral(&self, after: i64) -> i128 {
        let (from, to) = (i128::from(self.from), i128::from(self.to));
        let moving = i128::from(after.min(self.end) - self.hold).max(0);
        let length = i128::from(self.end - self.hold);
        let base = from * i128::from(after.min(self.end));
        let gained =
            if moving == 0 { 0 } else { ((to - from) * moving * moving).div_euclid(2 * length) };
        base + gained + to * i128::from((after - self.end).max(0))
    }
}

/// A machine's way from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Motion {
    /// When the command took effect.
    pub start: Time,
    /// Watts.
    pub power: Track,
    /// Work rate.
    pub rate: Track,
}

impl Motion {
    /// When both quantities have arrived.
    #[must_use]
    pub fn end(&self) -> Time {
        self.start + Span(self.power.end.max(self.rate.end))
    }

    /// Nanoseconds between the command and a moment; never negative.
    #[must_use]
    pub fn after(&self, now: Time) -> i64 {
        now.since(self.start).0.max(0)
    }
}

/// A sum of steady values over time, held as a straight line in time: value x t + offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    slope: i128,
    offset: i128,
}

impl Line {
    /// Lets a steady value count from a moment on.
    pub fn join(&mut self, value: i64, t: i64) {
        self.slope += i128::from(value);
        self.offset -= i128::from(value) * i128::from(t);
    }

    /// Lets a steady value count no longer; what it has gathered stays.
    pub fn leave(&mut self, value: i64, t: i64) {
        self.slope -= i128::from(value);
        self.offset += i128::from(value) * i128::from(t);
    }

    /// Adds what was gathered elsewhere.
    pub fn add(&mut self, gathered: i128) {
        self.offset += gathered;
    }

    /// Sum of the steady values now.
    #[must_use]
    pub fn slope(&self) -> i128 {
        self.slope
    }

    /// What was gathered up to a moment.
    #[must_use]
    pub fn at(&self, t: i64) -> i128 {
        self.slope * i128::from(t) + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_the_area_of_its_trapezoid() {
        let t = Track::new(100, 300, Span(10), Span(30));
        assert_eq!((t.value(10), t.value(20), t.value(30), t.value(99)), (100, 200, 300, 300));
        assert_eq!(t.integral(10), 1000);
        assert_eq!(t.integral(30), 1000 + 20 * 200);
        assert_eq!(t.integral(31), t.integral(30) + 300);
        let step = Track::new(5, 0, Span(7), Span(7));
        assert_eq!((step.value(6), step.value(7), step.integral(100)), (5, 0, 35));
    }

    proptest! {
        #[test]
        fn the_integral_is_the_sum_of_the_values(
            from in 0..5000i64, to in 0..5000i64, hold in 0..400i64, line in 0..400i64,
        ) {
            let track = Track::new(from, to, Span(hold), Span(hold + line));
            let mut sum: i128 = 0;
            for after in 0..900i64 {
                let (low, high) = (track.value(after), track.value(after + 1));
                prop_assert!(low >= from.min(to) && low <= from.max(to));
                let step = track.integral(after + 1) - track.integral(after);
                // One nanosecond gathers no less than the smaller and no more than the larger
                // of its end values, each of which was rounded down.
                let (least, most) = (low.min(high), low.max(high) + 1);
                prop_assert!(step >= i128::from(least) - 1 && step <= i128::from(most));
                sum += step;
            }
            prop_assert_eq!(sum, track.integral(900));
        }
    }
}
