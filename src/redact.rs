//! Takes secrets out of values that are about to be shown: local variables, headers, addresses, and what they hold.
//!
//! Two rules. A name that sounds like a secret hides its whole value. And inside a value, what follows such a name as a key
//! (`'HTTP_COOKIE': '…'`, `password=…`), a `Bearer` or `Basic` word, or the user part of a URL is hidden up to its end.

/// What stands in place of a secret.
pub const HIDDEN: &str = "<hidden>";

/// Parts of names that announce a secret, in lower case.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "cookie",
    "authorization",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
    "credential",
    "session_id",
    "sessionid",
    "jwt",
    "bearer",
];

/// A local variable's value, fit to be shown.
#[must_use]
pub fn value(name: &str, value: &str) -> String {
    if is_secret(name) { HIDDEN.into() } else { text(value) }
}

/// Whether a name announces a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    // `pass` is one as a word of its own, which it is not in `bypass` or `passengers`.
    let has_pass = || name.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == "pass");
    SECRET.iter().any(|part| name.contains(part)) || has_pass()
}

/// Hides what follows a secret's name inside a text.
#[must_use]
pub fn text(value: &str) -> String {
    let mut shown = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(word) = next_word(rest) {
        let (before, after) = rest.split_at(word.end);
        shown.push_str(before);
        rest = after;
        let name = &before[word.start..];
        if is_url_scheme(name, rest) {
            rest = hide_user_part(rest, &mut shown);
        } else if matches!(name, "Bearer" | "Basic") && rest.starts_with(' ') {
            shown.push(' ');
            rest = hide_until(&rest[1..], &mut shown, |letter| letter.is_whitespace() || "'\",;)}]".contains(letter));
        } else if is_secret(name) {
            rest = hide_assigned(rest, &mut shown);
        }
    }
    shown.push_str(rest);
    shown
}

struct Word {
    start: usize,
    end: usize,
}

fn next_word(text: &str) -> Option<Word> {
    let of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let start = text.find(of_word)?;
    let length = text[start..].find(|letter| !of_word(letter)).unwrap_or(text.len() - start);
    Some(Word { start, end: start + length })
}

fn is_url_scheme(name: &str, rest: &str) -> bool {
    rest.starts_with("://") && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
}

/// `://user:password@host` becomes `://<hidden>@host`.
fn hide_user_part<'a>(rest: &'a str, shown: &mut String) -> &'a str {
    let end = rest[3..].find(|letter: char| letter.is_whitespace() || "/'\"?#".contains(letter));
    let authority = &rest[3..end.map_or(rest.len(), |end| end + 3)];
    shown.push_str("://");
    match authority.rfind('@') {
        Some(at) => {
            shown.push_str(HIDDEN);
            &rest[3 + at..]
        }
        None => &rest[3..],
    }
}

/// Hides the value behind `name`, `'name':`, `name=` or `name: `; leaves a name that nothing is assigned to.
fn hide_assigned<'a>(rest: &'a str, shown: &mut String) -> &'a str {
    let bare = rest.trim_start_matches(['\'', '"']);
    let bare = bare.trim_start();
    let Some(assigned) = bare.strip_prefix([':', '=', ',']) else {
        return rest;
    };
    let assigned = assigned.trim_start();
    let assigned = assigned.strip_prefix('b').filter(|bytes| bytes.starts_with(['\'', '"'])).unwrap_or(assigned);
    shown.push_str(&rest[..rest.len() - assigned.len()]);
    match assigned.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            shown.push(quote);
            hide_until(&assigned[1..], shown, |letter| letter == quote)
        }
        Some('[' | '{' | '(') => hide_bracket(assigned, shown),
        // `Cookie: a=1; b=2` goes on to the end of its line or of the text around it, `token=1&page=2` does not.
        _ if bare.starts_with(':') => hide_line(assigned, shown),
        _ => hide_until(assigned, shown, |letter| ",;&)}] \r\n'\"".contains(letter)),
    }
}

/// Hides a list, a dictionary or a tuple with all that it holds; to the end, where it was cut off.
fn hide_bracket<'a>(rest: &'a str, shown: &mut String) -> &'a str {
    shown.push_str(HIDDEN);
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (at, letter) in rest.char_indices() {
        match (quote, letter) {
            (Some(_), _) if escaped => {}
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth -= 1,
            _ => {}
        }
        escaped = !escaped && letter == '\\';
        if depth == 0 {
            return &rest[at + letter.len_utf8()..];
        }
    }
    ""
}

/// Hides up to the end of a header's line, which a value's text shows as it is or escaped, or of the quotes around it.
fn hide_line<'a>(rest: &'a str, shown: &mut String) -> &'a str {
    shown.push_str(HIDDEN);
    let ends = ["\r", "\n", "\\r", "\\n", "'", "\""];
    let end = ends.iter().filter_map(|end| rest.find(end)).min();
    &rest[end.unwrap_or(rest.len())..]
}

fn hide_until<'a>(rest: &'a str, shown: &mut String, ends: impl Fn(char) -> bool) -> &'a str {
    shown.push_str(HIDDEN);
    let mut escaped = false;
    for (at, letter) in rest.char_indices() {
        if !escaped && ends(letter) {
            return &rest[at..];
        }
        escaped = !escaped && letter == '\\';
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_s_name_hides_its_value() {
        assert_eq!(value("access_token", "'eyJ0'"), HIDDEN);
        assert_eq!(value("PASSWORD", "'hunter2'"), HIDDEN);
        assert_eq!(value("db_pass", "'hunter2'"), HIDDEN);
        assert_eq!(value("passengers", "'2'"), "'2'");
        assert_eq!(value("path", "'/appointments'"), "'/appointments'");
    }

    #[test]
    fn secrets_inside_a_value_are_hidden() {
        let cases = [
            (
                "{'HTTP_AUTHORIZATION': 'Bearer abc.def', 'PATH_INFO': '/x'}",
                "{'HTTP_AUTHORIZATION': '<hidden>', 'PATH_INFO': '/x'}",
            ),
            ("{'HTTP_COOKIE': 'sid=1; a=\\'b\\'', 'n': 1}", "{'HTTP_COOKIE': '<hidden>', 'n': 1}"),
            ("'Basic dXNlcjpw'", "'Basic <hidden>'"),
            ("'postgres://app:pw@db/booking'", "'postgres://<hidden>@db/booking'"),
            ("'https://example.org/a?api_key=123&page=2'", "'https://example.org/a?api_key=<hidden>&page=2'"),
            ("[('Cookie', 'sid=1'), ('Accept', '*/*')]", "[('Cookie', '<hidden>'), ('Accept', '*/*')]"),
            ("(b'cookie', b'sid=1')", "(b'cookie', b'<hidden>')"),
            ("'the cookie jar'", "'the cookie jar'"),
            (
                "'GET / HTTP/1.1\\r\\nCookie: a=1; sid=TOP\\r\\nHost: x'",
                "'GET / HTTP/1.1\\r\\nCookie: <hidden>\\r\\nHost: x'",
            ),
            (
                "{\"secrets\": [\"TOP1\", \"TOP2]\"], \"password\": {\"a\": \"TOP3\", \"b\": (1, 2)}, \"n\": 1}",
                "{\"secrets\": <hidden>, \"password\": <hidden>, \"n\": 1}",
            ),
            ("{'tokens': ['cut off', 'in", "{'tokens': <hidden>"),
            ("{'token': 'cut off in the mid", "{'token': '<hidden>"),
        ];
        for (given, shown) in cases {
            assert_eq!(text(given), shown);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_fail(given in ".{0,200}") {
            let _ = text(&given);
        }
    }
}
