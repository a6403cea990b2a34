//! One million samples of 5000 distinct stacks of 30 frames, for the benches of what comes after sampling.

use std::time::SystemTime;

use pyperf::profile::{FrameStyle, Leaves, Selection, View};
use pyperf::recording::{Frame, Mode, Run};

pub const SAMPLES: u32 = 1_000_000;
pub const STACKS: u32 = 5_000;
const DEPTH: u32 = 30;

pub fn run() -> Run {
    Run {
        target: "gunicorn booking:app, pid 10".into(),
        started: SystemTime::UNIX_EPOCH,
        rate: 100,
        mode: Mode::NonBlocking,
    }
}

/// Stacks part ways level by level, as an application's do: the deeper, the more of them differ.
pub fn frames(stack: u32) -> Vec<Frame> {
    let frame = |level: u32| {
        let branch = stack % (1 + level * level);
        let module = format!("package_{}/module.py", branch % 7);
        Frame {
            function: format!("function_{level}_{branch}"),
            file: format!("/srv/venv/lib/python3.11/site-packages/{module}"),
            short_file: Some(module),
            line: 10 + stack % 3,
        }
    };
    (0..DEPTH).map(frame).collect()
}

pub fn view() -> View {
    View {
        selection: Selection::default(),
        levels: Vec::new(),
        style: FrameStyle { lines: true, full_files: false },
        leaves: Leaves::Frames,
    }
}
