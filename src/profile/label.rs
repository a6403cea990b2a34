//! The words in a graph: frames as py-spy writes them, and the levels that can stand below its root.
//!
//! A label has a rank, which comes before its text where labels are put in order: phases stand in the order of time,
//! whatever they are called. A name comes from another process's memory and may hold anything; what would break an
//! output is replaced or cut here.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use super::{FrameStyle, phase_titles};
use crate::printable::printable;
use crate::recording::{Frame, Recording, Thread, ThreadLabel, Timeline};

/// The longest label, in characters.
const LONGEST: usize = 400;

/// Where a label comes from, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A level of the graph, no frame.
    Level,
    /// The application's own code.
    App,
    /// An installed package.
    Library,
    /// gunicorn itself.
    Gunicorn,
    /// Python's standard library, and code without a file.
    Stdlib,
    /// What a thread was waiting for.
    State,
}

impl Origin {
    /// Tells by the path of a frame's file.
    #[must_use]
    pub fn of(file: &str) -> Self {
        if file.contains("-packages/gunicorn/") || file.ends_with("/bin/gunicorn") {
            Self::Gunicorn
        } else if file.contains("/site-packages/") || file.contains("/dist-packages/") {
            Self::Library
        } else if file.starts_with('<') || file.is_empty() || in_standard_library(file) {
            Self::Stdlib
        } else {
            Self::App
        }
    }
}

/// `…/lib/python3.11/json/decoder.py`, and `…/lib/python311.zip/…` of embedded Pythons.
fn in_standard_library(file: &str) -> bool {
    file.split("/lib/python").skip(1).any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        || file.split("/lib64/python").skip(1).any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// A name in a graph. Labels of the same text are the same label.
#[derive(Clone, Debug)]
pub struct Label {
    /// The text; never empty, on one line, without `;`.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Labels stand in the order of their ranks, and those of one rank in that of their texts.
    pub rank: u32,
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Label {
    /// The label of a frame: `function (file.py:12)`.
    #[must_use]
    pub fn frame(frame: &Frame, style: FrameStyle) -> Self {
        let file = style.file(frame);
        let mut text = frame.function.clone();
        if style.lines && frame.line > 0 {
            let _ = write!(text, " ({file}:{})", frame.line);
        } else if !file.is_empty() {
            let _ = write!(text, " ({file})");
        }
        Self { text: presentable(&text), origin: Origin::of(&frame.file), rank: 0 }
    }

    /// The label of a thread that has no Python frame.
    #[must_use]
    pub fn no_frame() -> Self {
        Self { text: "[no Python frame]".into(), origin: Origin::Stdlib, rank: 0 }
    }

    /// The labels of all phases in the order of time, and last that of what was taken outside of them. All are different.
    #[must_use]
    pub fn phases(timeline: &Timeline) -> Vec<Self> {
        let outside = "outside of all phases".to_owned();
        let texts = phase_titles(timeline).into_iter().chain([outside]);
        let label = |(rank, text): (u32, String)| Self { text: presentable(&text), origin: Origin::Level, rank };
        (1..).zip(texts).map(label).collect()
    }
}

/// A label that no output has to escape: in collapsed lines `;` separates the frames.
pub(super) fn presentable(text: &str) -> String {
    let line = printable(text, LONGEST).replace(';', ",");
    if line.trim().is_empty() { "?".into() } else { line }
}

/// A level below the root of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The topmost process of each tree.
    Tree,
    /// Master, worker, child …
    Role,
    /// Each process by itself.
    Worker,
    /// Each thread by itself.
    Thread,
    /// Each phase by itself, in the order of time.
    Phase,
    /// Running, waiting for a core, for the GIL, for something else, idle.
    State,
}

impl Level {
    /// The label under which all samples of a thread stand; `None` for a phase or a state, which is not the same for all of them.
    #[must_use]
    pub fn label(self, recording: &Recording, thread: Thread, known: &ThreadLabel) -> Option<Label> {
        let process = recording.process(thread.process);
        let text = match (self, process) {
            (Self::Tree, Some(process)) => format!("tree {}", process.root),
            (Self::Role, Some(process)) => process.role.to_string(),
            (Self::Worker, Some(process)) => format!("{} {}", process.role, process.id),
            (Self::Thread, _) => thread_text(thread, known),
            (Self::Phase | Self::State, _) => return None,
            (_, None) => "?".into(),
        };
        Some(Label { text: presentable(&text), origin: Origin::Level, rank: 0 })
    }
}

fn thread_text(thread: Thread, known: &ThreadLabel) -> String {
    let id = match known.os_id {
        Some(id) => id.to_string(),
        None => format!("{:#x}", thread.ident),
    };
    match &known.name {
        Some(name) => format!("thread {id} ({name})"),
        None => format!("thread {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: FrameStyle = FrameStyle { lines: true, full_files: false };

    fn frame() -> Frame {
        Frame {
            function: "Flask.wsgi_app".into(),
            file: "/srv/venv/lib/python3.11/site-packages/flask/app.py".into(),
            short_file: Some("flask/app.py".into()),
            line: 12,
        }
    }

    #[test]
    fn frames_read_as_py_spy_writes_them() {
        let text = |style| Label::frame(&frame(), style).text;
        assert_eq!(text(SHORT), "Flask.wsgi_app (flask/app.py:12)");
        assert_eq!(text(FrameStyle { lines: false, ..SHORT }), "Flask.wsgi_app (flask/app.py)");
        assert_eq!(
            text(FrameStyle { full_files: true, ..SHORT }),
            "Flask.wsgi_app (/srv/venv/lib/python3.11/site-packages/flask/app.py:12)"
        );
        let bare = Frame { function: "main".into(), ..Frame::default() };
        assert_eq!(Label::frame(&bare, SHORT).text, "main");
    }

    #[test]
    fn hostile_names_cannot_break_a_line() {
        let hostile = Frame { function: "a;b\n\u{1b}[31m\u{202e}".into(), ..Frame::default() };
        assert_eq!(Label::frame(&hostile, SHORT).text, "a,b\u{fffd}\u{fffd}[31m\u{fffd}");
        let long = Frame { function: "x".repeat(1 << 20), ..Frame::default() };
        assert_eq!(Label::frame(&long, SHORT).text.chars().count(), LONGEST + 1);
        assert_eq!(Label::frame(&Frame::default(), SHORT).text, "?");
    }

    #[test]
    fn the_path_tells_whose_code_it_is() {
        let venv = "/srv/venv/lib/python3.11";
        assert_eq!(Origin::of(&format!("{venv}/site-packages/gunicorn/app/base.py")), Origin::Gunicorn);
        assert_eq!(Origin::of("/srv/venv/bin/gunicorn"), Origin::Gunicorn);
        assert_eq!(Origin::of(&frame().file), Origin::Library);
        assert_eq!(Origin::of("/usr/lib/python3/dist-packages/requests/api.py"), Origin::Library);
        assert_eq!(Origin::of("/usr/lib/python3.11/json/decoder.py"), Origin::Stdlib);
        assert_eq!(Origin::of("<frozen importlib._bootstrap>"), Origin::Stdlib);
        assert_eq!(Origin::of("/srv/lib/python_tools/app.py"), Origin::App);
        assert_eq!(Origin::of("/srv/app.py"), Origin::App);
    }
}
