//! Phase against phase: a differential flamegraph, and a table of the functions whose share changed.
//!
//! Phases last unequally long, so the graph is normalised by time: what it counts is the time that threads spent in a
//! stack per second of the phase, or the CPU time that they used. The table compares shares of samples or of CPU time, and
//! says of each whether it is more than noise.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::amount::amount;
use super::columns::{WIDTH, clip, clip_front, percent, points, wrap};
use super::flamegraph;
use crate::profile::compare::{Shift, Verdict, compare};
use crate::profile::hot::{Functions, heat};
use crate::profile::{Level, Measure, Path, Profile, Selection, View, phase_length, phase_titles};
use crate::recording::Recording;

/// As much of a phase's title as a graph has room for, in characters.
const LONGEST_TITLE: usize = 50;
/// Functions that a table shows.
const MOST_FUNCTIONS: usize = 40;

/// Two phases of a recording that stand against each other.
#[derive(Clone, Debug)]
pub struct Diff<'a> {
    recording: &'a Recording,
    before: Side,
    after: Side,
    only: Option<String>,
}

/// One of the two phases.
#[derive(Clone, Debug)]
struct Side {
    number: usize,
    title: String,
    seconds: f64,
}

impl<'a> Diff<'a> {
    /// The phases of these numbers; `None` when the recording does not have both, or when one took no time.
    #[must_use]
    pub fn of(recording: &'a Recording, before: usize, after: usize) -> Option<Self> {
        let mut titles = phase_titles(&recording.timeline);
        let mut side = |number: usize| {
            let seconds = phase_length(recording.timeline.phases.get(number)?).as_secs_f64();
            let title = titles.get_mut(number)?.clone();
            (seconds > 0.0).then_some(Side { number, title, seconds })
        };
        Some(Self { recording, before: side(before)?, after: side(after)?, only: None })
    }

    /// The same of a recording in which some samples are left out; the text says which were kept.
    #[must_use]
    pub fn only(mut self, kept: Option<String>) -> Self {
        self.only = kept;
        self
    }

    /// Draws the flamegraph of the later phase, coloured by what became of each function's own time since the earlier one.
    ///
    /// The view's levels are kept but for the phase, and its selection but for the phase.
    ///
    /// # Errors
    ///
    /// When the writer fails, or when the later phase has no sample that counts: there is nothing to draw.
    pub fn flamegraph(&self, view: &View, to: &mut dyn Write) -> io::Result<()> {
        let fold = |side: &Side| {
            let mut view = view.clone();
            view.levels.retain(|level| *level != Level::Phase);
            view.selection.phase = Some(side.number);
            Profile::of(self.recording, &view)
        };
        let (before, after) = (fold(&self.before), fold(&self.after));
        if after.total == 0 {
            let title = &self.after.title;
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no sample counts in the phase {title}")));
        }
        let [is, was] = [&self.after, &self.before].map(|side| clip(&side.title, LONGEST_TITLE));
        let title = format!("{is} against {was} · normalised by time");
        let only = self.only.as_ref().map_or_else(String::new, |only| format!(" · {only}"));
        let measure = view.selection.measure;
        let (what, micros_of_one) = match measure {
            Measure::Cpu => ("CPU time", 1.0),
            Measure::Wall | Measure::Gil | Measure::Wait => {
                ("threads", 1e6 / f64::from(self.recording.run.rate.max(1)))
            }
        };
        let (widths, is) =
            (if measure == Measure::Cpu { what } else { "time of threads" }, amount(measure, after.total));
        // `2000 against 1000 samples` where both have one unit.
        let against = match measure {
            Measure::Cpu => format!("{is} against {}", amount(measure, before.total)),
            _ => format!("{} against {}", after.total, amount(measure, before.total)),
        };
        let subtitle = format!(
            "{against}{only} · widths: {widths} in the former, per second of it · a function's own time: \
             red grew, blue shrank"
        );
        let micros = |count: u64, side: &Side| scaled(count, micros_of_one / side.seconds);
        let lines = side_by_side(&before, &after).into_iter();
        let lines = lines.map(|(line, was, is)| (line, micros(was, &self.before), micros(is, &self.after))).collect();
        flamegraph::write_differential(title, subtitle, lines, what, to)
    }

    /// The functions whose share of samples changed, those first that changed for sure.
    #[must_use]
    pub fn table(&self, selection: &Selection) -> String {
        let functions = Functions::of(&self.recording.stacks);
        let heats = heat(self.recording, &functions, selection);
        let (Some(before), Some(after)) = (heats.get(self.before.number), heats.get(self.after.number)) else {
            return String::new();
        };
        let mut out = String::new();
        for (name, side, heat) in [("A", &self.before, before), ("B", &self.after, after)] {
            let _ = writeln!(
                out,
                "{name}  {}",
                clip(&format!("{} · {}", side.title, amount(selection.measure, heat.all.weight)), WIDTH - 3)
            );
        }
        if let Some(only) = &self.only {
            wrap(&mut out, &format!("Samples: {only}."));
        }
        let changes = compare(before, after);
        for (heading, pick) in [("in it or below it", Pick::Total), ("in the function itself", Pick::Own)] {
            out.push('\n');
            let rows: Vec<(String, Shift)> = changes
                .iter()
                .filter_map(|change| {
                    let function = functions.get(change.function)?;
                    let shift = if pick == Pick::Own { change.own } else { change.total };
                    Some((named(&function.name, function.place()), shift))
                })
                .filter(|(_, shift)| shift.before.max(shift.after) > 0.0)
                .collect();
            section(&mut out, &format!("{} {heading}", heading_of(selection.measure)), rows);
        }
        out
    }
}

