//! What the user is told when something cannot be done: a sentence, its causes, what to type next, and an exit code.
//!
//! Parts of pyperf fail with their own typed errors; those that can reach the user implement [`Advice`] and become a
//! [`Problem`] on the way up. It is printed once, by `ui`, and nowhere else.

use std::error::Error;
use std::fmt;

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Fine = 0,
    /// Something failed, or there was nothing to show.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such process, or more than one.
    NoProcess = 3,
    /// The process may not be read.
    NotAllowed = 4,
    /// An answer was not what a script's `expect` says.
    Unexpected = 21,
    /// Interrupted before the result was there.
    Interrupted = 130,
    /// The same, by SIGTERM.
    Terminated = 143,
}

/// An error that knows what the user can do about it.
pub trait Advice: Error {
    /// The next thing to type or to check, without a trailing stop.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The exit code that this error means.
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// A failure, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What could not be done, naming the thing.
    pub sentence: String,
    /// Why, from the nearest cause to the deepest.
    pub causes: Vec<String>,
    /// What to type or check next.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

impl Problem {
    /// A problem that is told by one sentence alone.
    #[must_use]
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), causes: Vec::new(), hint: None, exit }
    }

    /// Adds a cause below those already there.
    #[must_use]
    pub fn because(mut self, cause: &dyn fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Advice> From<E> for Problem {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self { sentence: error.to_string(), causes, hint: error.hint(), exit: error.exit() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read process 7")]
    struct Refused(#[source] std::io::Error);

    impl Advice for Refused {
        fn hint(&self) -> Option<String> {
            Some("sudo pyperf attach --pid 7".into())
        }

        fn exit(&self) -> Exit {
            Exit::NotAllowed
        }
    }

    #[test]
    fn an_error_becomes_a_sentence_its_causes_and_a_hint() {
        let problem = Problem::from(Refused(std::io::Error::other("ptrace was refused")));
        assert_eq!(problem.sentence, "cannot read process 7");
        assert_eq!(problem.causes, ["ptrace was refused"]);
        assert_eq!(problem.hint.as_deref(), Some("sudo pyperf attach --pid 7"));
        assert_eq!(problem.exit, Exit::NotAllowed);
    }
}
