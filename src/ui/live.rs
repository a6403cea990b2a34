//! The live line: one line on stderr, drawn again five times a second, gone when the run ends.

use std::io::{Write, stderr};
use std::time::Duration;

use crate::sampler::{Progress, Sampler};
use crate::stop::Stop;

/// Between two drawings.
const TURN: Duration = Duration::from_millis(200);

/// Waits for the end, drawing meanwhile if `draw` says so.
pub(super) fn follow(sampler: &Sampler, stop: &Stop, draw: bool) {
    while stop.wait(TURN).is_none() {
        if draw {
            let line: String = line(sampler.rate(), &sampler.progress()).chars().take(width()).collect();
            let _ = write!(stderr(), "\r\x1b[K{line}");
            let _ = stderr().flush();
        }
    }
    if draw {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

/// The characters of a line that the terminal shows without breaking it.
pub(super) fn width() -> usize {
    terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| usize::from(width.0)).saturating_sub(1)
}

fn line(asked: u32, progress: &Progress) -> String {
    format!("{:.0} s · {} · Ctrl+C to write", progress.elapsed.as_secs_f64(), standing(asked, progress))
}

/// How a sampler is doing.
pub(super) fn standing(asked: u32, progress: &Progress) -> String {
    let losses = progress.losses.in_words();
    format!(
        "{} samples, {} idle · {:.0} of {asked} Hz · {} {} · {}",
        progress.samples,
        progress.idle,
        progress.rate_reached(asked),
        progress.processes,
        if progress.processes == 1 { "worker" } else { "workers" },
        if losses.is_empty() { "0 lost" } else { &losses },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Losses;

    #[test]
    fn the_line_tells_rate_and_losses() {
        let progress = Progress {
            elapsed: Duration::from_secs(10),
            samples: 2780,
            idle: 1200,
            processes: 4,
            reads: 980,
            losses: Losses { late: 20, ..Losses::default() },
        };
        assert_eq!(
            line(100, &progress),
            "10 s · 2780 samples, 1200 idle · 98 of 100 Hz · 4 workers · 20 late · Ctrl+C to write"
        );
    }
}
