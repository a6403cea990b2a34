//! A reader that plays a script: for tests of the sampler and for benches, without any process.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{ReadError, StackReader};
use crate::recording::{Frame, State, ThreadStack};

/// Gives one prepared answer per read, and says that the process has ended when there is none left.
#[derive(Debug, Default)]
pub struct ScriptedReader {
    answers: VecDeque<Result<Vec<ThreadStack>, ReadError>>,
}

impl ScriptedReader {
    /// A reader that will give these answers in this order.
    pub fn new(answers: impl IntoIterator<Item = Result<Vec<ThreadStack>, ReadError>>) -> Self {
        Self { answers: answers.into_iter().collect() }
    }
}

impl StackReader for ScriptedReader {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.answers.pop_front().unwrap_or(Err(ReadError::Gone))
    }
}

/// A running thread whose stack is written like a line of collapsed output, outermost first: `main;serve;query`.
#[must_use]
pub fn thread(ident: u64, stack: &str) -> ThreadStack {
    ThreadStack {
        ident,
        name: Some("MainThread".into()),
        stack: stack
            .split(';')
            .map(|function| Frame {
                function: function.into(),
                file: "/srv/app.py".into(),
                short_file: Some("app.py".into()),
                line: 1,
            })
            .map(Arc::new)
            .collect(),
        state: State::Running,
        gil: true,
        ..ThreadStack::default()
    }
}
