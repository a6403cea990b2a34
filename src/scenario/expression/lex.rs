//! From text to tokens: numbers, texts, names, signs. The rules are those of filtrex's lexer.

use super::Malformed;

/// The signs, longest first.
const SIGNS: [&str; 19] =
    ["==", "!=", "~=", ">=", "<=", "<", ">", "?", ":", "*", "/", "-", "+", "^", "%", "(", ")", ",", "="];
/// The names that are operators.
const WORDS: [&str; 5] = ["and", "or", "not", "in", "of"];

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `212.321`
    Number(f64),
    /// `"any text"`
    Text(String),
    /// `a.b_$1`, or `'any name'`.
    Name(String),
    /// A sign, or a word that is an operator.
    Sign(&'static str),
}

/// The tokens of a text, each with the column (in characters, from 1) it begins at.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut column = 1;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let (token, length) = token(rest, first).map_err(|why| Malformed { column, why })?;
            tokens.push((column, token));
            length
        };
        column += rest[..length].chars().count();
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// The token that a text starts with, and its length in bytes.
fn token(text: &str, first: char) -> Result<(Token, usize), String> {
    match first {
        '0'..='9' => number(text),
        '\'' => quoted(text, first).map(|(name, length)| (Token::Name(name), length)),
        '"' => quoted(text, first).map(|(text, length)| (Token::Text(text), length)),
        'a'..='z' | 'A'..='Z' | '_' | '$' => {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '.'));
            let name = &text[..end.unwrap_or(text.len())];
            let word = WORDS.into_iter().find(|word| *word == name);
            Ok((word.map_or_else(|| Token::Name(name.to_owned()), Token::Sign), name.len()))
        }
        _ => match SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
            Some("=") => Err("`=` is no operator: write `==`".into()),
            Some(sign) => Ok((Token::Sign(sign), sign.len())),
            None if text.starts_with("&&") => Err("`&&` is no operator: write `and`".into()),
            None if text.starts_with("||") => Err("`||` is no operator: write `or`".into()),
            None if first == '!' => Err("`!` is no operator: write `not`".into()),
            None => {
                Err(format!("`{}` means nothing here: names like this stand in single quotes", first.escape_debug()))
            }
        },
    }
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(text);
    if let Some(fraction) = text[end..].strip_prefix('.')
        && digits(fraction) > 0
    {
        end += 1 + digits(fraction);
    }
    if text[end..].starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
        return Err("this is no number: digits, then perhaps a point and digits".into());
    }
    text[..end].parse().map(|number| (Token::Number(number), end)).map_err(|_| "this is no number".into())
}

/// A text in quotes; a backslash makes the quote or the backslash behind it plain.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, c)) if c == quote || c == '\\' => inside.push(c),
                _ => {
                    return Err(format!(r"a backslash in quotes stands before {quote} or another backslash: write \\"));
                }
            },
            c if c == quote => return Ok((inside, at + 1)),
            c => inside.push(c),
        }
    }
    Err(format!("the closing {quote} is missing"))
}
