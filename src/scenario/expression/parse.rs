//! From tokens to a tree, by precedence.
//!
//! The levels are those of filtrex's grammar, surprises included: `not a == b` is `(not a) == b`, `not in` binds
//! tighter than `+`, and everything goes from left to right, `^` and `? :` too.

use super::lex::{Token, tokens};
use super::{Expression, Malformed};
use crate::scenario::javascript::Operator;
use crate::scenario::pattern::Pattern;

/// Bytes of an expression.
const LONGEST: usize = 4 * 1024;
/// Expressions inside expressions: a pair of brackets is one, the right side of an operator another.
const DEEPEST: usize = 64;
/// Operators, which is how high the tree can grow without nesting.
const MOST_OPERATORS: usize = 128;
/// The level of the operand of `not`, of `-` and of `of`.
const AFTER_NOT: u8 = 11;
const AFTER_MINUS: u8 = 12;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    Name(String),
    /// `a of b`
    Member(String, Box<Node>),
    /// `(a, b)`
    List(Vec<Node>),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// `a ~= "fixed"`
    Matches(Box<Node>, Box<Pattern>),
    /// `a ~= b`
    MatchesAny(Box<Node>, Box<Node>),
    /// `a ? b : c`
    Choice(Box<[Node; 3]>),
    Call(Function, Vec<Node>),
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Ceil,
    Floor,
    Log,
    Log2,
    Log10,
    Max,
    Min,
    Round,
    Sqrt,
    Exists,
    Empty,
}

/// What may stand between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Choice,
    Or,
    And,
    In,
    NotIn,
    Matches,
    Binary(Operator),
}

