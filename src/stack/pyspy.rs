//! The reader on top of the py-spy library: every CPython from 2.7 and 3.3 to 3.15, with or without stopping the process.
//!
//! This is the only file that names py-spy and remoteprocess. What py-spy leaves open is done here: which kernel thread a
//! Python thread is before 3.11, what a thread is doing, whether a failed read means that the process has ended, and
//! catching whatever another process's torn memory may do to the code that reads it.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};
use std::time::Duration;

use py_spy::config::{Config, LineNo, LockingStrategy};
use py_spy::{PythonSpy, StackTrace};
use remoteprocess::ProcessMemory;

use super::request::is_serving;
use super::roots::{Roots, Suspect};
use super::state::{Activity, ThreadStates, decide, futexes_of_gil};
use super::{AttachError, Line, Options, ReadError, StackReader, cut};
use crate::clock::Clock;
use crate::process::image::Image;
use crate::recording::{Frame, Local, Mode, ThreadStack};

/// How often py-spy looks for the interpreter: it proves what it found by a read, which fails now and then where code is fast
/// (1 of 40 times on 3.15).
const LOOKS: usize = 3;
/// How often one read is tried when the memory changes under it.
const TRIES: usize = 3;

/// Reads one process through py-spy.
pub struct PySpyReader {
    spy: PythonSpy,
    image: Image,
    threads: ThreadStates,
    roots: Roots,
    /// Python's threads at the last read: ident and kernel id.
    known: Vec<(u64, i32)>,
    options: Options,
    clock: Clock,
    stopped: Duration,
}

/// What py-spy knows of an interpreter, for whoever reads it in another way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Major and minor version.
    pub(super) version: (u64, u64),
    /// Address of the `PyInterpreterState`.
    pub(super) interpreter: u64,
    /// Address of the GIL's state; before 3.12, of the pointer to the thread that holds it. 0 when it was not found.
    pub(super) gil: u64,
    /// Whether the process has files of its own (a container), to be seen through `/proc/PID/root`.
    pub(super) inside: bool,
}

/// A thread that was there at the last read, just before this one.
struct Before {
    ident: u64,
    tid: i32,
    activity: Activity,
}

impl PySpyReader {
    /// Finds the interpreter of a process. Takes 5 to 10 ms.
    ///
    /// # Errors
    ///
    /// When there is no readable interpreter of a known version; a process that has just been started may get one yet.
    pub fn attach(pid: i32, options: Options, clock: Clock) -> Result<Self, AttachError> {
        let unreadable = |why: &dyn std::fmt::Display| AttachError::Unreadable(why.to_string());
        let image = Image::open(pid).map_err(|error| unreadable(&error))?;
        let look = || guarded(|| PythonSpy::new(pid, &config(options)));
        let mut spy = look();
        for _ in 1..LOOKS {
            if spy.is_err() && image.is_current() {
                spy = look();
            }
        }
        let spy = spy.map_err(AttachError::Unreadable)?;
        let version = (spy.version.major, spy.version.minor);
        if !matches!(version, (2, 3..=7) | (3, 3..=15)) {
            return Err(AttachError::Version { version: spy.version.to_string() });
        }
        let gil = futexes_of_gil(version, spy.addresses.threadstate_address as u64);
        Ok(Self {
            spy,
            image,
            threads: ThreadStates::new(pid, gil, clock),
            roots: Roots::default(),
            known: Vec::new(),
            options,
            clock,
            stopped: Duration::ZERO,
        })
    }

    /// The version of the interpreter, such as `3.11.7`.
    #[must_use]
    pub fn version(&self) -> String {
        self.spy.version.to_string()
    }

    /// Where py-spy has found the interpreter.
    pub(super) fn found(&self) -> Found {
        let word = |address: usize| address as u64;
        Found {
            version: (self.spy.version.major, self.spy.version.minor),
            interpreter: word(self.spy.addresses.interpreter_address),
            gil: word(self.spy.addresses.threadstate_address),
            inside: self.spy.dockerized,
        }
    }

