//! A phase of the load: how long, and how virtual users arrive in it.

use std::time::Duration;

use super::finding::Findings;
use super::length::{self, Given};
use super::node::{Kind, Node};
use super::section::{Section, count, number, text};
use super::source::Span;

/// The most users that a script may let arrive in one second.
const FASTEST: f64 = 1e6;

/// A stretch of time with one way of arriving.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// How long it lasts.
    pub length: Duration,
    /// How users arrive.
    pub arrivals: Arrivals,
    /// At so many active users, further arrivals are dropped and counted.
    pub most_users: Option<u64>,
    /// Where it is written.
    pub span: Span,
}

/// How users arrive in a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Nobody arrives.
    None,
    /// So many, spread evenly.
    Count(u64),
    /// So many a second, spread evenly.
    Rate(f64),
    /// So many a second on average, each by chance.
    Poisson(f64),
    /// From so many a second to so many, second by second.
    Ramp {
        /// In the first second.
        from: f64,
        /// In the last second.
        to: f64,
    },
}

impl Arrivals {
    /// How users arrive, in words: `20 users/s`, `1 to 20 users/s`; empty where nobody does.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Count(1) => "1 user".into(),
            Self::Count(count) => format!("{count} users"),
            Self::Rate(1.0) => "1 user/s".into(),
            Self::Rate(rate) => format!("{rate} users/s"),
            Self::Poisson(rate) => format!("about {rate} users/s"),
            Self::Ramp { from, to } => format!("{from} to {to} users/s"),
        }
    }
}

impl Phase {
    /// One user at once: what runs when a script has no phases, or with `--solo`.
    #[must_use]
    pub fn solo() -> Self {
        let (length, arrivals) = (Duration::ZERO, Arrivals::Count(1));
        Self { name: None, length, arrivals, most_users: None, span: Span::default() }
    }

    /// The name, or its number among the phases.
    #[must_use]
    pub fn label(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("phase {}", index + 1))
    }
}

/// Reads `config.phases`; `poisson` is the script's own default of `mode`.
pub fn read_all(node: &Node, poisson: bool, findings: &mut Findings) -> Vec<Phase> {
    let Kind::List(nodes) = &node.kind else {
        findings.error(node.span, "`phases` is a list", &format!("this is {}", node.what()));
        return Vec::new();
    };
    nodes.iter().filter_map(|node| read(node, poisson, findings)).collect()
}

fn read(node: &Node, poisson: bool, findings: &mut Findings) -> Option<Phase> {
    let mut section = Section::of(node, "a phase", findings)?;
    let name = section.take("name").and_then(|node| text(node, "the name of a phase", findings));
    let pause = section.take("pause");
    let duration = section.take("duration");
    let fixed = section.take("arrivalCount").map(|node| count(node, "arrivalCount", findings));
    let written = section.take("arrivalRate");
    let from = written.map(|node| rate(node, "arrivalRate", findings));
    let to = section.take("rampTo").map(|node| rate(node, "rampTo", findings));
    let most_users = section.take("maxVusers").and_then(|node| count(node, "maxVusers", findings));
    let poisson = section.take("mode").map_or(poisson, |node| is_poisson(node, findings));
    let span = section.span();
    let slips = section.end(findings);
    let duration = match duration {
        None if slips.contains(&"duration") => return None,
        duration => duration,
    };

    let (length, arrivals) = match (pause, fixed, from, to) {
        (Some(pause), ..) => (pause, Arrivals::None),
        (None, Some(count), ..) => (lasting(duration, span, findings)?, Arrivals::Count(count?)),
        (None, None, Some(rate), None) => {
            let arrivals = steady(rate?, poisson, written.map_or(span, |node| node.span), span, findings);
            (lasting(duration, span, findings)?, arrivals)
        }
        (None, None, from, Some(to)) => {
            (lasting(duration, span, findings)?, Arrivals::Ramp { from: from.unwrap_or(Some(0.0))?, to: to? })
        }
        (None, None, None, None) if slips.iter().any(|key| WAYS.contains(key)) => return None,
        (None, None, None, None) => {
            let duration = lasting(duration, span, findings)?;
            say_idle(span, findings);
            (duration, Arrivals::None)
        }
    };
    let length = length_of(length, findings)?;
    Some(Phase { name, length, arrivals, most_users, span })
}

/// The keys that say how users arrive.
const WAYS: [&str; 4] = ["arrivalRate", "arrivalCount", "rampTo", "pause"];

/// What a constant rate means.
fn steady(rate: f64, poisson: bool, written: Span, phase: Span, findings: &mut Findings) -> Arrivals {
    if rate == 0.0 {
        say_idle(phase, findings);
        return Arrivals::None;
    }
    if rate.fract() != 0.0 {
        let beside = "Artillery 2 breaks off at it";
        findings.changed(written, "a fraction of `arrivalRate` is taken as written", beside);
    }
    if poisson { Arrivals::Poisson(rate) } else { Arrivals::Rate(rate) }
}

