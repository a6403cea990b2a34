//! What a thread was doing, as finely as its sample tells: the state, and of a wait what for.
//!
//! Small enough to count by, and with the words for it: at the end of a stack, as a level of a graph, in a report. What was
//! waited for may come from another process's memory or file system and is made fit to be shown here.

use super::label::{Label, Origin};
use crate::printable::printable;
use crate::recording::{Recording, Sample, State, Wait, WaitId};

/// The longest name of a call, in characters.
const LONGEST_CALL: usize = 40;
/// The longest name of what it was on.
const LONGEST_ON: usize = 200;
/// The first rank of a label: below it stand frames.
const RANK: u32 = 1;

/// What a thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doing {
    /// The place in [`ORDER`].
    state: u8,
    wait: Option<WaitId>,
}

/// The states in the order in which a graph shows them.
const ORDER: [State; 5] = [State::Running, State::Runnable, State::GilWait, State::Waiting, State::Idle];

impl Doing {
    /// What the thread of a sample was doing.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let state = match sample.state {
            State::Running => 0,
            State::Runnable => 1,
            State::GilWait => 2,
            State::Waiting => 3,
            State::Idle => 4,
        };
        Self { state, wait: sample.wait }
    }

    /// Its state.
    #[must_use]
    pub fn state(self) -> State {
        ORDER.get(usize::from(self.state)).copied().unwrap_or_default()
    }

    fn words(self, recording: &Recording) -> String {
        match (self.state(), self.wait.and_then(|wait| recording.waits.get(wait))) {
            (State::Running, _) => "running".into(),
            (State::Runnable, _) => "runnable: waiting for a core".into(),
            (State::GilWait, _) => "waiting for the GIL".into(),
            (State::Waiting, Some(wait)) => format!("waiting: {}", wait_words(wait)),
            (State::Waiting, None) => "waiting".into(),
            (State::Idle, _) => "idle".into(),
        }
    }

    /// The label of a level: `running`, `waiting: recv 10.0.0.5:5432`.
    #[must_use]
    pub fn level(self, recording: &Recording) -> Label {
        let text = super::label::presentable(&self.words(recording));
        Label { text, origin: Origin::Level, rank: RANK + u32::from(self.state) }
    }

    /// The label at the end of a stack: `[waiting: recv 10.0.0.5:5432]`; `None` of a thread on a core.
    #[must_use]
    pub fn leaf(self, recording: &Recording) -> Option<Label> {
        let text = super::label::presentable(&format!("[{}]", self.words(recording)));
        let rank = RANK + u32::from(self.state);
        (self.state() != State::Running).then_some(Label { text, origin: Origin::State, rank })
    }
}

/// What was waited for, fit to be shown: `recv 10.0.0.5:5432`.
#[must_use]
pub fn wait_words(wait: &Wait) -> String {
    let call = printable(&wait.call, LONGEST_CALL);
    match &wait.on {
        Some(on) => format!("{call} {}", printable(on, LONGEST_ON)),
        None => call,
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{doing, recording};
    use super::*;

    #[test]
    fn what_was_waited_for_stands_at_the_end_of_a_stack() {
        let mut recording = recording(1);
        let leaf = |recording: &mut Recording, state, wait| {
            let doing = doing(recording, state, wait);
            doing.leaf(recording).map(|label| label.text)
        };
        assert_eq!(leaf(&mut recording, State::Running, None), None);
        assert_eq!(leaf(&mut recording, State::Idle, None).as_deref(), Some("[idle]"));
        assert_eq!(leaf(&mut recording, State::Waiting, None).as_deref(), Some("[waiting]"));
        let core = leaf(&mut recording, State::Runnable, None);
        assert_eq!(core.as_deref(), Some("[runnable: waiting for a core]"));
        assert_eq!(leaf(&mut recording, State::GilWait, None).as_deref(), Some("[waiting for the GIL]"));
        let recv = leaf(&mut recording, State::Waiting, Some(("recv", Some("127.0.0.1:5432"))));
        assert_eq!(recv.as_deref(), Some("[waiting: recv 127.0.0.1:5432]"));
        let hostile = Some(("a;\n\u{1b}[2J", Some("b;c")));
        let hostile = leaf(&mut recording, State::Waiting, hostile);
        assert_eq!(hostile.as_deref(), Some("[waiting: a,\u{fffd}\u{fffd}[2J b,c]"));
        let long = "x".repeat(1 << 20);
        let long = leaf(&mut recording, State::Waiting, Some((&long, Some(&long)))).expect("it waits");
        assert!(long.chars().count() < 300, "{long}");
    }
}
