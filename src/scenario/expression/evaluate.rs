//! From a tree to its value. The height of the tree is bounded by the parser, and so is the depth of this.

use std::borrow::Cow;

use serde_json::Value;

use super::Unusable;
use super::parse::{Function, Node};
use crate::scenario::javascript::{Operand, Operator};
use crate::scenario::path;
use crate::scenario::pattern::Pattern;

type Lookup<'a> = &'a dyn Fn(&str) -> Option<Value>;
type Evaluated = Result<Operand<'static>, Unusable>;
type Join<'a> = &'a dyn Fn(&Operand<'static>, &Operand<'static>) -> Evaluated;

impl Node {
    pub(super) fn evaluate(&self, lookup: Lookup<'_>) -> Evaluated {
        match self {
            Self::Number(number) => Ok(Operand::Number(*number)),
            Self::Text(text) => Ok(Operand::Text(Cow::Owned(text.clone()))),
            Self::Name(name) => Ok(lookup(name).map_or(Operand::Undefined, Operand::from)),
            Self::Member(name, of) => of.evaluate(lookup).map(|of| member(&of, name)),
            Self::List(nodes) => all(nodes, lookup).map(list),
            Self::Negate(node) => node.evaluate(lookup).map(|value| Operand::Number(-value.number())),
            Self::Not(node) => node.evaluate(lookup).map(|value| bit(!value.truthy())),
            Self::And(left, right) => left.decided(right, false, lookup),
            Self::Or(left, right) => left.decided(right, true, lookup),
            Self::In(left, right) => left.with(right, lookup, &|left, right| Ok(bit(is_subset(left, right)))),
            Self::Binary(operator, left, right) => {
                left.with(right, lookup, &|left, right| binary(*operator, left, right))
            }
            Self::Matches(text, pattern) => text.evaluate(lookup).and_then(|text| matches(&text, pattern)),
            Self::MatchesAny(text, pattern) => {
                text.with(pattern, lookup, &|text, pattern| matches(text, &Pattern::new(&pattern.text()?, "")?))
            }
            Self::Choice(nodes) => {
                let [test, then, otherwise] = nodes.as_ref();
                let holds = test.evaluate(lookup).map(|test| test.truthy())?;
                if holds { then.evaluate(lookup) } else { otherwise.evaluate(lookup) }
            }
            Self::Call(function, arguments) => all(arguments, lookup).map(|arguments| function.call(&arguments)),
        }
    }

    /// What two nodes make together.
    fn with(&self, right: &Self, lookup: Lookup<'_>, join: Join<'_>) -> Evaluated {
        let left = self.evaluate(lookup)?;
        let right = right.evaluate(lookup)?;
        join(&left, &right)
    }

    /// `and` and `or`: this node alone where its truth is `enough`, else the right one.
    fn decided(&self, right: &Self, enough: bool, lookup: Lookup<'_>) -> Evaluated {
        let left = self.evaluate(lookup)?;
        if left.truthy() == enough {
            return Ok(measured(&left));
        }
        right.evaluate(lookup).map(|right| measured(&right))
    }
}

fn all(nodes: &[Node], lookup: Lookup<'_>) -> Result<Vec<Operand<'static>>, Unusable> {
    nodes.iter().map(|node| node.evaluate(lookup)).collect()
}

fn list(members: Vec<Operand<'static>>) -> Operand<'static> {
    let values = members.into_iter().map(|member| member.into_value().unwrap_or_default()).collect();
    Operand::Compound(Cow::Owned(Value::Array(values)))
}

fn matches(text: &Operand<'_>, pattern: &Pattern) -> Evaluated {
    Ok(bit(pattern.is_in(&text.text()?)?))
}

impl Function {
    fn call(self, arguments: &[Operand<'_>]) -> Operand<'static> {
        let first = arguments.first().unwrap_or(&Operand::Undefined);
        let number = first.number();
        Operand::Number(match self {
            Self::Abs => number.abs(),
            Self::Ceil => number.ceil(),
            Self::Floor => number.floor(),
            Self::Log => number.ln(),
            Self::Log2 => number.log2(),
            Self::Log10 => number.log10(),
            Self::Max => extreme(arguments, f64::NEG_INFINITY, f64::max),
            Self::Min => extreme(arguments, f64::INFINITY, f64::min),
            // JavaScript rounds halves up, also below zero.
            Self::Round => number.floor() + f64::from(u8::from(number - number.floor() >= 0.5)),
            Self::Sqrt => number.sqrt(),
            Self::Exists => return bit(!matches!(first, Operand::Undefined | Operand::Null)),
            Self::Empty => return bit(is_empty(first)),
        })
    }
}

/// The largest or smallest; NaN when one is.
fn extreme(arguments: &[Operand<'_>], start: f64, pick: fn(f64, f64) -> f64) -> f64 {
    let mut numbers = arguments.iter().map(Operand::number);
    numbers.try_fold(start, |best, number| (!number.is_nan()).then(|| pick(best, number))).unwrap_or(f64::NAN)
}

/// filtrex gives comparisons as 1 or 0.
fn binary(operator: Operator, left: &Operand<'_>, right: &Operand<'_>) -> Evaluated {
    Ok(match operator.apply(left, right)? {
        Operand::Bool(holds) => bit(holds),
        Operand::Text(text) => Operand::Text(Cow::Owned(text.into_owned())),
        other => Operand::Number(other.number()),
    })
}

/// What `and` and `or` make of the side that decides: its number; where it has none, whether it is true.
fn measured(side: &Operand<'_>) -> Operand<'static> {
    let number = side.number();
    if number.is_nan() { bit(side.truthy()) } else { Operand::Number(number) }
}

fn bit(holds: bool) -> Operand<'static> {
    Operand::Number(f64::from(u8::from(holds)))
}

/// A member that the value itself has.
fn member(of: &Operand<'_>, name: &str) -> Operand<'static> {
    let Operand::Compound(of) = of else { return Operand::Undefined };
    path::member(of, name).map_or(Operand::Undefined, |member| Operand::from(member.into_owned()))
}

/// Whether every member of the left side is one of the right; what is no list is one of a single member.
fn is_subset(left: &Operand<'_>, right: &Operand<'_>) -> bool {
    let right = members(right);
    members(left).iter().all(|member| right.contains(member))
}

fn members<'a>(operand: &'a Operand<'_>) -> Vec<Operand<'a>> {
    match operand {
        Operand::Compound(value) => match value.as_ref() {
            Value::Array(list) => list.iter().map(Operand::from).collect(),
            object => vec![Operand::from(object)],
        },
        Operand::Text(text) => vec![Operand::Text(Cow::Borrowed(text))],
        other => vec![other.clone()],
    }
}

fn is_empty(operand: &Operand<'_>) -> bool {
    match operand {
        Operand::Undefined | Operand::Null => true,
        Operand::Text(text) => text.is_empty(),
        Operand::Compound(value) => value.as_array().is_some_and(Vec::is_empty),
        Operand::Bool(_) | Operand::Number(_) => false,
    }
}