    /// The names of threads by their idents, as `threading` knows them now. What is open of the threads is closed: who asks for names
    /// has another reader for the rest.
    pub(super) fn thread_names(&mut self) -> HashMap<u64, String> {
        self.forget(|_| true);
        // py-spy looks them up anew for any thread that it has no name for.
        self.spy.python_thread_names.clear();
        let _ = guarded(|| self.spy.get_stack_traces());
        let names = self.spy.python_thread_names.iter();
        names.filter_map(|(ident, name)| Some((*ident, name.clone()?))).collect()
    }

    fn read_once(&mut self) -> Result<Vec<ThreadStack>, String> {
        let look =
            |(ident, tid): &(u64, i32)| Some(Before { ident: *ident, tid: *tid, activity: self.threads.look(*tid)? });
        let before: Vec<Before> = self.known.iter().filter_map(look).collect();
        let start = self.clock.now();
        let traces = guarded(|| self.spy.get_stack_traces());
        if self.options.mode == Mode::Blocking {
            self.stopped += self.clock.now().since(start);
        }
        let traces = traces?;
        let stacks: Vec<ThreadStack> = traces.into_iter().map(|trace| self.thread(trace, &before)).collect();
        self.forget(|tid| stacks.iter().all(|stack| stack.os_id != Some(tid)));
        self.known = stacks.iter().filter_map(|stack| Some((stack.ident, stack.os_id?))).collect();
        Ok(stacks)
    }

    /// Closes what is open of the threads of the last read that have ended.
    fn forget(&mut self, mut has_ended: impl FnMut(i32) -> bool) {
        for (_, tid) in self.known.drain(..).filter(|(_, tid)| has_ended(*tid)) {
            self.threads.forget(tid);
        }
    }

    fn thread(&mut self, trace: StackTrace, before: &[Before]) -> ThreadStack {
        let earlier = before.iter().find(|thread| thread.ident == trace.thread_id);
        let os_id = earlier.map(|thread| thread.tid).or_else(|| self.kernel_id(&trace));
        let (frames, locals): (Vec<_>, Vec<_>) = trace.frames.into_iter().rev().map(owned).unzip();
        let serving = is_serving(&frames);
        let activity = match earlier.map(|thread| thread.activity) {
            // Without a stop it can fall asleep during the read, and then the stack is rather the sleeper's: running is
            // what ran before and after.
            Some(Activity::Running | Activity::Runnable) if self.options.mode == Mode::NonBlocking => None,
            earlier => earlier,
        };
        let activity = activity.or_else(|| self.threads.look(os_id?));
        let state = decide(activity, serving);
        let memory = &self.spy.process;
        let peek = |address, bytes: &mut [u8]| memory.read(usize::try_from(address).ok()?, bytes).ok();
        let wait = self.threads.wait(os_id, activity, state, peek);
        ThreadStack {
            ident: trace.thread_id,
            os_id,
            name: trace.thread_name.map(Into::into),
            state,
            gil: trace.owns_gil,
            wait,
            cpu: Duration::ZERO,
            locals: if self.options.locals > 0 { locals } else { Vec::new() },
            stack: frames.into_iter().collect(),
        }
    }

    /// Reads until it makes sense, so many times at most.
    fn read_sound(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        if self.options.mode == Mode::Blocking && self.threads.any_uninterruptible() {
            // Stopping it would hang until the kernel lets go of it, and every other process would wait with us.
            return Err(ReadError::Busy);
        }
        let mut failure = String::new();
        let mut earlier: Vec<Vec<Suspect>> = Vec::new();
        for _ in 0..TRIES {
            match self.read_once() {
                Ok(stacks) if self.options.mode == Mode::Blocking => return Ok(stacks),
                Ok(stacks) => {
                    let suspects = self.roots.suspects(&stacks);
                    let always_the_same = earlier.len() == TRIES - 1 && earlier.iter().all(|known| *known == suspects);
                    if suspects.is_empty() || always_the_same && self.roots.can_be_real(&suspects) {
                        return Ok(stacks);
                    }
                    earlier.push(suspects);
                    failure = "its stacks changed while they were read".into();
                }
                Err(_) if !self.image.is_current() => return Err(ReadError::Gone),
                Err(error) => failure = error,
            }
        }
        Err(ReadError::Unreadable(failure))
    }

