//! The system calls that a sample of pyperf's takes, and nothing else: what is left to be saved without giving one of them up.
//!
//! At each tick a thread wakes, reads of each worker eight pieces of memory in one call, asks of each thread of the tree what it does
//! and of each process its CPU clock, and looks at nothing of it. (pyperf reads the clock of a busy process every 3 ms, and instead
//! the time of each of its threads on a core.) It is a program of its own, this bench's binary once more, so that it is measured as
//! the profilers are.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::thread::sleep;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use pyperf::clock::Clock;
use pyperf::process::cpu::ProcessClock;
use pyperf::process::priority;
use pyperf::sampler::Pace;

use crate::support::process;

/// The first argument of the binary that is to be this program.
const WORD: &str = "calls";

/// The pieces of a worker's memory, in bytes: the head of the list, the state of a thread, two stretches of its C stack, and two
/// chunks of its data stack, twice.
const PIECES: [usize; 8] = [8, 312, 4096, 4096, 4096, 4096, 4096, 4096];
const PAGE: usize = 4096;

/// The program that makes the calls for the tree below `pid`, until it is ended if it is given no end.
pub fn command(pid: &str, rate: &str) -> Command {
    let own = std::env::current_exe().expect("this bench has a binary");
    let mut command = Command::new(own);
    command.args([WORD, pid, rate]);
    command
}

/// Is that program when the arguments say so: `calls PID RATE [-d SECONDS] -o FILE`.
pub fn serve(arguments: &[String]) -> bool {
    let [word, pid, rate, options @ ..] = arguments else { return false };
    if word != WORD {
        return false;
    }
    let option = |name: &str| options.iter().position(|word| word == name).and_then(|place| options.get(place + 1));
    let seconds = option("-d").map_or(u64::MAX, |text| text.parse().expect("seconds"));
    let calls = make(pid.parse().expect("a pid"), rate.parse().expect("a rate"), seconds);
    fs::write(option("-o").expect("a file"), format!("calls {calls}\n")).expect("the file can be written");
    true
}

/// Makes the calls at pyperf's own pace until the time is over; returns how many threads were asked for.
fn make(master: i32, rate: u32, seconds: u64) -> u64 {
    let workers = process::children(master).into_iter().map(|worker| Target::of(worker, true));
    let mut processes: Vec<Target> = [Target::of(master, false)].into_iter().chain(workers).collect();
    priority::come_first();
    let (pace, clock) = (Pace::new(rate, 0), Clock::start());
    let start = clock.now();
    let (mut slot, mut asked) = (0, 0);
    while slot < u64::from(rate).saturating_mul(seconds) {
        sleep((start + pace.due(slot)).since(clock.now()));
        asked += processes.iter_mut().map(Target::ask).sum::<u64>();
        slot = pace.next(slot, clock.now().since(start));
    }
    asked
}

/// A process that calls are made for.
struct Target {
    pid: Pid,
    clock: ProcessClock,
    /// `syscall` of each thread.
    threads: Vec<File>,
    /// What is read of its memory; nothing where all threads sleep, as a sampler need not look again.
    pieces: Vec<RemoteIoVec>,
    bytes: Vec<u8>,
}

impl Target {
    fn of(pid: i32, at_work: bool) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
        let open = |task: fs::DirEntry| File::open(task.path().join("syscall")).ok();
        let pieces = if at_work { pieces(pid) } else { Vec::new() };
        Self {
            pid: Pid::from_raw(pid),
            clock: ProcessClock::of(pid).expect("the process lives"),
            threads: tasks.flatten().filter_map(open).collect(),
            bytes: vec![0; pieces.iter().map(|piece| piece.len).sum()],
            pieces,
        }
    }

    /// Makes the calls once; returns of how many threads.
    fn ask(&mut self) -> u64 {
        let mut said = [0; 192];
        for thread in &self.threads {
            assert!(thread.read_at(&mut said, 0).is_ok(), "a thread of {} has ended", self.pid);
        }
        let _ = self.clock.used();
        if !self.pieces.is_empty() {
            let read = process_vm_readv(self.pid, &mut [IoSliceMut::new(&mut self.bytes)], &self.pieces);
            assert_eq!(read, Ok(self.bytes.len()), "the memory of {} cannot be read", self.pid);
        }
        self.threads.len() as u64
    }
}

/// Pieces that are there, on pages of their own: the heap's first and the last of the main thread's stack.
fn pieces(pid: i32) -> Vec<RemoteIoVec> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process lives");
    let range = |name: &str| {
        let line = maps.lines().find(|line| line.ends_with(name)).expect("a process has a heap and a stack");
        let (start, end) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
        [start, end].map(|text| usize::from_str_radix(text, 16).expect("an address"))
    };
    let ([heap, _], [_, stack]) = (range("[heap]"), range("[stack]"));
    let place = |number: usize| match number % 2 {
        0 => heap + (number / 2) * PAGE,
        _ => stack - (number / 2 + 1) * PAGE,
    };
    PIECES.iter().enumerate().map(|(number, length)| RemoteIoVec { base: place(number), len: *length }).collect()
}
