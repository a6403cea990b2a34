//! Memory that says anything: the reader on images that are made up, mutated, and that change while they are read.
//!
//! Half of the cases go through the whole reader, the others through its parts with a clock of their own, so that what is
//! known of code objects grows old. Each of the three shapes of memory that there are has its share: 3.11's, 3.12's, and that of
//! Pythons that tell their layout and count the deaths of code objects.
//!
//! `PYPERF_FUZZ_CASES` sets how many cases there are: 50 000 otherwise; `.ci/run` takes a million, optimised, which take about a
//! minute. What is asked for: no panic, no endless walk, no read without bound. Whether the answer is right is for the integration
//! tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::SnapshotReader;
use super::code_cache::{CodeCache, Named};
use super::layout::{CurrentFrame, FrameLayout, Layout, ThreadLayout, v3_11, v3_12};
use super::memory::Memory;
use super::threads::Threads;
use crate::clock::{Clock, Moment};
use crate::random::mix;
use crate::recording::Mode;
use crate::stack::pyspy::Found;
use crate::stack::{By, Line, Options, StackReader};

/// Where the image stands.
const BASE: u64 = 1 << 20;
const SIZE: usize = 1 << 17;

/// A source of numbers that is the same in every run of a case.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// A layout as 3.14 and later tell it.
fn told(found: Found) -> Layout {
    let known = v3_12(found);
    Layout {
        generation: Some(BASE + 0x60),
        thread: ThreadLayout { current: CurrentFrame::Here(72), ..known.thread },
        frame: FrameLayout { length: 80, owner: 74, tagged: true, stacktop: None, ..known.frame },
        ..known
    }
}

/// A process of a few threads with frames in a chunk, on the C stack and in generators.
fn image(layout: &Layout, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    let mut put = |address: u64, value: u64| {
        let place = usize::try_from(address.wrapping_sub(BASE)).unwrap_or(usize::MAX);
        if let Some(word) = bytes.get_mut(place..place.saturating_add(8)) {
            word.copy_from_slice(&value.to_ne_bytes());
        }
    };
    let threads = 1 + dice.below(4);
    let state = |number: u64| BASE + 0x1000 + number * 0x400;
    let code = |number: u64| BASE + 0x8000 + number * 0x400;
    put(layout.threads, state(0));
    // The type of code objects, its name, and a text that serves for all.
    put(BASE + 0x7000 + 24, BASE + 0x7100);
    put(BASE + 0x7100, u64::from_ne_bytes(*b"code\0\0\0\0"));
    put(BASE + 0x7200 + 16, 8);
    put(BASE + 0x7200 + 32, 1 << 2 | 1 << 5 | 1 << 6);
    (40..72).step_by(8).for_each(|place| put(BASE + 0x7200 + place, u64::from_ne_bytes(*b"function")));
    for number in 0..16 {
        put(code(number) + 8, BASE + 0x7000);
        put(code(number) + 16, 100);
        for field in [layout.code.file, layout.code.name, layout.code.qualified, layout.code.lines] {
            put(code(number) + field as u64, BASE + 0x7200);
        }
    }
    for number in 0..threads {
        let (state, chunk) = (state(number), BASE + 0x10000 + number * 0x4000);
        put(state + layout.thread.next as u64, if number + 1 < threads { self::state(number + 1) } else { 0 });
        put(state + layout.thread.interp as u64, layout.interpreter);
        put(state + 56, state + 0x300);
        put(state + layout.thread.ident as u64, dice.below(3));
        put(state + layout.thread.kernel_id as u64, dice.below(3));
        put(state + layout.thread.chunk as u64, chunk);
        put(state + layout.thread.chunk as u64 + 8, chunk + 0x2000);
        put(chunk + 8, 0x4000);
        let mut previous = 0;
        for depth in 0..dice.below(40) {
            let place = match dice.below(8) {
                0 => BASE + 0x4000 + dice.below(0x80) * 0x40,
                _ => chunk + 24 + depth * 0xb0,
            };
            let code = code(dice.below(16));
            put(place + layout.frame.code as u64, code);
            put(place + layout.frame.previous as u64, previous);
            put(place + layout.frame.instruction as u64, code + layout.code.instructions as u64 + dice.below(110) * 2);
            put(place + 64, dice.below(2).wrapping_sub(1) & 0xffff_ffff);
            put(place + layout.frame.owner as u64, dice.below(4));
            previous = place;
        }
        if let CurrentFrame::Here(offset) = layout.thread.current {
            put(state + offset as u64, previous);
        }
        put(state + 0x300, previous);
        put(state + 0x308, previous);
    }
    bytes
}

