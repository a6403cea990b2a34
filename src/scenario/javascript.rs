//! JavaScript's operators on JSON values: truthiness, comparison, arithmetic, conversions.
//!
//! Conditions and the filters of JSON paths were written for programs that handed them to JavaScript, so `"2" == 2` holds
//! and `"10" < "9"` does too. This file knows those rules (ECMA-262, chapter 7) and no syntax. One thing is not
//! JavaScript: lists and objects are equal when their contents are, not when they are the same object.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A text that grows past this while it is computed ends the computation.
const LONGEST_TEXT: usize = 1 << 20;

/// A value in the middle of a computation: JSON's, and what JSON lacks (undefined, NaN, infinities).
#[derive(Clone, Debug, PartialEq)]
pub enum Operand<'a> {
    /// Not there.
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number, NaN and the infinities included.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list or an object.
    Compound(Cow<'a, Value>),
}

/// What takes two operands and always looks at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`: a sum, or texts put together.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`, with the sign of the dividend.
    Remainder,
    /// `Math.pow`
    Power,
    /// `==`, converting.
    Equal,
    /// `!=`, converting.
    Unequal,
    /// `===`
    Same,
    /// `!==`
    NotSame,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A text grew out of bounds (1 MiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text grew longer than {LONGEST_TEXT} bytes")]
pub struct TooLong;

impl Operand<'_> {
    /// What JavaScript takes for true.
    #[must_use]
    pub fn truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::Compound(_) => true,
        }
    }

    /// `Number(value)`.
    #[must_use]
    pub fn number(&self) -> f64 {
        match self {
            Self::Undefined => f64::NAN,
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(number) => *number,
            Self::Text(text) => number_of(text),
            Self::Compound(value) => text_of(value).map_or(f64::NAN, |text| number_of(&text)),
        }
    }

    /// `String(value)`.
    ///
    /// # Errors
    /// When a list makes too long a text.
    pub fn text(&self) -> Result<Cow<'_, str>, TooLong> {
        Ok(match self {
            Self::Undefined => Cow::Borrowed("undefined"),
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Number(number) => Cow::Owned(number_text(*number)),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Compound(value) => Cow::Owned(text_of(value)?),
        })
    }

    /// The JSON value; `None` is undefined, and what is no number becomes `null`, as `JSON.stringify` has it.
    #[must_use]
    pub fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Undefined => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => json_number(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Compound(value) => value.into_owned(),
        })
    }

    /// `===`; lists and objects by content.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self == other
    }

    /// `==`; lists and objects by content.
    fn equal(&self, other: &Self) -> Result<bool, TooLong> {
        use Operand::{Compound, Null, Text, Undefined};
        Ok(match (self, other) {
            (Undefined | Null, Undefined | Null) => true,
            (Undefined | Null, _) | (_, Undefined | Null) => false,
            (Text(_), Text(_)) | (Compound(_), Compound(_)) => self == other,
            (Compound(value), Text(text)) | (Text(text), Compound(value)) => text_of(value)? == *text,
            _ => self.number().partial_cmp(&other.number()) == Some(Ordering::Equal),
        })
    }

    /// How two values are ordered; `None` when one is not a number.
    fn order(&self, other: &Self) -> Result<Option<Ordering>, TooLong> {
        if let (Self::Text(_) | Self::Compound(_), Self::Text(_) | Self::Compound(_)) = (self, other) {
            let (left, right) = (self.text()?, other.text()?);
            return Ok(Some(left.encode_utf16().cmp(right.encode_utf16())));
        }
        Ok(self.number().partial_cmp(&other.number()))
    }

    fn add(&self, other: &Self) -> Result<Self, TooLong> {
        let text = |operand: &Self| matches!(operand, Self::Text(_) | Self::Compound(_));
        if !text(self) && !text(other) {
            return Ok(Self::Number(self.number() + other.number()));
        }
        let (left, right) = (self.text()?, other.text()?);
        if left.len() + right.len() > LONGEST_TEXT {
            return Err(TooLong);
        }
        Ok(Self::Text(Cow::Owned(format!("{left}{right}"))))
    }
}

impl Operator {
    /// The result; comparisons give booleans.
    ///
    /// # Errors
    /// When a text grows too long.
    pub fn apply<'a>(self, left: &Operand<'a>, right: &Operand<'a>) -> Result<Operand<'a>, TooLong> {
        let numbers = || (left.number(), right.number());
        let ordered = |test: fn(Ordering) -> bool| left.order(right).map(|order| order.is_some_and(test));
        Ok(match self {
            Self::Add => return left.add(right),
            Self::Subtract => Operand::Number(numbers().0 - numbers().1),
            Self::Multiply => Operand::Number(numbers().0 * numbers().1),
            Self::Divide => Operand::Number(numbers().0 / numbers().1),
            Self::Remainder => Operand::Number(numbers().0 % numbers().1),
            Self::Power => Operand::Number(power(numbers().0, numbers().1)),
            Self::Equal => Operand::Bool(left.equal(right)?),
            Self::Unequal => Operand::Bool(!left.equal(right)?),
            Self::Same => Operand::Bool(left.same(right)),
            Self::NotSame => Operand::Bool(!left.same(right)),
            Self::Less => Operand::Bool(ordered(Ordering::is_lt)?),
            Self::LessOrEqual => Operand::Bool(ordered(Ordering::is_le)?),
            Self::Greater => Operand::Bool(ordered(Ordering::is_gt)?),
            Self::GreaterOrEqual => Operand::Bool(ordered(Ordering::is_ge)?),
        })
    }
}

impl<'a> From<&'a Value> for Operand<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Compound(Cow::Borrowed(value)),
        }
    }
}