pub(super) fn parse(text: &str) -> Result<Expression, Malformed> {
    if text.len() > LONGEST {
        return Err(Malformed { column: 1, why: format!("it is longer than {LONGEST} bytes") });
    }
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end, depth: 0, operators: 0, names: Vec::new() };
    let root = parser.expression(0)?;
    if parser.at < parser.tokens.len() {
        return Err(parser.wrong("an operator or the end was expected"));
    }
    Ok(Expression { root, names: parser.names })
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    depth: usize,
    operators: usize,
    names: Vec<String>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(column, _)| *column)
    }

    fn wrong(&self, why: &str) -> Malformed {
        Malformed { column: self.column(), why: why.into() }
    }

    /// Takes a sign if it is the next token.
    fn take(&mut self, sign: &'static str) -> bool {
        let there = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(there);
        there
    }

    fn need(&mut self, sign: &'static str) -> Result<(), Malformed> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}` was expected"))) }
    }

    /// An expression of operators that bind at least as tightly as `level`.
    fn expression(&mut self, level: u8) -> Result<Node, Malformed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(&format!("the condition nests deeper than {DEEPEST}")));
        }
        let mut left = self.operand()?;
        while let Some((infix, own)) = self.infix().filter(|(_, own)| *own >= level) {
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return Err(self.wrong(&format!("the condition has more than {MOST_OPERATORS} operators")));
            }
            self.at += if matches!(infix, Infix::NotIn) { 2 } else { 1 };
            left = self.joined(left, infix, own)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The operator that stands here, and its level.
    fn infix(&self) -> Option<(Infix, u8)> {
        use Operator::{Add, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Multiply, Power, Remainder};
        let Some(Token::Sign(sign)) = self.peek() else { return None };
        Some(match *sign {
            "?" => (Infix::Choice, 1),
            "or" => (Infix::Or, 2),
            "and" => (Infix::And, 3),
            "in" => (Infix::In, 4),
            "==" => (Infix::Binary(Equal), 5),
            "!=" => (Infix::Binary(Operator::Unequal), 5),
            "~=" => (Infix::Matches, 5),
            "<" => (Infix::Binary(Less), 6),
            "<=" => (Infix::Binary(LessOrEqual), 6),
            ">" => (Infix::Binary(Greater), 6),
            ">=" => (Infix::Binary(GreaterOrEqual), 6),
            "+" => (Infix::Binary(Add), 7),
            "-" => (Infix::Binary(Operator::Subtract), 7),
            "*" => (Infix::Binary(Multiply), 8),
            "/" => (Infix::Binary(Divide), 8),
            "%" => (Infix::Binary(Remainder), 8),
            "^" => (Infix::Binary(Power), 9),
            "not" if self.tokens.get(self.at + 1).map(|(_, token)| token) == Some(&Token::Sign("in")) => {
                (Infix::NotIn, 10)
            }
            _ => return None,
        })
    }

    /// The node of an operator, whose left side and sign are behind us.
    fn joined(&mut self, left: Node, infix: Infix, level: u8) -> Result<Node, Malformed> {
        let left = Box::new(left);
        if matches!(infix, Infix::Choice) {
            let then = self.expression(0)?;
            self.need(":")?;
            let otherwise = self.expression(level + 1)?;
            return Ok(Node::Choice(Box::new([*left, then, otherwise])));
        }
        let column = self.column();
        let right = self.expression(level + 1)?;
        Ok(match (infix, right) {
            (Infix::Matches, Node::Text(source)) => {
                let pattern = Pattern::new(&source, "").map_err(|bad| Malformed { column, why: bad.to_string() })?;
                Node::Matches(left, Box::new(pattern))
            }
            (Infix::Matches, right) => Node::MatchesAny(left, Box::new(right)),
            (Infix::Or, right) => Node::Or(left, Box::new(right)),
            (Infix::And, right) => Node::And(left, Box::new(right)),
            (Infix::In, right) => Node::In(left, Box::new(right)),
            (Infix::Binary(operator), right) => Node::Binary(operator, left, Box::new(right)),
            (Infix::NotIn | Infix::Choice, right) => Node::Not(Box::new(Node::In(left, Box::new(right)))),
        })
    }

    fn operand(&mut self) -> Result<Node, Malformed> {
        let start = self.at;
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Number(number)) => Ok(Node::Number(number)),
            Some(Token::Text(text)) => Ok(Node::Text(text)),
            Some(Token::Name(name)) => self.named(name, start),
            Some(Token::Sign("-")) => Ok(Node::Negate(Box::new(self.expression(AFTER_MINUS)?))),
            Some(Token::Sign("not")) => Ok(Node::Not(Box::new(self.expression(AFTER_NOT)?))),
            Some(Token::Sign("(")) => {
                let mut nodes = self.nodes()?;
                Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::List(nodes) })
            }
            _ => {
                self.at = start;
                Err(self.wrong("a number, a text, a name or `(` was expected"))
            }
        }
    }

    /// A name, the member of something, or a call.
    fn named(&mut self, name: String, start: usize) -> Result<Node, Malformed> {
        if self.take("of") {
            return Ok(Node::Member(name, Box::new(self.expression(AFTER_MINUS + 1)?)));
        }
        if !self.take("(") {
            if !self.names.contains(&name) {
                self.names.push(name.clone());
            }
            return Ok(Node::Name(name));
        }
        let Some(function) = function(&name) else {
            self.at = start;
            let why = if name == "random" {
                "`random` is not supported: `probability` says how often a request is sent".into()
            } else {
                format!("there is no function `{name}`")
            };
            return Err(self.wrong(&why));
        };
        let arguments = if self.take(")") { Vec::new() } else { self.nodes()? };
        Ok(Node::Call(function, arguments))
    }

    /// Expressions between commas, up to `)`.
    fn nodes(&mut self) -> Result<Vec<Node>, Malformed> {
        let mut nodes = vec![self.expression(0)?];
        while self.take(",") {
            nodes.push(self.expression(0)?);
        }
        if self.take(")") { Ok(nodes) } else { Err(self.wrong("`)` or an operator was expected")) }
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "abs" => Function::Abs,
        "ceil" => Function::Ceil,
        "floor" => Function::Floor,
        "log" => Function::Log,
        "log2" => Function::Log2,
        "log10" => Function::Log10,
        "max" => Function::Max,
        "min" => Function::Min,
        "round" => Function::Round,
        "sqrt" => Function::Sqrt,
        "exists" => Function::Exists,
        "empty" => Function::Empty,
        _ => return None,
    })
}