fn state(number: u64) -> u64 {
    BASE + 0x1000 + number * 0x400
}

/// Changes some words: to zero, to anything, to an address in the image.
fn mutate(bytes: &mut [u8], dice: &mut Dice, times: u64) {
    for _ in 0..times {
        let place = usize::try_from(dice.below(bytes.len() as u64 / 8 - 1) * 8).unwrap_or(0);
        let value = match dice.below(5) {
            0 => 0,
            1 => dice.next(),
            2 => u64::MAX - dice.below(64),
            _ => BASE + dice.below(SIZE as u64 / 8) * 8,
        };
        bytes[place..place + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

/// The image as memory, which changes with every so many reads; counts the bytes that are asked for.
fn memory(mut bytes: Vec<u8>, mut dice: Dice, restless: bool, asked: &Arc<AtomicU64>) -> Memory {
    let asked = Arc::clone(asked);
    Memory::made(Box::new(move |address, wanted| {
        asked.fetch_add(wanted.len() as u64, Relaxed);
        if restless && dice.below(4) == 0 {
            mutate(&mut bytes, &mut dice, 3);
        }
        let place = usize::try_from(address.wrapping_sub(BASE)).unwrap_or(usize::MAX);
        let found = bytes.get(place..place.saturating_add(wanted.len()));
        found.map(|found| wanted.copy_from_slice(found)).is_some()
    }))
}

/// Three samples of one made-up process; the bytes that were asked for, and how many frames have a name.
fn case(seed: u64) -> (u64, usize) {
    let mut dice = Dice(mix(seed));
    let interpreter = BASE + 0x100;
    let found = |minor| Found { version: (3, minor), interpreter, gil: BASE + 0x40, inside: false };
    let layout = match seed % 3 {
        0 => v3_11(found(11)),
        1 => v3_12(found(12)),
        _ => told(found(14)),
    };
    let mut bytes = if dice.below(8) == 0 {
        (0..SIZE / 8).flat_map(|_| (BASE + dice.below(SIZE as u64 / 8) * 8).to_ne_bytes()).collect()
    } else {
        image(&layout, &mut dice)
    };
    let mutations = [0, 1, 4, 64, 4096][usize::try_from(dice.below(5)).unwrap_or(0)];
    mutate(&mut bytes, &mut dice, mutations);
    let asked = Arc::default();
    let (restless, whole) = (dice.below(2) == 0, dice.below(2) == 0);
    let memory = memory(bytes, dice, restless, &asked);
    let named = if whole { read(memory, layout) } else { read_by_parts(memory, layout) };
    (asked.load(Relaxed), named)
}

/// By the reader as it is used, of a process that the kernel does not know.
fn read(memory: Memory, layout: Layout) -> usize {
    let options = Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by: By::Snapshot };
    let codes = CodeCache::new(None);
    let mut reader = SnapshotReader::over(i32::MAX, memory, layout, codes, "3".into(), options, Clock::start());
    let mut named = 0;
    for _ in 0..3 {
        let threads = reader.read().unwrap_or_default();
        named += threads.iter().map(|thread| thread.stack.iter().count()).sum::<usize>();
    }
    named
}

/// By its parts, a second between two samples.
fn read_by_parts(mut memory: Memory, layout: Layout) -> usize {
    let (mut threads, mut codes) = (Threads::of(layout), CodeCache::new(None));
    let mut named = 0;
    for sample in 0..3 {
        let Ok(taken) = threads.take(&mut memory) else {
            continue;
        };
        let now = Moment::from_nanos(sample * 1_000_000_000);
        let frames = taken.threads.iter().flat_map(|thread| &thread.frames);
        codes.settle(&mut memory, &threads.layout, frames, taken.generation, now);
        for frame in taken.threads.iter().flat_map(|thread| &thread.frames) {
            named += usize::from(matches!(codes.name(frame, &threads.layout, Line::Current), Named::As(..)));
        }
    }
    named
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a test may take is said by the session")]
fn memory_that_says_anything_is_read_within_bounds() {
    let cases = std::env::var("PYPERF_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(50_000);
    let (mut named, mut most) = (0, 0);
    for seed in 0..cases {
        let (asked, frames) = case(seed);
        named += frames;
        most = most.max(asked);
        // 3 samples of at most 32 reads each; a process with 4 threads has never more than this to read.
        assert!(asked < 256 << 20, "case {seed}: {asked} bytes");
    }
    // The images are such that something is found: the cases are not all refused at the door.
    assert!(named > usize::try_from(cases).unwrap_or(0), "{named} frames in {cases} cases");
    assert!(most > 0);
}
