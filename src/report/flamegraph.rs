//! The flamegraph: an SVG with search and zoom, drawn by inferno. The only file that names it.
//!
//! Frames take their colour from whose code they are, and a shade of it from their name, so that the same function looks
//! the same in every graph.

use std::borrow::Cow;
use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_lines};

use super::Report;
use crate::profile::{Label, Leaves, Measure, Origin, Path};

/// What the colours mean, for the subtitle.
const LEGEND: &str = "colours: app orange, libraries blue, gunicorn green, standard library grey";

/// The same for what stands at the end of a stack that waits.
const STATES: &str = ", waiting violet";

/// From so many microseconds on a graph of CPU time tells whole milliseconds: the shares that inferno writes are of these.
const MILLISECONDS: u64 = 100_000_000;

/// The colour of all that is no frame.
const LEVEL: Color = Color { r: 205, g: 205, b: 225 };

/// Draws the report, outermost frames on top.
pub(super) fn write(report: &Report<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut palette = PaletteMap::default();
    for label in report.profile.labels() {
        palette.insert(&label.text, color(label));
        palette.insert(plain(&label.text), color(label));
    }
    // The root, which has no name here, would otherwise be a hot red.
    palette.insert("", LEVEL);
    let states = if report.view.leaves == Leaves::States { STATES } else { "" };
    let mut options = options(report.title(), format!("{} · {LEGEND}{states}", report.subtitle()));
    if report.view.selection.measure == Measure::Cpu {
        let (unit, factor) = if report.profile.total < MILLISECONDS { ("µs", 1.0) } else { ("ms", 1e-3) };
        options.count_name = format!("{unit} of CPU time");
        options.factor = factor;
    }
    options.palette_map = Some(&mut palette);
    let line = |path: &Path| format!("{} {}", plain(&report.profile.line(path)), path.count);
    draw(options, report.profile.paths.iter().map(line), to)
}

/// Draws what changed. Each line comes with its microseconds per second before and after, of what the words say; the widths are those after, and
/// a frame is red where it grew and blue where it shrank, not counting what it calls.
pub(super) fn write_differential(
    title: String,
    subtitle: String,
    lines: Vec<(String, u64, u64)>,
    what: &str,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut options = options(title, subtitle);
    // Not inferno's `factor`, which its percentages of a difference leave out.
    options.count_name = format!("µs of {what} per second");
    let line = |(line, before, after): (String, u64, u64)| format!("{} {before} {after}", plain(&line));
    draw(options, lines.into_iter().map(line), to)
}

fn options<'a>(title: String, subtitle: String) -> Options<'a> {
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.direction = Direction::Inverted;
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 255, g: 255, b: 255 }));
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.name_type = "Function:".into();
    // The lines come in the order of their labels, and all that a graph needs of it is that equal beginnings stand together.
    // inferno's own order is by bytes, in which a phase called "Warm up" comes after "Sustained"; with `no_sort` it refuses
    // every other order. Only a flame chart is drawn as it comes, last line first.
    options.flame_chart = true;
    options
}

fn draw(mut options: Options<'_>, lines: impl Iterator<Item = String>, to: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<String> = lines.collect();
    from_lines(&mut options, lines.iter().rev().map(String::as_str), to)
        .map_err(|error| io::Error::other(error.to_string()))
}

/// A text that does not end in a space and a number, which inferno takes for a second count, nor begins as a comment.
fn plain(text: &str) -> Cow<'_, str> {
    if let Some(rest) = text.strip_prefix("# ") {
        return Cow::Owned(format!("#\u{a0}{}", plain(rest)));
    }
    match text.rsplit_once(' ') {
        Some((name, end)) if end.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            Cow::Owned(format!("{name}\u{a0}{end}"))
        }
        _ => Cow::Borrowed(text),
    }
}

