//! What is surely not meant that way in a function that is to change its first parameter.
//!
//! A hook that says `requestParams = {}` changes a variable of its own; the request never hears of what follows. It stands alone
//! because it only reads text: comments, strings, patterns and functions within are passed over, and where the text is not
//! understood, nothing is claimed.

use indexmap::IndexMap;

use super::processor::Functions;

/// Something that is surely not meant that way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// `file:line`; the name of the function when it is not in the processor's own file.
    pub at: String,
    /// What it does.
    pub message: String,
}

/// The functions of a processor, each with what is wrong with it. `text` is what `file` holds.
pub(super) fn of(file: &str, text: &str, functions: Functions) -> IndexMap<String, Option<Lint>> {
    let lint = |name: &str, code: &str| {
        let tokens = tokens(code)?;
        let (parameter, at) = assigned(&tokens)?;
        let mut places = text.match_indices(code).map(|(start, _)| start);
        let at = match (places.next(), places.next()) {
            (Some(start), None) => format!("{file}:{}", text.get(..start + at)?.matches('\n').count() + 1),
            _ => format!("function `{name}`"),
        };
        let message = format!(
            "`{name}` assigns its first parameter `{parameter}`: changes after that line never reach the request"
        );
        Some(Lint { at, message })
    };
    functions
        .into_iter()
        .map(|(name, code)| {
            let lint = lint(&name, &code);
            (name, lint)
        })
        .collect()
}

/// A word or a sign, and where it stands.
type Token<'a> = (&'a str, usize);

/// The code without what is no code; nothing when it does not end well.
fn tokens(code: &str) -> Option<Vec<Token<'_>>> {
    let bytes = code.as_bytes();
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = code.get(at..)?;
        let length = if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if rest.starts_with("/*") {
            at += rest.find("*/")? + 2;
            continue;
        } else if byte == b'"' || byte == b'\'' {
            quoted(rest, byte)?
        } else if byte == b'`' {
            // What is put into a template is code; whoever assigns there is not caught.
            template(rest)?
        } else if byte == b'/' && begins_pattern(tokens.last()) {
            pattern(rest)?
        } else if is_word(rest.chars().next()?) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else {
            const SIGNS: [&str; 11] = ["===", "!==", "=>", "==", "!=", "<=", ">=", "...", "++", "--", "?."];
            SIGNS
                .iter()
                .find(|sign| rest.starts_with(**sign))
                .map_or(rest.chars().next()?.len_utf8(), |sign| sign.len())
        };
        tokens.push((rest.get(..length)?, at));
        at += length;
    }
    Some(tokens)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

fn quoted(rest: &str, quote: u8) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn template(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut at, mut depth) = (1, 0);
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 1,
            b'`' if depth == 0 => return Some(at + 1),
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            // Braces and templates within are too deep for this: nothing is claimed.
            b'{' | b'`' if depth > 0 => return None,
            b'}' if depth > 0 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// Whether a slash after that begins a pattern, and is no division.
fn begins_pattern(before: Option<&Token<'_>>) -> bool {
    const WORDS: [&str; 8] = ["return", "typeof", "case", "in", "of", "delete", "void", "await"];
    before.is_none_or(|(text, _)| {
        WORDS.contains(text)
            || !(text.ends_with(is_word) || [")", "]", "}"].contains(text) || text.ends_with(['"', '\'', '`']))
    })
}

fn pattern(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut at, mut in_class) = (1, false);
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 1,
            b'\n' => return None,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'/' if !in_class => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
}

