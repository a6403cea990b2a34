//! Collapsed stacks: a line per distinct stack, outermost frame first, and its count: samples, or microseconds of CPU time. The
//! input of every flamegraph tool.

use std::io::{self, Write};

use super::Report;

/// Writes the lines in the order of their text.
pub(super) fn write(report: &Report<'_>, to: &mut dyn Write) -> io::Result<()> {
    for path in &report.profile.paths {
        writeln!(to, "{} {}", report.profile.line(path), path.count)?;
    }
    Ok(())
}
