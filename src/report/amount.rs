//! The sum of a graph in words, and its unit: samples of this or that, or CPU time. The same words in every output.

use crate::profile::Measure;

/// The sum of a graph: `12 samples`, `1.25 s of CPU time`.
pub(super) fn amount(measure: Measure, total: u64) -> String {
    match measure {
        Measure::Wall => format!("{total} samples"),
        Measure::Gil => format!("{total} samples that held the GIL"),
        Measure::Wait => format!("{total} samples that waited"),
        Measure::Cpu => format!("{} of CPU time", cpu(total)),
    }
}

/// What shares are shares of: `samples`, `CPU time`.
pub(super) const fn noun(measure: Measure) -> &'static str {
    match measure {
        Measure::Wall => "samples",
        Measure::Gil => "samples that held the GIL",
        Measure::Wait => "samples that waited",
        Measure::Cpu => "CPU time",
    }
}

/// Microseconds, to three digits that count: `1.25 s`, `840 ms`, `90 µs`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn cpu(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_told_in_the_unit_that_they_have() {
        assert_eq!(amount(Measure::Wall, 12), "12 samples");
        let cpu = [90, 84_250, 1_254_000].map(|micros| amount(Measure::Cpu, micros));
        assert_eq!(cpu, ["90 µs of CPU time", "84.2 ms of CPU time", "1.25 s of CPU time"]);
        assert_eq!(amount(Measure::Gil, 3), "3 samples that held the GIL");
    }
}