    /// Python 3.11 and later say which kernel thread a thread is. Before, its ident is the address of the C library's
    /// descriptor of the thread, which holds the kernel's id at an offset that never changed.
    fn kernel_id(&mut self, trace: &StackTrace) -> Option<i32> {
        if let Some(own) = trace.os_thread_id {
            return self.threads.outside(i32::try_from(own).ok()?);
        }
        let descriptor = usize::try_from(trace.thread_id).ok()?;
        THREAD_ID_OFFSETS.iter().find_map(|offset| {
            let own: i32 = self.spy.process.copy_struct(descriptor.checked_add(*offset)?).ok()?;
            self.threads.outside(own)
        })
    }
}

impl StackReader for PySpyReader {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.threads.begin();
        let mut stacks = self.read_sound()?;
        self.threads.charge(&mut stacks);
        Ok(stacks)
    }

    fn count_cpu_from_birth(&mut self) {
        self.threads.count_from_birth();
    }

    fn stopped(&self) -> Duration {
        self.stopped
    }
}

/// Where the descriptor of a thread holds its kernel id: `struct pthread.tid` of glibc (`nptl/descr.h`: behind a header of
/// 704 bytes on x86-64, of 192 on aarch64, and a list node of 16) and of musl (`src/internal/pthread_impl.h`, without `dtv` and `canary`
/// where `TLS_ABOVE_TP`; untried on aarch64).
#[cfg(target_arch = "x86_64")]
const THREAD_ID_OFFSETS: &[usize] = &[720, 48];
#[cfg(not(target_arch = "x86_64"))]
const THREAD_ID_OFFSETS: &[usize] = &[208, 32];

fn config(options: Options) -> Config {
    Config {
        blocking: match options.mode {
            Mode::Blocking => LockingStrategy::Lock,
            Mode::NonBlocking => LockingStrategy::NonBlocking,
        },
        lineno: match options.line {
            Line::Current => LineNo::LastInstruction,
            Line::First => LineNo::First,
        },
        dump_locals: options.locals.into(),
        ..Config::default()
    }
}

thread_local! {
    /// Whether a panic of this thread is expected and handled, and so none of the user's business.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs py-spy on memory that may say anything, and makes an error of whatever comes of it.
fn guarded<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let ordinary = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                ordinary(panic);
            }
        }));
    });
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    match result {
        // The alternate form of py-spy's errors is the whole chain of causes.
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err("the memory of the process makes no sense".into()),
    }
}

/// A frame and its local variables in our own words.
fn owned(frame: py_spy::Frame) -> (Arc<Frame>, Vec<Local>) {
    let locals = frame.locals.unwrap_or_default().into_iter().map(|local| Local {
        name: local.name,
        argument: local.arg,
        value: local.repr.unwrap_or_else(|| "?".into()),
    });
    let frame = Frame {
        function: cut(frame.name),
        file: cut(frame.filename),
        short_file: frame.short_filename.map(cut),
        line: u32::try_from(frame.line).unwrap_or(0),
    };
    (Arc::new(frame), locals.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::By;

    #[test]
    fn a_panic_over_foreign_memory_is_an_error() {
        let result: Result<(), String> = guarded(|| -> Result<(), String> { panic!("capacity overflow") });
        assert_eq!(result, Err("the memory of the process makes no sense".into()));
        assert_eq!(guarded(|| Ok::<_, String>(7)), Ok(7));
    }

    #[test]
    fn what_is_no_python_is_said_and_not_read() {
        let options = Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by: By::PySpy };
        let own = i32::try_from(std::process::id()).expect("pids fit");
        assert!(matches!(PySpyReader::attach(own, options, Clock::start()), Err(AttachError::Unreadable(_))));
        assert!(matches!(PySpyReader::attach(i32::MAX, options, Clock::start()), Err(AttachError::Unreadable(_))));
    }
}