impl From<Value> for Operand<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(_) | Value::Object(_) => Self::Compound(Cow::Owned(value)),
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
        }
    }
}

impl<'a> From<Cow<'a, Value>> for Operand<'a> {
    fn from(value: Cow<'a, Value>) -> Self {
        match value {
            Cow::Borrowed(value) => value.into(),
            Cow::Owned(value) => value.into(),
        }
    }
}

/// `Math.pow`: as in C, but 1 to the power of an infinity or of NaN is NaN.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (exponent.is_infinite() && base.abs().total_cmp(&1.0).is_eq()) {
        f64::NAN
    } else {
        base.powf(exponent)
    }
}

/// Whole numbers become JSON integers, what is no number `null`.
fn json_number(number: f64) -> Value {
    /// 2^53: up to here every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        // Writing and reading keeps clear of a cast; the range is checked above.
        return format!("{number:.0}").parse::<i64>().map_or(Value::Null, Value::from);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// `Number(text)`.
fn number_of(text: &str) -> f64 {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return 0.0;
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned == "Infinity" && text.len() <= unsigned.len() + 1 {
        return if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case(prefix)).and_then(|_| text.get(2..));
        if let Some(digits) = digits {
            return whole(digits, base);
        }
    }
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if decimal { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

/// A whole number of a base; NaN when a digit is not of it.
fn whole(digits: &str, base: u32) -> f64 {
    if digits.is_empty() {
        return f64::NAN;
    }
    let add = |sum: f64, c: char| c.to_digit(base).map(|digit| sum * f64::from(base) + f64::from(digit));
    digits.chars().try_fold(0.0, add).unwrap_or(f64::NAN)
}

/// `String(number)`.
fn number_text(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        if text.contains("e-") { text } else { text.replace('e', "e+") }
    } else {
        // `-0` is written `0`.
        (number + 0.0).to_string()
    }
}

/// `String(value)` of a list (its members, with commas) or an object.
fn text_of(value: &Value) -> Result<String, TooLong> {
    let mut text = String::new();
    write_text(value, &mut text)?;
    Ok(text)
}

/// JSON that came from a text is at most 128 deep (`serde_json`), which bounds the depth of this.
fn write_text(value: &Value, text: &mut String) -> Result<(), TooLong> {
    match value {
        Value::Array(list) => {
            for (place, member) in list.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                if !member.is_null() {
                    write_text(member, text)?;
                }
            }
        }
        Value::Object(_) => text.push_str("[object Object]"),
        other => text.push_str(&Operand::from(other).text()?),
    }
    if text.len() > LONGEST_TEXT { Err(TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn apply(left: &Value, operator: Operator, right: &Value) -> Option<Value> {
        operator.apply(&left.into(), &right.into()).expect("short").into_value()
    }

    #[test]
    fn comparison_converts() {
        use Operator::{Equal, Greater, Less, Same};
        for (left, operator, right, holds) in [
            (json!("2"), Equal, json!(2), true),
            (json!("2"), Same, json!(2), false),
            (json!(true), Equal, json!("1"), true),
            (json!(null), Equal, json!(0), false),
            (json!(""), Equal, json!(0), true),
            (json!([7]), Equal, json!(7), true),
            (json!([1, null, "x"]), Equal, json!("1,,x"), true),
            (json!({}), Equal, json!("[object Object]"), true),
            (json!("10"), Less, json!("9"), true),
            (json!("10"), Less, json!(9), false),
            (json!("abc"), Less, json!(9), false),
            (json!("abc"), Greater, json!(9), false),
            (json!(1), Same, json!(1.0), true),
        ] {
            assert_eq!(apply(&left, operator, &right), Some(json!(holds)), "{left} {operator:?} {right}");
        }
    }

    #[test]
    fn arithmetic_converts_too() {
        use Operator::{Add, Divide, Power, Remainder, Subtract};
        for (left, operator, right, result) in [
            (json!("1"), Add, json!(2), json!("12")),
            (json!(true), Add, json!(2), json!(3)),
            (json!("7"), Subtract, json!("2"), json!(5)),
            (json!(-7), Remainder, json!(3), json!(-1)),
            (json!(2), Power, json!(0.5), json!(std::f64::consts::SQRT_2)),
            (json!(1), Divide, json!(0), json!(null)),
            (json!("x"), Subtract, json!(1), json!(null)),
        ] {
            assert_eq!(apply(&left, operator, &right), Some(result), "{left} {operator:?} {right}");
        }
    }

    #[test]
    fn numbers_are_written_and_read_as_in_javascript() {
        for (number, text) in [
            (1.0, "1"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (123_456_789_012.0, "123456789012"),
        ] {
            assert_eq!(number_text(number), text);
        }
        for (text, number) in
            [(" 12 ", 12.0), ("0x1F", 31.0), ("1e3", 1000.0), (".5", 0.5), ("-Infinity", f64::NEG_INFINITY)]
        {
            assert!(number_of(text).total_cmp(&number).is_eq(), "{text}");
        }
        for text in ["inf", "nan", "1_000", "0x", "12px", "--1"] {
            assert!(number_of(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn texts_do_not_grow_without_bound() {
        let long = Value::String("x".repeat(LONGEST_TEXT));
        assert_eq!(Operator::Add.apply(&(&long).into(), &(&long).into()), Err(TooLong));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: f64) {
            let back = number_of(&number_text(number));
            prop_assert!(back.partial_cmp(&number) == Some(Ordering::Equal) || (back.is_nan() && number.is_nan()));
        }

        #[test]
        fn no_text_makes_it_fail(text: String) {
            let _ = number_of(&text);
        }
    }
}
