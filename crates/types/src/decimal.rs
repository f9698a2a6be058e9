use std::cmp::Ordering;

use serde_json::Number;

/// A decimal number in one form only, so that equality is equality of values and order is the order
/// of values: no digits are lost, as they would be on the way through a floating-point number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Box<str>,
    /// Power of ten of the last digit; 0 for zero.
    exponent: i64,
}

impl Decimal {
    /// Reads the number grammar of JSON (RFC 8259 section 6). `None` for anything else, and for an
    /// exponent that does not fit into 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self {
                negative: false,
                digits: Box::default(),
                exponent: 0,
            });
        }
        let zeros_at_the_end = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(zeros_at_the_end).ok()?)?;
        // The order compares the power of ten of the first digit, so that has to fit too.
        exponent.checked_add(i64::try_from(significant.len()).ok()?)?;
        Some(Self {
            negative,
            digits: significant.into(),
            exponent,
        })
    }

    /// The value of a JSON number.
    pub fn of(number: &Number) -> Option<Self> {
        Self::parse(number.as_str())
    }

    /// The nearest floating-point number. Whatever is lost, order is not reversed: of two decimals
    /// the larger never has the smaller approximation.
    pub fn approximate(&self) -> f64 {
        if self.digits.is_empty() {
            return 0.0;
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, self.exponent)
            .parse()
            .unwrap_or_default()
    }

    /// The value as a whole number, if it is one and fits.
    pub fn to_integer(&self) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(self.exponent).ok()?;
        let magnitude = self
            .digits
            .parse::<i128>()
            .ok()?
            .checked_mul(10_i128.checked_pow(zeros)?)?;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let first_digit = |decimal: &Self| {
            let digits = i64::try_from(decimal.digits.len()).unwrap_or(i64::MAX);
            decimal.exponent.saturating_add(digits)
        };
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at the end the digits compare like text: a prefix is the smaller.
            (false, false) => first_digit(self)
                .cmp(&first_digit(other))
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether two numbers have the same value, however they are written.
pub(crate) fn equal_numbers(a: &Number, b: &Number) -> bool {
    match (Decimal::of(a), Decimal::of(b)) {
        (Some(a), Some(b)) => a == b,
        // An exponent beyond 64 bits: only the same text is surely the same number.
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_in_the_order_of_their_values() {
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-10",
            "-9.5",
            "-0.1",
            "-1e-400",
            "0",
            "1e-400",
            "0.09",
            "0.1",
            "0.12",
            "9.5",
            "10",
            "100",
            "9007199254740992",
            "9007199254740993",
            "1e400",
        ];
        for (place, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(decimal(a).cmp(&decimal(b)), place.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(decimal("1.10"), decimal("11e-1"));
        assert_eq!(decimal("-0.0"), decimal("0"));
    }

    #[test]
    fn only_the_grammar_of_json_is_a_number() {
        for text in [
            "", "-", "1.", ".5", "01", "+1", "0x1", "1e", "Infinity", "1 ", "1_0",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        assert_eq!(decimal("1.5e3").to_integer(), Some(1_500));
        assert_eq!(decimal("-7").to_integer(), Some(-7));
        assert_eq!(decimal("1.5").to_integer(), None);
        assert_eq!(decimal("1e40").to_integer(), None);
    }

    proptest! {
        #[test]
        fn order_is_that_of_whole_numbers_and_approximations_do_not_reverse_it(
            a in any::<i64>(), b in any::<i64>(), shift in -3_i32..3,
        ) {
            let (x, y) = (decimal(&format!("{a}e{shift}")), decimal(&format!("{b}e{shift}")));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert!((x > y) || x.approximate() <= y.approximate());
            prop_assert!((x < y) || x.approximate() >= y.approximate());
        }
    }
}
