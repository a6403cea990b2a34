//! Samples in the order in which they were recorded, packed to a few bytes each.
//!
//! A run of eight hours over a busy tree takes tens of millions of samples, so they are kept as a byte log: per sample the
//! time since the one before, thread, stack, state and CPU time as variable-length integers, nine bytes as a rule, and whole
//! blocks of them are deflated, to about half of that. The log is bounded: at [`SampleLog::CAPACITY`] bytes it takes no more, and says so.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::{StackId, ThreadId};
use crate::clock::Moment;
use crate::interned::Id;

/// What a thread was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// On a core; or ready for one, where that cannot be told apart.
    Running,
    /// Inside a request and asleep: in a system call, or waiting for a lock.
    Waiting,
    /// Asleep with no request to serve.
    #[default]
    Idle,
    /// Ready, and waiting for a core.
    Runnable,
    /// Asleep until another thread gives up the GIL.
    GilWait,
}

impl State {
    /// Every state, in the order of its number in a recording.
    pub const ALL: [Self; 5] = [Self::Running, Self::Waiting, Self::Idle, Self::Runnable, Self::GilWait];

    /// The name in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Runnable => "runnable",
            Self::GilWait => "GIL wait",
        }
    }
}

/// What a thread was waiting for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wait {
    /// The system call that it was in, such as `recv`.
    pub call: Arc<str>,
    /// What the call was on, where that is known: the address of a socket's peer, a file.
    pub on: Option<Arc<str>>,
}

/// The number of a wait in its recording.
pub type WaitId = Id<Wait>;

/// One thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub moment: Moment,
    /// Which thread.
    pub thread: ThreadId,
    /// Its stack.
    pub stack: StackId,
    /// What it was doing.
    pub state: State,
    /// Whether it held the GIL.
    pub gil: bool,
    /// What it was waiting for; of [`State::Waiting`] alone.
    pub wait: Option<WaitId>,
    /// CPU time that it used since it was last seen [`State::Running`], in whole microseconds; of that state alone.
    pub cpu: Duration,
}

impl Sample {
    /// A thread at work: on a core, with the GIL, and without a word about its CPU time.
    #[must_use]
    pub const fn running(moment: Moment, thread: ThreadId, stack: StackId) -> Self {
        Self { moment, thread, stack, state: State::Running, gil: true, wait: None, cpu: Duration::ZERO }
    }
}

/// The samples of a recording; those of one thread are in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleLog {
    /// What is full, deflated.
    blocks: Vec<Box<[u8]>>,
    /// Bytes in them.
    packed: usize,
    /// The block that grows.
    open: Vec<u8>,
    last: Moment,
    len: u64,
}

impl SampleLog {
    /// How large a log may grow: 1 GiB, some 250 million samples.
    pub const CAPACITY: usize = 1 << 30;

    /// So long a block is when it is packed.
    const BLOCK: usize = 64 << 10;

    /// Appends a sample; `false` when the log is full. Samples of several threads may come a little out of order.
    pub fn push(&mut self, sample: Sample) -> bool {
        if self.packed + self.open.len() >= Self::CAPACITY {
            return false;
        }
        let flags = (sample.state as u64) << 1 | u64::from(sample.gil);
        let gap = sample.moment.as_nanos().wrapping_sub(self.last.as_nanos()).cast_signed();
        // Zigzag: the sign becomes the lowest bit, so that a small step back is a small number too.
        self.write((gap << 1 ^ gap >> 63).cast_unsigned());
        self.write(u64::from(sample.thread.index()) << 4 | flags);
        self.write(u64::from(sample.stack.index()));
        match sample.state {
            State::Running => self.write(u64::try_from(sample.cpu.as_micros()).unwrap_or(u64::MAX)),
            State::Waiting => self.write(sample.wait.map_or(0, |wait| u64::from(wait.index()) + 1)),
            State::Idle | State::Runnable | State::GilWait => {}
        }
        self.last = sample.moment;
        self.len += 1;
        if self.open.len() >= Self::BLOCK {
            self.pack();
        }
        true
    }

    /// Packs the block that grows, and begins another.
    fn pack(&mut self) {
        let mut packed = DeflateEncoder::new(Vec::with_capacity(Self::BLOCK / 2), Compression::fast());
        let bytes = packed.write_all(&self.open).and_then(|()| packed.finish());
        // Writing to memory does not fail.
        let bytes = bytes.unwrap_or_default().into_boxed_slice();
        self.packed += bytes.len();
        self.blocks.push(bytes);
        self.open.clear();
    }

    /// How many samples there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the log ends now: reading from here later gives what came after.
    #[must_use]
    pub const fn end(&self) -> Cursor {
        Cursor { block: self.blocks.len(), offset: self.open.len(), last: self.last }
    }

    /// All samples.
    pub fn iter(&self) -> impl Iterator<Item = Sample> {
        self.since(Cursor::default())
    }

