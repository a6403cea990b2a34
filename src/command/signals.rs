//! Ctrl+C and SIGTERM (and SIGHUP, when the terminal closes): the first ends the sampling or the load, a second one while the
//! report is being written gives that up.
//!
//! A second signal while a sampler collects its data changes nothing, so that pressing twice out of impatience never loses a
//! run; while users of a load are finishing it sends them home.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::load::Stops;
use crate::problem::{Exit, Problem};
use crate::stop::{Stop, StopReason};

/// Between two looks at something that cannot wake who waits for it.
pub(super) const TURN: Duration = Duration::from_millis(20);

/// Whether the report is being written, and whether the user has given it up.
#[derive(Clone, Debug, Default)]
pub(super) struct Writing {
    begun: Arc<AtomicBool>,
    given_up: Arc<AtomicBool>,
    first: Arc<AtomicI32>,
}

impl Writing {
    /// From now on a second signal gives up.
    pub(super) fn begin(&self) {
        self.begun.store(true, SeqCst);
    }

    /// Whether the user has given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }

    /// The exit code that the first signal means: 143 for SIGTERM, 130 for others.
    pub(super) fn exit(&self) -> Exit {
        if self.first.load(SeqCst) == Signal::SIGTERM as i32 { Exit::Terminated } else { Exit::Interrupted }
    }
}

/// Takes over the signals of this process, before any thread is started.
pub(super) fn stop_on_interrupt(stop: &Stop) -> Result<Writing, Problem> {
    let stop = stop.clone();
    take_over(move |nth| {
        stop.request(StopReason::Interrupted);
        nth > 1
    })
}

/// The same for a load: the first signal ends the arrivals, the second one the users.
pub(super) fn stop_load_on_interrupt(stops: &Stops) -> Result<Writing, Problem> {
    let stops = stops.clone();
    take_over(move |nth| {
        stops.arrivals.request(StopReason::Interrupted);
        if nth > 1 {
            stops.users.request(StopReason::Interrupted);
        }
        nth > 1
    })
}

/// For a command that does nothing but write: the first signal gives up.
pub(super) fn give_up_on_interrupt() -> Result<Writing, Problem> {
    take_over(|_| true)
}

/// `on_signal` hears which signal in a row it is, from 1, and says whether it may end the writing.
fn take_over(on_signal: impl Fn(u32) -> bool + Send + 'static) -> Result<Writing, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::new(Exit::Failed, "cannot take over Ctrl+C").because(error);
    // Blocked, they wait for the thread below.
    let wanted = block_interrupts().map_err(|error| failed(&error))?;
    let writing = Writing::default();
    let seen = writing.clone();
    // It waits for as long as the program runs, and ends with it.
    let waiter = thread::Builder::new().name("signals".into()).spawn(move || {
        for nth in 1.. {
            let Ok(signal) = wanted.wait() else { return };
            let _ = seen.first.compare_exchange(0, signal as i32, SeqCst, SeqCst);
            if on_signal(nth) && seen.begun.load(SeqCst) {
                seen.given_up.store(true, SeqCst);
            }
        }
    });
    waiter.map(|_| writing).map_err(|error| failed(&error))
}

/// The same signals for what a command does before it samples or sends: it looks whether one has come.
///
/// Those that come after the last look are left for who takes over next.
#[derive(Debug)]
pub(super) struct Interrupts {
    arrived: SignalFd,
}

impl Interrupts {
    /// From now on the signals do nothing but wait to be seen.
    pub(super) fn watch() -> Result<Self, Problem> {
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        block_interrupts()
            .and_then(|wanted| SignalFd::with_flags(&wanted, flags))
            .map(|arrived| Self { arrived })
            .map_err(|error| Problem::new(Exit::Failed, "cannot take over Ctrl+C").because(&error))
    }

    /// Waits for a moment.
    ///
    /// # Errors
    ///
    /// When a signal has come.
    pub(super) fn pause(&self) -> Result<(), Problem> {
        thread::park_timeout(TURN);
        match self.arrived.read_signal() {
            Ok(Some(signal)) => {
                let terminated = signal.ssi_signo == Signal::SIGTERM as u32;
                let exit = if terminated { Exit::Terminated } else { Exit::Interrupted };
                Err(Problem::new(exit, "interrupted before there was anything to show"))
            }
            _ => Ok(()),
        }
    }
}

/// Makes Ctrl+Z harmless: a pyperf that is stopped while it holds a process stopped would keep it so.
pub(super) fn never_suspend() -> Result<(), Problem> {
    block(&[Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU])
        .map_err(|error| Problem::new(Exit::Failed, "cannot block Ctrl+Z").because(&error))
}

/// Makes a file that may grow no further (`ulimit -f`) an error like a full disk, where the kernel would end pyperf.
pub(super) fn survive_full_files() -> Result<(), Problem> {
    block(&[Signal::SIGXFSZ])
        .map_err(|error| Problem::new(Exit::Failed, "cannot block the signal of a full file").because(&error))
}

/// Blocks what asks for the end, and says which signals do: nohup wants SIGHUP to be nothing at all.
fn block_interrupts() -> nix::Result<SigSet> {
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    block(&signals)?;
    if hangup_is_ignored() {
        signals.retain(|signal| *signal != Signal::SIGHUP);
    }
    Ok(signals.into_iter().collect())
}

fn block(signals: &[Signal]) -> nix::Result<()> {
    signals.iter().copied().collect::<SigSet>().thread_block()
}

/// Bit 0 of `SigIgn` in `/proc/self/status` is signal 1, SIGHUP.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
