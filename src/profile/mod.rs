//! From a recording to what a graph shows: which samples count, under which labels, how often. Pure.

pub mod activity;
pub mod compare;
pub mod demand;
pub mod endpoint;
mod fold;
pub mod hot;
mod join;
mod label;
pub mod offset;
pub mod presence;
#[cfg(test)]
pub(crate) mod synthetic;

pub use fold::{Path, Profile};
pub use join::{Joined, PhaseCursor, find_phase, join, phase_length, phase_names, phase_titles};
pub use label::{Label, Level, Origin};

use crate::recording::{Frame, Process, Sample, State};

/// What to show of a recording, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which samples count.
    pub selection: Selection,
    /// The levels below the root of the graph, the outermost first; none merges all processes.
    pub levels: Vec<Level>,
    /// How frames are written.
    pub style: FrameStyle,
}

/// Which samples count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Idle threads too.
    pub idle: bool,
    /// Only threads that hold the GIL.
    pub gil_only: bool,
    /// gunicorn's master and dirty arbiter too.
    pub supervisors: bool,
    /// Only what descends from the root with this pid.
    pub root: Option<i32>,
    /// Only what was taken in the phase of this number.
    pub phase: Option<usize>,
}

impl Selection {
    /// Whether the samples of a process count at all.
    #[must_use]
    pub fn takes_process(&self, process: &Process) -> bool {
        (self.supervisors || !process.role.is_supervisor()) && self.root.is_none_or(|root| root == process.root)
    }

    /// Whether what was taken in a phase, or outside of all, counts.
    #[must_use]
    pub fn takes_phase(&self, phase: Option<usize>) -> bool {
        self.phase.is_none() || self.phase == phase
    }

    /// Whether a sample counts, if its process and its phase do.
    #[must_use]
    pub fn takes(&self, sample: &Sample) -> bool {
        if self.gil_only { sample.gil } else { self.idle || sample.state != State::Idle }
    }
}

/// How a frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStyle {
    /// With the line number; without, all lines of a function become one frame.
    pub lines: bool,
    /// With the whole path of the file, not the part behind the entry of `sys.path`.
    pub full_files: bool,
}

impl FrameStyle {
    /// The file of a frame as it is written.
    #[must_use]
    pub fn file(self, frame: &Frame) -> &str {
        match &frame.short_file {
            Some(short) if !self.full_files => short,
            _ => &frame.file,
        }
    }
}