    /// The samples that came after the log ended at `cursor`.
    pub fn since(&self, cursor: Cursor) -> impl Iterator<Item = Sample> {
        let Cursor { block, offset, last } = cursor;
        let mut samples = Samples { log: self, block, bytes: Cow::default(), offset: 0, last };
        samples.unpack();
        samples.offset = offset;
        samples
    }

    /// LEB128: seven bits a byte, the lowest first; the top bit says that more follow.
    fn write(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return self.open.push(low & 0x7f);
            }
            self.open.push(low | 0x80);
        }
    }
}

/// A place between two samples of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    block: usize,
    offset: usize,
    last: Moment,
}

struct Samples<'a> {
    log: &'a SampleLog,
    block: usize,
    /// The block, unpacked.
    bytes: Cow<'a, [u8]>,
    offset: usize,
    last: Moment,
}

impl Samples<'_> {
    /// Gets at the bytes of the block.
    fn unpack(&mut self) {
        self.bytes = match self.log.blocks.get(self.block) {
            Some(block) => {
                let mut bytes = Vec::with_capacity(2 * SampleLog::BLOCK);
                // Reading what was packed here does not fail.
                let _ = DeflateDecoder::new(&**block).read_to_end(&mut bytes);
                Cow::Owned(bytes)
            }
            None => Cow::Borrowed(&self.log.open),
        };
        self.offset = 0;
    }

    /// Goes on to the next block at the end of one; `false` at the end of all.
    fn is_on(&mut self) -> bool {
        while self.offset >= self.bytes.len() {
            if self.block >= self.log.blocks.len() {
                return false;
            }
            self.block += 1;
            self.unpack();
        }
        true
    }

    fn read(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.offset)?;
            self.offset += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    }
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        if !self.is_on() {
            return None;
        }
        let gap = self.read()?;
        let who = self.read()?;
        let stack = self.read()?;
        let gap = gap >> 1 ^ (gap & 1).wrapping_neg();
        let state = *State::ALL.get((who >> 1) as usize & 0b111)?;
        let cpu = if state == State::Running { self.read()? } else { 0 };
        let wait = if state == State::Waiting { self.read()?.checked_sub(1) } else { None };
        self.last = Moment::from_nanos(self.last.as_nanos().wrapping_add(gap));
        Some(Sample {
            moment: self.last,
            thread: Id::from_index(u32::try_from(who >> 4).ok()?),
            stack: Id::from_index(u32::try_from(stack).ok()?),
            state,
            gil: who & 1 == 1,
            wait: wait.map(u32::try_from).transpose().ok()?.map(Id::from_index),
            cpu: Duration::from_micros(cpu),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sample() -> impl Strategy<Value = Sample> {
        let state = prop::sample::select(&State::ALL[..]);
        let parts =
            (0..u64::MAX / 2, 0..1u32 << 24, 0..u32::MAX, state, any::<bool>(), any::<Option<u16>>(), any::<u32>());
        parts.prop_map(|(moment, thread, stack, state, gil, wait, cpu)| Sample {
            moment: Moment::from_nanos(moment),
            thread: Id::from_index(thread),
            stack: Id::from_index(stack),
            state,
            gil,
            wait: wait.filter(|_| state == State::Waiting).map(|wait| Id::from_index(wait.into())),
            cpu: Duration::from_micros(if state == State::Running { cpu.into() } else { 0 }),
        })
    }

    proptest! {
        #[test]
        fn what_was_pushed_comes_back(samples in proptest::collection::vec(any_sample(), 0..50), cut in 0..50usize, repeat in prop::sample::select(&[1, 700][..])) {
            // So often that the log has several blocks.
            let samples = samples.repeat(repeat);
            let cut = cut * repeat.div_ceil(2);
            let cut = cut.min(samples.len());
            let mut log = SampleLog::default();
            for sample in &samples[..cut] {
                prop_assert!(log.push(*sample));
            }
            let cursor = log.end();
            for sample in &samples[cut..] {
                prop_assert!(log.push(*sample));
            }
            prop_assert_eq!(log.len(), samples.len() as u64);
            prop_assert_eq!(log.iter().collect::<Vec<_>>(), &samples[..]);
            prop_assert_eq!(log.since(cursor).collect::<Vec<_>>(), &samples[cut..]);
        }
    }

    #[test]
    fn a_sample_of_an_ordinary_run_takes_nine_bytes_at_most() {
        let mut log = SampleLog::default();
        for tick in 0..1000u32 {
            log.push(Sample {
                moment: Moment::from_nanos(u64::from(tick) * 2_500_000),
                thread: Id::from_index(tick % 4),
                stack: Id::from_index(tick * 7),
                state: State::Running,
                gil: true,
                wait: None,
                cpu: Duration::from_millis(10),
            });
        }
        assert!(log.open.len() <= 9 * 1000, "{} bytes", log.open.len());
    }
}