/// What the table shows shares of, at the beginning of a line.
const fn heading_of(measure: Measure) -> &'static str {
    match measure {
        Measure::Wall => "Samples",
        Measure::Gil => "Samples with the GIL",
        Measure::Wait => "Samples that waited",
        Measure::Cpu => "CPU time",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pick {
    Own,
    Total,
}

/// Columns of a function's name and of its file.
const NAME: usize = 28;
const FILE: usize = 27;

fn named(name: &str, file: &str) -> String {
    format!("{:NAME$}  {:FILE$}", clip(name, NAME), clip_front(file, FILE))
}

/// One table: what changed, largest sure change first, and one line for all that did not.
fn section(out: &mut String, heading: &str, mut rows: Vec<(String, Shift)>) {
    // Stable: what is alike keeps the order of the comparison.
    rows.sort_by(|(_, one), (_, other)| {
        let key = |shift: &Shift| shift.verdict == Verdict::NoChange;
        key(one).cmp(&key(other)).then(other.change().abs().total_cmp(&one.change().abs()))
    });
    let _ = writeln!(
        out,
        "{:width$}  {:>7}  {:>7}  {:>6}  {:>15}",
        heading,
        "A",
        "B",
        "change",
        "95 % interval",
        width = NAME + 2 + FILE
    );
    for (name, shift) in rows.iter().take(MOST_FUNCTIONS) {
        let interval = format!("{} … {}", points(shift.low), points(shift.high));
        let change = if shift.verdict == Verdict::NoChange { "~".to_owned() } else { points(shift.change()) };
        let _ = writeln!(
            out,
            "{name}  {:>7}  {:>7}  {change:>6}  {interval:>15}",
            percent(shift.before),
            percent(shift.after)
        );
    }
    if rows.len() > MOST_FUNCTIONS {
        let _ = writeln!(out, "and {} more", rows.len() - MOST_FUNCTIONS);
    }
    if rows.iter().all(|(_, shift)| shift.verdict == Verdict::NoChange) {
        wrap(out, "No change is larger than the noise.");
    } else if rows.iter().take(MOST_FUNCTIONS).any(|(_, shift)| shift.verdict == Verdict::NoChange) {
        wrap(out, "~ no change that is larger than the noise");
    }
}

/// The paths of both profiles, in order, with the samples before and after.
fn side_by_side(before: &Profile, after: &Profile) -> Vec<(String, u64, u64)> {
    let mut lines = Vec::new();
    let (mut was, mut is) = (before.paths.iter().peekable(), after.paths.iter().peekable());
    loop {
        let order = match (was.peek(), is.peek()) {
            (None, None) => return lines,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => before.order(one).cmp(after.order(other)),
        };
        let was = if order.is_le() { was.next() } else { None };
        let is = if order.is_ge() { is.next() } else { None };
        let count = |path: Option<&Path>| path.map_or(0, |path| path.count);
        let line = is.map(|path| after.line(path)).or_else(|| was.map(|path| before.line(path)));
        lines.push((line.unwrap_or_default(), count(was), count(is)));
    }
}

/// A count times a factor, as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the cast saturates; counts beyond 2^53 are out of reach"
)]
fn scaled(count: u64, factor: f64) -> u64 {
    // inferno sums these up in 64 bits.
    ((count as f64 * factor).round() as u64).min(1 << 40)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::profile::synthetic::{phase, recording, sample};
    use crate::profile::{FrameStyle, Leaves};
    use crate::recording::State;

    /// 10 s in which `view` is `fast` for 70 of 100 samples and `slow` for 30, then 20 s with 30 and 70.
    fn two_phases() -> Recording {
        let mut recording = recording(1);
        phase(&mut recording, "Warm up", "2 users/s", 10_000);
        phase(&mut recording, "Sustained <max> load 20", "20 users/s", 20_000);
        recording.length = Duration::from_secs(30);
        for tick in 0..3000_u64 {
            let fast = if tick < 1000 { 7 } else { 3 };
            // Every tenth of the sequence comes in another order, so that runs are short.
            let function = if (tick * 7 + tick / 10) % 10 < fast { "fast" } else { "slow;\u{1b}[31m" };
            sample(&mut recording, 1, tick * 10, State::Running, &["view@7", function]);
        }
        recording
    }

    const TABLE: &str = "\
A  Warm up · 2 users/s · 10 s · 1000 samples
B  Sustained <max> load 20 · 20 users/s · 20 s · 2000 samples

Samples in it or below it                                        A        B  change    95 % interval
fast                          app.py                        70.0 %   30.0 %   -40.0    -43.4 … -36.4
slow;\u{fffd}[31m                    app.py                        30.0 %   70.0 %   +40.0    +36.4 … +43.4
view                          app.py                       100.0 %  100.0 %       ~      -0.3 … +0.7
~ no change that is larger than the noise

Samples in the function itself                                   A        B  change    95 % interval
fast                          app.py                        70.0 %   30.0 %   -40.0    -43.4 … -36.4
slow;\u{fffd}[31m                    app.py                        30.0 %   70.0 %   +40.0    +36.4 … +43.4
";

    /// Per second `fast` goes from 700 ms to 300 ms.
    const FRAMES: &str = "\
fast (app.py:1) (300,000 µs of threads per second, 30.00%; -40.00%) rgb(100,100,255)
all (1,000,000 µs of threads per second, 100%) rgb(250,250,250)
worker 11 (1,000,000 µs of threads per second, 100.00%; 0.00%) rgb(250,250,250)
view (app.py:7) (1,000,000 µs of threads per second, 100.00%; 0.00%) rgb(250,250,250)
slow,\u{fffd}[31m (app.py:1) (700,000 µs of threads per second, 70.00%; +40.00%) rgb(255,100,100)
";

    fn view() -> View {
        let style = FrameStyle { lines: true, full_files: false };
        View {
            selection: Selection::default(),
            levels: vec![Level::Phase, Level::Worker],
            style,
            leaves: Leaves::Frames,
        }
    }

    fn drawn(recording: &Recording, before: usize, after: usize) -> String {
        let mut bytes = Vec::new();
        let diff = Diff::of(recording, before, after).expect("both are there");
        diff.flamegraph(&view(), &mut bytes).expect("there are samples");
        String::from_utf8(bytes).expect("an SVG is text")
    }

    #[test]
    fn the_table_reads_like_this() {
        let recording = two_phases();
        let table = Diff::of(&recording, 0, 1).expect("both are there").table(&Selection::default());
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert_eq!(table, TABLE);
    }

    #[test]
    fn a_phase_against_itself_has_not_changed() {
        let table = Diff::of(&two_phases(), 1, 1).expect("it is there").table(&Selection::default());
        assert!(table.contains("No change is larger than the noise."), "{table}");
    }

    #[test]
    fn only_phases_that_took_time_can_be_compared() {
        let mut recording = two_phases();
        phase(&mut recording, "empty", "", 0);
        assert!(Diff::of(&recording, 0, 2).is_none() && Diff::of(&recording, 0, 3).is_none());
        phase(&mut recording, "quiet", "", 10);
        let error = Diff::of(&recording, 0, 3).map(|diff| diff.flamegraph(&view(), &mut Vec::new()));
        assert!(error.is_some_and(|drawn| drawn.is_err_and(|error| error.to_string().contains("quiet · 0 s"))));
        assert!(!Diff::of(&recording, 0, 3).expect("it took time").table(&Selection::default()).is_empty());
    }

    /// The frames of an SVG: what they say when pointed at, and their colour.
    fn told(svg: &str) -> String {
        let frames = svg.split("<title>").skip(1).filter_map(|frame| {
            let (title, rest) = frame.split_once("</title>")?;
            let (_, rest) = rest.split_once("fill=\"")?;
            Some(format!("{title} {}\n", rest.split_once('"')?.0))
        });
        frames.collect()
    }

    #[test]
    fn the_graph_is_normalised_by_time() {
        let svg = drawn(&two_phases(), 0, 1);
        assert_eq!(told(&svg), FRAMES);
        let title =
            "Sustained &lt;max&gt; load 20 · 20 users/s · 20 s against Warm up · 2 users/s · 10 s · normalised by time";
        assert!(svg.contains(title), "{svg}");
        assert!(svg.contains("2000 against 1000 samples"));
        // The other way round what grew has shrunk.
        assert!(told(&drawn(&two_phases(), 1, 0)).contains("rgb(100,100,255)"));
    }

    #[test]
    fn what_only_one_phase_has_is_there_with_zero() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "", 10);
        phase(&mut recording, "b", "", 10);
        sample(&mut recording, 1, 0, State::Running, &["view", "gone"]);
        sample(&mut recording, 1, 5, State::Running, &["view", "kept"]);
        sample(&mut recording, 1, 10, State::Running, &["view", "kept"]);
        sample(&mut recording, 1, 15, State::Running, &["new"]);
        let fold = |phase| {
            let mut view = view();
            view.levels.clear();
            view.style.lines = false;
            view.selection.phase = Some(phase);
            Profile::of(&recording, &view)
        };
        let lines = side_by_side(&fold(0), &fold(1));
        let expected =
            [("new (app.py)", 0, 1), ("view (app.py);gone (app.py)", 1, 0), ("view (app.py);kept (app.py)", 1, 1)];
        assert_eq!(lines, expected.map(|(line, was, is)| (line.to_owned(), was, is)));
    }
}
