//! The lines and datagrams that a statsd server takes.
//!
//! Counters are sent as counters, rates and the fields of distributions as gauges, under Artillery's names behind the prefix. Lines
//! are packed together as far as a datagram goes over Ethernet in one piece. Pure.

use super::{Kind, Published};
use crate::scenario::publish::{Dialect, Statsd};

/// Bytes of a datagram that need not be cut in pieces on its way, as the documentation of statsd recommends them.
const LARGEST: usize = 1432;

/// A window, line by line.
#[must_use]
pub fn lines(published: &Published, settings: &Statsd) -> Vec<String> {
    let tags = tags(settings);
    let points = published.points(&settings.selection).into_iter();
    let line = |point: super::Point| {
        let kind = if point.kind == Kind::Counter { "c" } else { "g" };
        let (prefix, value) = (&settings.prefix, point.value);
        let name = clean(&point.name, settings.dialect);
        match settings.dialect {
            Dialect::Statsd => format!("{prefix}{name}:{value}|{kind}{tags}"),
            Dialect::Telegraf => format!("{prefix}{name}{tags}:{value}|{kind}"),
        }
    };
    points.map(line).collect()
}

/// The tags of every line, with what separates them from it.
fn tags(settings: &Statsd) -> String {
    let harmless =
        |tag: &String| tag.replace(|letter: char| matches!(letter, '|' | ',' | '#') || letter.is_control(), "_");
    let tags = settings.tags.iter().map(harmless);
    let (before, tags): (&str, Vec<String>) = match settings.dialect {
        Dialect::Statsd => ("|#", tags.collect()),
        // The first colon parts name and value; a further one would begin the value of the metric.
        Dialect::Telegraf => (",", tags.map(|tag| tag.replacen(':', "=", 1).replace([':', ' '], "_")).collect()),
    };
    if tags.is_empty() { String::new() } else { format!("{before}{}", tags.join(",")) }
}

/// A name without what would end it.
fn clean(name: &str, dialect: Dialect) -> String {
    let ends = |letter: char| {
        matches!(letter, ':' | '|')
            || letter.is_control()
            || (dialect == Dialect::Telegraf && matches!(letter, ',' | '=' | ' '))
    };
    name.replace(ends, "_")
}

/// Lines packed into datagrams. One that is too long for itself has one of its own.
#[must_use]
pub fn datagrams(lines: &[String]) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= LARGEST => {
                last.push('\n');
                last.push_str(line);
            }
            _ => datagrams.push(line.clone()),
        }
    }
    datagrams
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;
    use crate::scenario::publish::Selection;

    fn settings(dialect: Dialect, tags: &[&str]) -> Statsd {
        Statsd {
            host: "127.0.0.1".into(),
            port: 8125,
            prefix: "artillery.".into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            dialect,
            selection: Selection::default(),
        }
    }

    #[test]
    fn each_dialect_has_its_lines() {
        let plain = [
            "artillery.errors.Odd_ a_b_:1|c",
            "artillery.http.codes.200:12|c",
            "artillery.http.response_time.min:1|g",
            "artillery.http.response_time.p95:30.1|g",
            "artillery.http.request_rate:3|g",
        ];
        assert_eq!(lines(&sample(), &settings(Dialect::Statsd, &[])), plain);
        let tagged = lines(&sample(), &settings(Dialect::Statsd, &["team:a", "b|,c"]));
        assert_eq!(tagged[1], "artillery.http.codes.200:12|c|#team:a,b__c");
        let telegraf = lines(&sample(), &settings(Dialect::Telegraf, &["team:a:b", "b|,c"]));
        assert_eq!(telegraf[0], "artillery.errors.Odd__a_b_,team=a_b,b__c:1|c");
    }

    proptest::proptest! {
        #[test]
        fn datagrams_hold_all_lines_in_order(lengths in proptest::collection::vec(1_usize..2000, 0..40)) {
            let lines: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let datagrams = datagrams(&lines);
            let unpacked: Vec<&str> = datagrams.iter().flat_map(|datagram| datagram.split('\n')).collect();
            proptest::prop_assert_eq!(unpacked, lines);
            proptest::prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= LARGEST || !datagram.contains('\n')));
        }
    }
}
