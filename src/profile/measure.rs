//! What counts of the samples, and as how much: time, CPU time, the GIL, or waiting.
//!
//! Apart from the rest of the selection because it also decides what the sums of a graph are: samples, or microseconds.

use crate::recording::{Sample, State};

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Time: every sample of a thread that is not idle.
    #[default]
    Wall,
    /// CPU time: what each sample used, in microseconds, so that a graph adds up to what its processes used.
    Cpu,
    /// The GIL: every sample of a thread that held it, whatever it was doing.
    Gil,
    /// Waiting: every sample of a thread that waited in a request, for a core or for the GIL.
    Wait,
}

impl Measure {
    /// As how much a sample counts: 1, its CPU time in microseconds, or 0. `idle` threads count where that makes sense.
    #[must_use]
    pub fn weight(self, sample: &Sample, idle: Idle) -> u64 {
        let busy = idle == Idle::Counts || sample.state != State::Idle;
        match self {
            Self::Wall => u64::from(busy),
            Self::Cpu => u64::try_from(sample.cpu.as_micros()).unwrap_or(u64::MAX),
            Self::Gil => u64::from(sample.gil),
            Self::Wait => u64::from(busy && sample.state != State::Running),
        }
    }
}

/// Whether idle threads count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// They do.
    Counts,
    /// They do not.
    IsLeftOut,
}