fn say_idle(span: Span, findings: &mut Findings) {
    let beside = "Artillery leaves it out; users come by arrivalRate, arrivalCount or rampTo";
    findings.changed(span, "nobody arrives in this phase, which passes as a pause", beside);
}

fn lasting<'a>(duration: Option<&'a Node>, span: Span, findings: &mut Findings) -> Option<&'a Node> {
    if duration.is_none() {
        findings.error(span, "this phase has no `duration`", "such as 60, \"90s\" or \"5m\"");
    }
    duration
}

fn length_of(node: &Node, findings: &mut Findings) -> Option<Duration> {
    let given = match &node.kind {
        Kind::Number(number) => Given::Number(number.as_f64().unwrap_or(f64::NAN)),
        Kind::Text(text) => Given::Text(text),
        _ => {
            findings.error(node.span, "a length of time is a number of seconds or a text", "");
            return None;
        }
    };
    if matches!(given, Given::Number(seconds) if seconds.fract() != 0.0) {
        findings.changed(node.span, "a fraction of a second is taken as written", "Artillery refuses it");
    }
    length::phase_length(given).map_err(|error| findings.error(node.span, error.to_string(), "")).ok()
}

fn rate(node: &Node, what: &str, findings: &mut Findings) -> Option<f64> {
    let rate = number(node, what, findings)?;
    if !(0.0..=FASTEST).contains(&rate) {
        findings.error(node.span, format!("{what} is 0 or more, and at most {FASTEST}"), "");
        return None;
    }
    Some(rate)
}

/// Reads `mode`.
pub fn is_poisson(node: &Node, findings: &mut Findings) -> bool {
    match node.as_text() {
        Some("uniform") => false,
        Some("poisson") => true,
        _ => {
            findings.error(node.span, "`mode` is `uniform` or `poisson`", "");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn phase(value: &Value) -> Result<Phase, Vec<String>> {
        let mut findings = Findings::default();
        let node = Node::of_value(json!([value.clone()]), Span::default());
        let phases = read_all(&node, false, &mut findings);
        match phases.into_iter().next() {
            Some(phase) if !findings.has_errors() => Ok(phase),
            _ => Err(findings.sorted().iter().map(|finding| finding.sentence.clone()).collect()),
        }
    }

    #[test]
    fn arrivals_are_told_in_words() {
        let told = [
            Arrivals::None,
            Arrivals::Count(30),
            Arrivals::Rate(2.5),
            Arrivals::Poisson(20.0),
            Arrivals::Ramp { from: 1.0, to: 20.0 },
        ];
        let words = ["", "30 users", "2.5 users/s", "about 20 users/s", "1 to 20 users/s"];
        assert_eq!(told.map(Arrivals::words), words);
    }

    #[test]
    fn each_way_of_arriving() {
        let of = |value| phase(&value).map(|phase| (phase.length.as_millis(), phase.arrivals));
        assert_eq!(of(json!({"pause": 5, "arrivalRate": 3})), Ok((5000, Arrivals::None)));
        assert_eq!(of(json!({"duration": "1m", "arrivalCount": 20})), Ok((60_000, Arrivals::Count(20))));
        assert_eq!(of(json!({"duration": 1.5, "arrivalRate": "0.5"})), Ok((1500, Arrivals::Rate(0.5))));
        assert_eq!(of(json!({"duration": 2, "arrivalRate": 0})), Ok((2000, Arrivals::None)));
        assert_eq!(of(json!({"duration": 2, "arrivalRate": 9, "mode": "poisson"})), Ok((2000, Arrivals::Poisson(9.0))));
        assert_eq!(of(json!({"duration": 2})), Ok((2000, Arrivals::None)));
        let ramp = Arrivals::Ramp { from: 0.0, to: 10.0 };
        assert_eq!(of(json!({"duration": 2, "rampTo": 10})), Ok((2000, ramp)));
        assert_eq!(
            phase(&json!({"duration": 2, "arrivalRate": 1, "maxVusers": "0"})).map(|p| p.most_users),
            Ok(Some(0))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let first = |value| phase(&value).err().and_then(|told| told.into_iter().next()).unwrap_or_default();
        assert_eq!(first(json!({})), "this phase has no `duration`");
        assert_eq!(first(json!({"arrivalRate": 5})), "this phase has no `duration`");
        assert_eq!(first(json!({"duration": 5, "arivalRate": 5})), "unknown key `arivalRate`");
        assert!(first(json!({"duration": 0, "arrivalRate": 5})).contains('0'));
        assert!(first(json!({"duration": 5, "arrivalRate": -1})).contains("0 or more"));
        assert!(first(json!({"duration": 5, "arrivalRate": 1, "maxVusers": "many"})).contains("number"));
    }
}
