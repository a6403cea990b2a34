//! From a recording to what a graph shows: which samples count, under which labels, how often. Pure.

pub mod activity;
pub mod carried;
pub mod compare;
pub mod demand;
pub mod endpoint;
mod fold;
pub mod hot;
mod join;
mod label;
mod measure;
pub mod offset;
pub mod presence;
mod state;
#[cfg(test)]
pub(crate) mod synthetic;

pub use fold::{Path, Profile};
pub use join::{Joined, PhaseCursor, find_phase, join, phase_length, phase_names, phase_titles};
pub use label::{Label, Level, Origin};
pub use measure::{Idle, Measure};
pub use state::{Doing, wait_words};

use crate::recording::{Frame, Process, Sample};

/// What to show of a recording, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which samples count.
    pub selection: Selection,
    /// The levels below the root of the graph, the outermost first; none merges all processes.
    pub levels: Vec<Level>,
    /// How frames are written.
    pub style: FrameStyle,
    /// What stands at the end of a stack.
    pub leaves: Leaves,
}

/// What stands at the end of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leaves {
    /// The innermost frame.
    #[default]
    Frames,
    /// Below it what the thread was waiting for, unless it was on a core.
    States,
}

/// Which samples count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is measured.
    pub measure: Measure,
    /// Idle threads too.
    pub idle: bool,
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
        self.weight(sample) > 0
    }

    /// As how much it counts then; 0 if it does not.
    #[must_use]
    pub fn weight(&self, sample: &Sample) -> u64 {
        self.measure.weight(sample, if self.idle { Idle::Counts } else { Idle::IsLeftOut })
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
