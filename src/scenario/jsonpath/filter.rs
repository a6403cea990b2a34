//! The expressions inside `[?(…)]` and `[(…)]`: the part of JavaScript that compares, calculates and looks at members.
//!
//! Calls, regular expressions and anything that needs a JavaScript engine are refused by name. A member of nothing is
//! undefined here, where JavaScript would throw and the whole capture would fail.

use std::borrow::Cow;

use serde_json::Value;

use super::BadJsonPath;
use super::parse::Reader;
use crate::scenario::javascript::{Operand, Operator};
use crate::scenario::path::member;

/// Expressions inside expressions.
const DEEPEST: usize = 32;
/// Operators of one filter.
const MOST_OPERATORS: usize = 64;
/// The level of the operand of `!` and `-`.
const UNARY: u8 = 7;

/// An expression over the value at hand (`@`) and the document (`$`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    Constant(Operand<'static>),
    /// `@.a[0]['b']`
    Here(Vec<String>),
    /// `$.a`
    Document(Vec<String>),
    Not(Box<Filter>),
    Negate(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Binary(Operator, Box<Filter>, Box<Filter>),
}

#[derive(Clone, Copy)]
enum Infix {
    And,
    Or,
    Binary(Operator),
}

/// The operators with their levels, longer signs first.
const INFIXES: [(&str, Infix, u8); 15] = [
    ("||", Infix::Or, 1),
    ("&&", Infix::And, 2),
    ("===", Infix::Binary(Operator::Same), 3),
    ("!==", Infix::Binary(Operator::NotSame), 3),
    ("==", Infix::Binary(Operator::Equal), 3),
    ("!=", Infix::Binary(Operator::Unequal), 3),
    ("<=", Infix::Binary(Operator::LessOrEqual), 4),
    (">=", Infix::Binary(Operator::GreaterOrEqual), 4),
    ("<", Infix::Binary(Operator::Less), 4),
    (">", Infix::Binary(Operator::Greater), 4),
    ("+", Infix::Binary(Operator::Add), 5),
    ("-", Infix::Binary(Operator::Subtract), 5),
    ("*", Infix::Binary(Operator::Multiply), 6),
    ("/", Infix::Binary(Operator::Divide), 6),
    ("%", Infix::Binary(Operator::Remainder), 6),
];

/// Reads an expression; what follows it is left alone.
pub(super) fn filter(reader: &mut Reader) -> Result<Filter, BadJsonPath> {
    Parser { reader, depth: 0, operators: 0 }.expression(0)
}

struct Parser<'r> {
    reader: &'r mut Reader,
    depth: usize,
    operators: usize,
}

