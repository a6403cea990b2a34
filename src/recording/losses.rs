//! What a recording lacks, counted by cause, so that a graph never looks more complete than it is.

/// Samples that were due and are not there, or not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Reads of a process that were skipped, because the one before took longer than the time between two.
    pub late: u64,
    /// Reads of a living process that failed, also when tried again.
    pub unreadable: u64,
    /// Stacks without their innermost frames, or none at all, because these changed in every try of a read.
    pub torn: u64,
    /// Stacks thrown away because the recorder could not keep up, or had no room left.
    pub dropped: u64,
    /// Samples whose stack was cut because the table of distinct stacks is full.
    pub truncated: u64,
}

impl Losses {
    /// Every loss by name, in the order in which they are told.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("late", self.late),
            ("unreadable", self.unreadable),
            ("torn", self.torn),
            ("dropped", self.dropped),
            ("truncated", self.truncated),
        ]
    }

    /// All losses together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }

    /// The losses that there are, in words: `3 late, 1 unreadable`; empty when there is none.
    #[must_use]
    pub fn in_words(&self) -> String {
        let told: Vec<String> = self
            .named()
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        told.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_losses_are_told() {
        assert_eq!(Losses::default().in_words(), "");
        let losses = Losses { late: 3, truncated: 1, ..Losses::default() };
        assert_eq!(losses.in_words(), "3 late, 1 truncated");
        assert_eq!(losses.total(), 4);
    }
}