/// The first parameter and where it is assigned, in the function itself and not in one within.
fn assigned<'a>(tokens: &[Token<'a>]) -> Option<(&'a str, usize)> {
    let text = |at: usize| tokens.get(at).map(|(text, _)| *text);
    let mut open = tokens.iter().position(|(text, _)| *text == "(" || *text == "=>")?;
    let parameter;
    if text(open)? == "=>" {
        parameter = text(open.checked_sub(1)?)?;
    } else {
        parameter = text(open + 1)?;
        open = matching(tokens, open)?;
    }
    if !parameter.starts_with(|letter: char| is_word(letter) && !letter.is_ascii_digit()) {
        return None;
    }
    let body = tokens.iter().skip(open).position(|(text, _)| *text == "{")? + open;
    let end = matching(tokens, body)?;
    let mut at = body + 1;
    while at < end {
        if let Some(after) = function_within(tokens, at) {
            at = after;
            continue;
        }
        let declares = |word: &str| ["let", "const", "var", "class", "function"].contains(&word);
        if text(at)? == parameter {
            let before = text(at - 1)?;
            if declares(before) {
                return None;
            }
            // A member of something else, the key of an object, a default inside a pattern.
            let stands_alone = [";", "{", "}", "(", ")", "else", ","].contains(&before) || starts_line(tokens, at);
            if before != "." && before != "?." && stands_alone && text(at + 1) == Some("=") {
                return Some((parameter, tokens.get(at)?.1));
            }
        }
        at += 1;
    }
    None
}

/// Whether a word may begin a statement although nothing closes the one before: `x = 1\ny = 2`.
fn starts_line(tokens: &[Token<'_>], at: usize) -> bool {
    let (Some((before, start)), Some((_, here))) = (tokens.get(at.wrapping_sub(1)), tokens.get(at)) else {
        return false;
    };
    let ends_statement = before.ends_with(is_word) || before.ends_with([')', ']', '}', '"', '\'', '`']);
    ends_statement && *here > start + before.len()
}

/// Past the function that begins there, if one does: what it assigns may be its own.
fn function_within(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map(|(text, _)| *text);
    let body = match text(at)? {
        "function" | "class" => tokens.iter().skip(at).position(|(text, _)| *text == "{")? + at,
        "=>" if text(at + 1)? == "{" => at + 1,
        _ => return None,
    };
    Some(matching(tokens, body)? + 1)
}

/// Where the bracket that opens there is closed.
fn matching(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, (text, _)) in tokens.iter().enumerate().skip(open) {
        match *text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(code: &str) -> Option<String> {
        let text = format!("// first line\nmodule.exports.f = {code};\n");
        of("f.js", &text, vec![("f".into(), code.into())]).swap_remove("f").flatten().map(|lint| lint.at)
    }

    #[test]
    fn an_assigned_parameter_is_found_where_it_is() {
        for (code, line) in [
            ("function (requestParams, context, ee, next) {\n  requestParams = {};\n}", 3),
            ("async function f(p, c) { // p = 1\n  const x = 1\n  p = { headers: {} }\n}", 4),
            ("(p, c) => { if (c) { p = null } }", 2),
            ("async p => { await 1; p = {} }", 2),
            ("f(p) { const a = /[/\"]p = /.test('x'), b = `p = ${1}`; p = {}; }", 2),
        ] {
            assert_eq!(lint(code).as_deref(), Some(format!("f.js:{line}").as_str()), "{code}");
        }
    }

    #[test]
    fn nothing_is_claimed_falsely() {
        for code in [
            "(p, c) => { p.headers = {}; p.json = 1; p['a'] = 2 }",
            "(p) => { // p = {}\n /* p = {} */ 'p = {}'; `p = {}`; /p = {}/.test(x) }",
            "(p) => { c.p = {}; c?.p; if (p == 1 || p === 2) {} }",
            "(p) => { let q = { p: 1 }; const f = (x = p) => x; }",
            "(p) => { items.forEach(function (p) { p = {}; }); list.map((p) => { p = 1; }) }",
            "(p) => { { let p = 1; p = 2; } }",
            "({ headers }, c) => { headers = 1 }",
            "() => { p = 1 }",
            "(p) => `${`${p = 1}`}`",
            "(p) => { const { a, p: b = 2 } = p }",
            "function f() { [native code] }",
            "(p) => { unfinished(",
        ] {
            assert_eq!(lint(code), None, "{code}");
        }
    }
}