impl Parser<'_> {
    fn expression(&mut self, level: u8) -> Result<Filter, BadJsonPath> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.reader.wrong(format!("the filter nests deeper than {DEEPEST}"));
        }
        let mut left = self.operand()?;
        while let Some((sign, infix, own)) = self.infix()?.filter(|(_, _, own)| *own >= level) {
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return self.reader.wrong(format!("the filter has more than {MOST_OPERATORS} operators"));
            }
            self.reader.advance(sign.len());
            let sides = (Box::new(left), Box::new(self.expression(own + 1)?));
            left = match infix {
                Infix::And => Filter::And(sides.0, sides.1),
                Infix::Or => Filter::Or(sides.0, sides.1),
                Infix::Binary(operator) => Filter::Binary(operator, sides.0, sides.1),
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that stands here; it is not taken.
    fn infix(&mut self) -> Result<Option<(&'static str, Infix, u8)>, BadJsonPath> {
        self.reader.blanks();
        let here = |sign: &str| sign.chars().enumerate().all(|(ahead, c)| self.reader.peek(ahead) == Some(c));
        if here("=~") {
            return self.reader.wrong("`=~` is not supported");
        }
        if here("**") || here("??") {
            return self.reader.wrong("`**` and `??` are not supported");
        }
        Ok(INFIXES.into_iter().find(|(sign, ..)| here(sign)))
    }

    fn operand(&mut self) -> Result<Filter, BadJsonPath> {
        self.reader.blanks();
        match self.reader.peek(0) {
            Some('(') => {
                self.reader.advance(1);
                let inside = self.expression(0)?;
                self.reader.blanks();
                if self.reader.take(")") { Ok(inside) } else { self.reader.wrong("`)` or an operator was expected") }
            }
            Some('!') => {
                self.reader.advance(1);
                Ok(Filter::Not(Box::new(self.expression(UNARY)?)))
            }
            Some('-') => {
                self.reader.advance(1);
                Ok(Filter::Negate(Box::new(self.expression(UNARY)?)))
            }
            Some('\'' | '"') => Ok(Filter::Constant(Operand::Text(Cow::Owned(self.reader.quoted()?)))),
            Some('@') => self.keys().map(Filter::Here),
            Some('$') => self.keys().map(Filter::Document),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some('/') => self.reader.wrong("regular expressions are not supported in filters"),
            _ => self.word(),
        }
    }

    fn number(&mut self) -> Result<Filter, BadJsonPath> {
        let text = self.reader.run(|c| c.is_ascii_alphanumeric() || c == '.');
        match text.parse() {
            Ok(number) => Ok(Filter::Constant(Operand::Number(number))),
            Err(_) => self.reader.wrong(format!("`{text}` is no number")),
        }
    }

    fn word(&mut self) -> Result<Filter, BadJsonPath> {
        let word = self.reader.run(in_name);
        Ok(Filter::Constant(match word.as_str() {
            "true" => Operand::Bool(true),
            "false" => Operand::Bool(false),
            "null" => Operand::Null,
            "undefined" => Operand::Undefined,
            "" => return self.reader.wrong("a value was expected: `@`, a number, a text or `(`"),
            word => return self.reader.wrong(format!("`{word}` is not supported in filters")),
        }))
    }

    /// The members behind `@` or `$`, which is still ahead.
    fn keys(&mut self) -> Result<Vec<String>, BadJsonPath> {
        self.reader.advance(1);
        let special = self.reader.run(in_name);
        if !special.is_empty() {
            return self.reader.wrong(format!("`@{special}` is not supported"));
        }
        let mut keys = Vec::new();
        loop {
            if self.reader.take("[") {
                self.reader.blanks();
                let key = match self.reader.peek(0) {
                    Some('\'' | '"') => self.reader.quoted()?,
                    _ => self.reader.run(|c| c.is_ascii_digit()),
                };
                self.reader.blanks();
                if key.is_empty() || !self.reader.take("]") {
                    return self.reader.wrong("a name in quotes or a place was expected, then `]`");
                }
                keys.push(key);
            } else if self.reader.take(".") || self.reader.take("?.") {
                let key = self.reader.run(in_name);
                if key.is_empty() {
                    return self.reader.wrong("a name was expected");
                }
                keys.push(key);
            } else if self.reader.peek(0) == Some('(') {
                let name = keys.last().map_or("", String::as_str);
                return self.reader.wrong(format!("the call `{name}()` is not supported in filters"));
            } else {
                return Ok(keys);
            }
        }
    }
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

impl Filter {
    /// Its value for one value of a document. A text that grows too long is undefined.
    pub(super) fn evaluate<'a>(&'a self, here: &'a Value, document: &'a Value) -> Operand<'a> {
        match self {
            Self::Constant(Operand::Text(text)) => Operand::Text(Cow::Borrowed(text)),
            Self::Constant(value) => value.clone(),
            Self::Here(keys) => below(here, keys),
            Self::Document(keys) => below(document, keys),
            Self::Not(filter) => Operand::Bool(!filter.evaluate(here, document).truthy()),
            Self::Negate(filter) => Operand::Number(-filter.evaluate(here, document).number()),
            Self::And(left, right) => left.decided(right, false, here, document),
            Self::Or(left, right) => left.decided(right, true, here, document),
            Self::Binary(operator, left, right) => left.joined(*operator, right, here, document),
        }
    }

    /// `&&` and `||`: this side where its truth is `enough`, else the right one.
    fn decided<'a>(&'a self, right: &'a Self, enough: bool, here: &'a Value, document: &'a Value) -> Operand<'a> {
        let left = self.evaluate(here, document);
        if left.truthy() == enough { left } else { right.evaluate(here, document) }
    }

    fn joined<'a>(&'a self, operator: Operator, right: &'a Self, here: &'a Value, document: &'a Value) -> Operand<'a> {
        let left = self.evaluate(here, document);
        let right = right.evaluate(here, document);
        operator.apply(&left, &right).unwrap_or(Operand::Undefined)
    }
}

fn below<'a>(value: &'a Value, keys: &[String]) -> Operand<'a> {
    let mut at = Cow::Borrowed(value);
    for key in keys {
        let next = match at {
            Cow::Borrowed(value) => member(value, key),
            Cow::Owned(value) => member(&value, key).map(|member| Cow::Owned(member.into_owned())),
        };
        let Some(next) = next else { return Operand::Undefined };
        at = next;
    }
    Operand::from(at)
}