fn color(label: &Label) -> Color {
    // FNV-1a: the same on every machine and in every version, as a committed picture needs it.
    let hash =
        label.text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [shade, ..] = (hash >> 16 & 31).to_le_bytes();
    let (r, g, b) = match label.origin {
        Origin::Level => return LEVEL,
        Origin::App => (223 + shade, 120 + 2 * shade, 50 + shade),
        Origin::Library => (110 + shade, 165 + shade, 214 + shade),
        Origin::Gunicorn => (110 + shade, 190 + shade, 110 + shade),
        Origin::Stdlib => (190 + shade, 190 + shade, 180 + shade),
        Origin::State => (190 + shade, 150 + shade, 214 + shade),
    };
    Color { r, g, b }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::profile::synthetic::{cpu, cpu_sample, phase, recording, sample, wait_sample};
    use crate::profile::{FrameStyle, Level, Selection, View};
    use crate::recording::State;

    #[test]
    fn a_number_at_the_end_is_not_taken_for_a_count() {
        let shown = ["main", "a;b 2", "a 1.5", "a b", "2", "a ", "# a 2"].map(|text| plain(text).into_owned());
        assert_eq!(shown, ["main", "a;b\u{a0}2", "a\u{a0}1.5", "a b", "2", "a\u{a0}", "#\u{a0}a\u{a0}2"]);
    }

    #[test]
    fn phases_are_drawn_in_the_order_of_time() {
        let mut recording = recording(1);
        let names = ["before load", "Warm up", "Ramp 20", "Ramp 20", "Alpha", "drain"];
        for (number, name) in (0..).zip(names) {
            phase(&mut recording, name, "", 1000);
            sample(&mut recording, 1, number * 1000, State::Running, &["view"]);
        }
        let view = View {
            selection: Selection::default(),
            levels: vec![Level::Phase],
            style: FrameStyle { lines: true, full_files: false },
            leaves: Leaves::Frames,
        };
        let mut bytes = Vec::new();
        Report::of(&recording, view).write(Format::Flamegraph, &mut bytes).expect("there are samples");
        let svg = String::from_utf8(bytes).expect("an SVG is text");
        let place = |title: &str| -> f64 {
            let (_, frame) = svg.split_once(&format!("<title>{title} (1 samples, 16.67%)</title>")).expect(title);
            let (_, x) = frame.split_once("x=\"").expect("a frame has a place");
            x.split('%').next().and_then(|x| x.parse().ok()).expect("in percent")
        };
        let titles =
            ["before load · 1 s", "Warm up · 1 s", "Ramp 20 · 1 s", "Ramp 20 #2 · 1 s", "Alpha · 1 s", "drain · 1 s"];
        let places = titles.map(place);
        assert!(places.is_sorted(), "{places:?}");
        assert!(!svg.contains("rgb(250,250,250)"), "a phase was taken for a difference");
    }

    #[test]
    fn labels_that_begin_with_each_other_can_be_drawn() {
        let mut recording = recording(100);
        for process in [1, 100] {
            sample(&mut recording, process, 0, State::Running, &["view", "view 2"]);
        }
        sample(&mut recording, 1, 10, State::Running, &["view"]);
        let view = View {
            selection: Selection::default(),
            levels: vec![Level::Worker],
            style: FrameStyle { lines: false, full_files: false },
            leaves: Leaves::Frames,
        };
        let mut bytes = Vec::new();
        Report::of(&recording, view).write(Format::Flamegraph, &mut bytes).expect("there are samples");
        let svg = String::from_utf8(bytes).expect("an SVG is text");
        assert!(svg.contains("<title>worker 11 (2 samples, 66.67%)</title>"), "{svg}");
        assert!(svg.contains("<title>worker 110 (1 samples, 33.33%)</title>"), "{svg}");
    }

    fn drawn(recording: &crate::recording::Recording, measure: Measure, leaves: Leaves) -> String {
        let selection = Selection { measure, ..Selection::default() };
        let view =
            View { selection, levels: Vec::new(), style: FrameStyle { lines: false, full_files: false }, leaves };
        let mut bytes = Vec::new();
        Report::of(recording, view).write(Format::Flamegraph, &mut bytes).expect("there is something to draw");
        String::from_utf8(bytes).expect("an SVG is text")
    }

    #[test]
    fn a_graph_of_cpu_time_tells_time() {
        let mut recording = recording(1);
        for tick in 1..=100 {
            cpu_sample(&mut recording, 1, tick * 10, 7_500, &["view", if tick % 4 == 0 { "parse" } else { "query" }]);
        }
        let svg = drawn(&recording, Measure::Cpu, Leaves::Frames);
        assert!(svg.contains("<title>parse (app.py) (187,500 µs of CPU time, 25.00%)</title>"), "{svg}");
        assert!(svg.contains("at 100 Hz · 750.0 ms of CPU time") && svg.contains("nothing lost · colours"), "{svg}");
        // The clock knows of more than samples do.
        cpu(&mut recording, 1, 0, 0);
        cpu(&mut recording, 1, 1000, 1000);
        cpu_sample(&mut recording, 1, 2000, 299_250_000, &["view", "query"]);
        let svg = drawn(&recording, Measure::Cpu, Leaves::Frames);
        assert!(svg.contains("<title>parse (app.py) (188 ms of CPU time, 0.06%)</title>"), "{svg}");
        assert!(svg.contains("25.0 % of the CPU time is in no sample"), "{svg}");
    }

    #[test]
    fn what_was_waited_for_is_drawn_below_its_stack() {
        let mut recording = recording(1);
        for tick in 0..4 {
            wait_sample(&mut recording, 1, tick * 10, ("recv", Some("10.0.0.5:5432")), &["view"]);
        }
        sample(&mut recording, 1, 50, State::GilWait, &["view"]);
        let svg = drawn(&recording, Measure::Wait, Leaves::States);
        assert!(svg.contains("<title>[waiting: recv 10.0.0.5:5432] (4 samples, 80.00%)</title>"), "{svg}");
        assert!(svg.contains("<title>[waiting for the GIL] (1 samples, 20.00%)</title>"), "{svg}");
        assert!(svg.contains("5 samples that waited") && svg.contains("waiting violet"), "{svg}");
        assert!(!drawn(&recording, Measure::Wall, Leaves::Frames).contains("[waiting"));
    }

    #[test]
    fn a_report_of_one_phase_says_which() {
        let mut recording = recording(1);
        phase(&mut recording, "Warm up", "2 users/s", 1000);
        sample(&mut recording, 1, 0, State::Running, &["view"]);
        let view = View {
            selection: Selection { phase: Some(0), ..Selection::default() },
            levels: Vec::new(),
            style: FrameStyle { lines: true, full_files: false },
            leaves: Leaves::Frames,
        };
        let title = Report::of(&recording, view).title();
        assert_eq!(title, "gunicorn booking:app, pid 10 · Warm up · 2 users/s · 1 s at 100 Hz · 1 samples");
    }
}
