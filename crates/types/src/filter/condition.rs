use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::{Moment, Window};
use crate::{AttributePath, Decimal, Timestamp};

/// A leaf about an attribute: any of the tests, or none of them if negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub operator: Operator,
    pub path: AttributePath,
    /// As the caller gave it.
    pub operand: Operand,
    /// What the operator asks with this operand.
    pub tests: Vec<Test>,
    pub negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    One(String),
    /// Of `INCLUDES` and `OMIT` only.
    AnyOf(Vec<String>),
}

macro_rules! operators {
    ($($variant:ident = $name:literal $(or $alias:literal)?;)+) => {
        /// What a leaf about an attribute asks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operator {
            $($variant,)+
        }

        impl Operator {
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Every operator.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)? => Some(Self::$variant),)+
                    _ => None,
                }
            }

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

operators! {
    Equal = "EQ";
    NotEqual = "NEQ";
    Greater = "GT";
    GreaterOrEqual = "GTE";
    Less = "LT";
    LessOrEqual = "LTE";
    Includes = "INCLUDES";
    Omits = "OMIT";
    Contains = "CONTAINS";
    StartsWith = "STARTS_WITH";
    EndsWith = "ENDS_WITH";
    Before = "IS_BEFORE" or "BEFORE";
    After = "IS_AFTER" or "AFTER";
    WithinLast = "WITHIN_LAST";
    WithinNext = "WITHIN_NEXT";
    Exists = "EXISTS";
}

/// One question about one stored value. Two rules that ask the same of the same path share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    Exists,
    /// The same string, or the same value of a number or boolean.
    Equals(Scalar),
    /// An element of an array equals it, a string contains it, or a scalar equals it.
    Includes(Scalar),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Number(NumberOrder, Decimal),
    Time(TimeOrder, Moment),
    /// At most one window before or after the present, both ends included.
    Within(Direction, Window),
}

/// An operand of which the stored value says whether it is text, a number or a boolean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scalar {
    text: String,
    number: Option<Decimal>,
}

/// A stored value, and what it says as a number and as a time: read once, however many tests ask.
#[derive(Debug)]
pub struct Stored<'a> {
    value: &'a Value,
    number: OnceCell<Option<Decimal>>,
    moment: OnceCell<Option<Moment>>,
}

/// How the stored number stands to the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberOrder {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// How the stored time stands to the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeOrder {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Last,
    Next,
}

impl Condition {
    pub fn accepts(&self, stored: Option<&Value>, now: Timestamp) -> bool {
        let stored = stored.map(Stored::new);
        let accepts = |test: &Test| test.accepts(stored.as_ref(), now);
        self.tests.iter().any(accepts) != self.negated
    }

    pub(super) fn to_object(&self) -> Map<String, Value> {
        let value = match &self.operand {
            Operand::One(text) => text.as_str().into(),
            Operand::AnyOf(texts) => texts.iter().map(String::as_str).collect(),
        };
        Map::from_iter([
            ("operator".to_owned(), self.operator.name().into()),
            ("path".to_owned(), self.path.as_str().into()),
            ("value".to_owned(), value),
        ])
    }
}

impl Test {
    /// False for what it cannot read, an absent value among it.
    pub fn accepts(&self, stored: Option<&Stored<'_>>, now: Timestamp) -> bool {
        let Some(stored) = stored else { return false };
        let text = stored.value.as_str();
        match self {
            Self::Exists => true,
            Self::Equals(operand) => operand.equals(stored),
            Self::Includes(operand) => match stored.value {
                Value::Array(elements) => elements
                    .iter()
                    .any(|element| operand.equals(&Stored::new(element))),
                Value::String(text) => text.contains(&operand.text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                    operand.equals(stored)
                }
            },
            Self::Contains(operand) => text.is_some_and(|text| text.contains(operand)),
            Self::StartsWith(operand) => text.is_some_and(|text| text.starts_with(operand)),
            Self::EndsWith(operand) => text.is_some_and(|text| text.ends_with(operand)),
            Self::Number(order, operand) => stored.number().is_some_and(|stored| match order {
                NumberOrder::Greater => stored > operand,
                NumberOrder::GreaterOrEqual => stored >= operand,
                NumberOrder::Less => stored < operand,
                NumberOrder::LessOrEqual => stored <= operand,
            }),
            Self::Time(order, operand) => stored.moment().is_some_and(|stored| match order {
                TimeOrder::Before => stored < *operand,
                TimeOrder::After => stored > *operand,
            }),
            Self::Within(direction, window) => stored.moment().is_some_and(|stored| {
                let (first, last) = window.bounds(*direction, now);
                first <= stored && stored <= last
            }),
        }
    }
}

impl Scalar {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: Decimal::parse(text),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The operand as a number, if it is one.
    pub fn number(&self) -> Option<&Decimal> {
        self.number.as_ref()
    }

    /// Two strings byte for byte, a stored number or boolean by its value, arrays and objects never.
    pub fn equals(&self, stored: &Stored<'_>) -> bool {
        match stored.value {
            Value::String(text) => *text == self.text,
            Value::Bool(flag) => self.text == if *flag { "true" } else { "false" },
            Value::Number(_) => self.number.is_some() && stored.number() == self.number(),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

impl<'a> Stored<'a> {
    pub fn new(value: &'a Value) -> Self {
        Self {
            value,
            number: OnceCell::new(),
            moment: OnceCell::new(),
        }
    }

    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The number, or the string that is written as one.
    pub fn number(&self) -> Option<&Decimal> {
        let read = || match self.value {
            Value::Number(number) => Decimal::of(number),
            Value::String(text) => Decimal::parse(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        self.number.get_or_init(read).as_ref()
    }

    /// The point in time that the value names.
    pub fn moment(&self) -> Option<Moment> {
        *self.moment.get_or_init(|| Moment::read(self.value))
    }
}

impl Window {
    /// The first and the last moment of the window, both included.
    pub fn bounds(&self, direction: Direction, now: Timestamp) -> (Moment, Moment) {
        let now = Moment::from(now);
        match direction {
            Direction::Last => (self.before(now), now),
            Direction::Next => (now, self.after(now)),
        }
    }
}
