//! How the reports on samples write shares and foreign names: the same way everywhere, at most a hundred columns wide.

use std::fmt::Write;

use crate::printable::printable;

/// The widest line of text that is written.
pub(super) const WIDTH: usize = 100;

/// A count, to be divided.
#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// `part` of `whole`, zero when there is no whole.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

/// A share in percent: `12.3 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A difference of shares in points of a percent: `+12.3`, `-0.4`, `0.0`.
pub(super) fn points(difference: f64) -> String {
    let text = format!("{:+.1}", 100.0 * difference);
    if text == "-0.0" || text == "+0.0" { "0.0".to_owned() } else { text }
}

/// One line of at most `width` characters, fit to be shown, cut at its end.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() { printable(text, width) } else { printable(text, width.saturating_sub(1)) }
}

/// As [`clip`], cut at its beginning: of a path the end tells most.
pub(super) fn clip_front(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return printable(text, width);
    }
    let kept: String = text.chars().skip(length - width.saturating_sub(1)).collect();
    format!("…{}", printable(&kept, width))
}

/// Sentences, each broken at spaces where it gets too wide; further lines are set in, by two more than the first.
pub(super) fn wrap(out: &mut String, sentence: &str) {
    let set_in = sentence.chars().take_while(|letter| *letter == ' ').count();
    let margin = " ".repeat(set_in);
    out.push_str(&margin);
    let mut length = 0;
    for word in sentence.trim_start_matches(' ').split(' ') {
        let word = clip(word, WIDTH - 4);
        let more = word.chars().count();
        if length > 0 && set_in + length + 1 + more > WIDTH {
            let _ = write!(out, "\n{margin}  ");
            length = 2;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(&word);
        length += more;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_written_to_a_tenth_of_a_percent() {
        assert_eq!([percent(0.1234), percent(1.0), percent(share(1, 0))], ["12.3 %", "100.0 %", "0.0 %"]);
        assert_eq!([points(0.1234), points(-0.004), points(-0.0001)], ["+12.3", "-0.4", "0.0"]);
    }

    #[test]
    fn a_path_is_cut_at_its_beginning() {
        assert_eq!([clip_front("a/b/c.py", 8), clip_front("a/b/c.py", 5)], ["a/b/c.py", "…c.py"]);
        assert_eq!(clip("function", 5), "func…");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in ".{0,60}", width in 1_usize..40) {
            prop_assert!(clip(&text, width).chars().count() <= width);
            prop_assert!(clip_front(&text, width).chars().count() <= width);
        }
    }
}
