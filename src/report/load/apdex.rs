//! How satisfied users were, in one number: the Apdex of the counters that the plugin `apdex` keeps.

use std::collections::BTreeMap;

use super::figures::{decimals, float, share};

/// A score from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apdex {
    /// Satisfied, and half of those who put up with it, of all; to hundredths, as the standard has it.
    pub score: f64,
    /// What the standard calls a score like this.
    pub rank: &'static str,
}

impl Apdex {
    /// The score of `apdex.satisfied`, `.tolerated` and `.frustrated`; `None` when nobody was counted.
    #[must_use]
    pub fn of(counters: &BTreeMap<String, u64>) -> Option<Self> {
        let count = |name: &str| float(counters.get(name).copied().unwrap_or(0));
        let (satisfied, tolerated) = (count("apdex.satisfied"), count("apdex.tolerated"));
        let all = satisfied + tolerated + count("apdex.frustrated");
        let score = (share(satisfied + tolerated / 2.0, all) * 100.0).round() / 100.0;
        (all > 0.0).then(|| Self { score, rank: rank(score) })
    }

    /// The line that Artillery prints.
    #[must_use]
    pub fn line(&self) -> String {
        format!("Apdex score: {} ({})", decimals(self.score, 2), self.rank)
    }
}

fn rank(score: f64) -> &'static str {
    match score {
        _ if score >= 0.94 => "excellent",
        _ if score >= 0.85 => "good",
        _ if score >= 0.7 => "fair",
        _ if score >= 0.5 => "poor",
        _ => "unacceptable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_ranks() {
        let of = |satisfied, tolerated, frustrated| {
            let names = ["apdex.satisfied", "apdex.tolerated", "apdex.frustrated"];
            let counters = names.map(str::to_owned).into_iter().zip([satisfied, tolerated, frustrated]).collect();
            Apdex::of(&counters).map(|apdex| apdex.line())
        };
        assert_eq!(of(94, 0, 6).as_deref(), Some("Apdex score: 0.94 (excellent)"));
        assert_eq!(of(80, 10, 10).as_deref(), Some("Apdex score: 0.85 (good)"));
        assert_eq!(of(60, 20, 20).as_deref(), Some("Apdex score: 0.7 (fair)"));
        assert_eq!(of(0, 1, 0).as_deref(), Some("Apdex score: 0.5 (poor)"));
        assert_eq!(of(0, 0, 1).as_deref(), Some("Apdex score: 0 (unacceptable)"));
        assert_eq!(of(0, 0, 0), None);
    }
}
