//! Makes text from outside fit to be shown: in a line of output, on a terminal, in a picture.
//!
//! Names come from other processes' memory and command lines and may hold anything: escape sequences that repaint root's
//! terminal, line ends, marks that turn the direction of what follows, a megabyte of text.

/// One line of at most `longest` characters without control characters, marks of direction and characters that XML forbids.
#[must_use]
pub fn printable(text: &str, longest: usize) -> String {
    let harmless = |letter: char| if is_harmless(letter) { letter } else { '\u{fffd}' };
    let mut line: String = text.chars().take(longest).map(harmless).collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

const fn is_harmless(letter: char) -> bool {
    !matches!(
        letter,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fffe}' | '\u{ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_harm_is_replaced_and_what_is_long_is_cut() {
        assert_eq!(printable("naïve – 名前", 40), "naïve – 名前");
        assert_eq!(
            printable("a\u{1b}]0;x\u{7}\n\u{202e}b\u{ffff}", 40),
            "a\u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}b\u{fffd}"
        );
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
