//! Another process's memory, many pieces at a time.
//!
//! One `process_vm_readv` takes a whole [`Batch`] of pieces in their order: a piece costs 0.4 µs there, and 1.5 µs and a system
//! call of its own through `/proc/PID/mem`, which serves where the call is forbidden (old container runtimes). The order matters
//! to whoever compares two copies of the same memory. A piece that is not mapped spoils no other. What the bytes mean is none
//! of its business.

use std::io::IoSliceMut;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::process::image::Image;

/// How many pieces the kernel takes in one call (`include/uapi/linux/uio.h`, `UIO_MAXIOV`).
const PIECES: usize = 1024;

/// The memory of one process, in the address space that it had when this was opened.
pub(super) struct Memory {
    source: Source,
    /// System calls so far.
    pub(super) calls: u64,
}

enum Source {
    /// Read by pid, or from the open file where that is forbidden.
    Process { image: Image, pid: Option<Pid> },
    /// Memory that a test makes up.
    #[cfg(test)]
    Made(Made),
}

/// Fills the bytes at an address, or says that nothing is there. No bytes at 0 ask whether the program is the same still.
#[cfg(test)]
pub(super) type Made = Box<dyn FnMut(u64, &mut [u8]) -> bool + Send>;

impl Memory {
    pub(super) fn of(pid: i32) -> std::io::Result<Self> {
        let image = Image::open(pid)?;
        Ok(Self { source: Source::Process { image, pid: Some(Pid::from_raw(pid)) }, calls: 0 })
    }

    #[cfg(test)]
    pub(super) fn made(made: Made) -> Self {
        Self { source: Source::Made(made), calls: 0 }
    }

    /// Whether the process still runs in the address space that this was opened on.
    pub(super) fn is_current(&mut self) -> bool {
        match &mut self.source {
            Source::Process { image, .. } => {
                self.calls += 1;
                image.is_current()
            }
            #[cfg(test)]
            Source::Made(made) => made(0, &mut []),
        }
    }

    /// Reads one piece whole.
    pub(super) fn read(&mut self, address: u64, bytes: &mut [u8]) -> Option<()> {
        let Ok(base) = usize::try_from(address) else {
            return None;
        };
        let wanted = bytes.len();
        self.calls += 1;
        match &mut self.source {
            Source::Process { pid: Some(pid), .. } => {
                let remote = [RemoteIoVec { base, len: wanted }];
                match process_vm_readv(*pid, &mut [IoSliceMut::new(bytes)], &remote) {
                    Ok(read) => (read == wanted).then_some(()),
                    Err(Errno::EPERM | Errno::ENOSYS) => self.turn_to_file().then(|| self.read(address, bytes))?,
                    Err(_) => None,
                }
            }
            Source::Process { image, pid: None } => image.read(address, bytes),
            #[cfg(test)]
            Source::Made(made) => made(address, bytes).then_some(()),
        }
    }

    /// Reads one word.
    pub(super) fn word(&mut self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Some(u64::from_ne_bytes(bytes))
    }

    /// Reads every piece of a batch, in order; those that cannot be read are marked so.
    pub(super) fn read_batch(&mut self, batch: &mut Batch) {
        batch.bytes.resize(batch.length, 0);
        batch.held.clear();
        batch.held.resize(batch.pieces.len(), false);
        let mut next = 0;
        while next < batch.pieces.len() {
            next = match self.read_some(batch, next) {
                Some(reached) => reached,
                None if self.turn_to_file() => next,
                None => return,
            };
        }
    }

    /// Reads on from a piece; returns the first one that was not tried yet, or nothing when the call is forbidden.
    fn read_some(&mut self, batch: &mut Batch, first: usize) -> Option<usize> {
        let end = batch.pieces.len().min(first + PIECES);
        let start = batch.places[first];
        if let Source::Process { pid: Some(pid), .. } = &self.source {
            self.calls += 1;
            let mut local = [IoSliceMut::new(&mut batch.bytes[start..])];
            return match process_vm_readv(*pid, &mut local, &batch.pieces[first..end]) {
                Ok(read) => Some(batch.mark(first, end, read)),
                Err(Errno::EPERM | Errno::ENOSYS) => None,
                // The first piece is not there.
                Err(_) => Some(first + 1),
            };
        }
        let (address, end) = (batch.pieces[first].base as u64, start + batch.pieces[first].len);
        batch.held[first] = self.read(address, &mut batch.bytes[start..end]).is_some();
        Some(first + 1)
    }

    /// Gives up the call for the file; `false` when there is nothing to turn to.
    fn turn_to_file(&mut self) -> bool {
        match &mut self.source {
            Source::Process { pid, .. } => pid.take().is_some(),
            #[cfg(test)]
            Source::Made(_) => false,
        }
    }
}

/// Pieces of memory to be read together, and their bytes once they are.
#[derive(Default)]
pub(super) struct Batch {
    pieces: Vec<RemoteIoVec>,
    /// Where each piece begins in the bytes.
    places: Vec<usize>,
    held: Vec<bool>,
    bytes: Vec<u8>,
    length: usize,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.places.clear();
        self.held.clear();
        self.length = 0;
    }

    /// How many bytes they have together.
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// How many pieces there are.
    pub(super) const fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Adds a piece; returns its number.
    pub(super) fn add(&mut self, address: u64, length: usize) -> usize {
        self.pieces.push(RemoteIoVec { base: usize::try_from(address).unwrap_or(0), len: length });
        self.places.push(self.length);
        self.length += length;
        self.pieces.len() - 1
    }

    /// The bytes of a piece, if they could be read.
    pub(super) fn piece(&self, number: usize) -> Option<&[u8]> {
        if !*self.held.get(number)? {
            return None;
        }
        let place = *self.places.get(number)?;
        self.bytes.get(place..place + self.pieces.get(number)?.len)
    }

    /// Where a piece was read from.
    pub(super) fn address(&self, number: usize) -> u64 {
        self.pieces.get(number).map_or(0, |piece| piece.base as u64)
    }

    /// Marks what `read` bytes cover from piece `first` on; returns the first piece that was not tried.
    fn mark(&mut self, first: usize, end: usize, read: usize) -> usize {
        let mut left = read;
        for number in first..end {
            let length = self.pieces[number].len;
            if left < length {
                // Reading stopped at a piece that is not there.
                return number + 1;
            }
            self.held[number] = true;
            left -= length;
        }
        end
    }
}

/// The unsigned 64-bit word at an offset.
pub(super) fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
}

/// The signed 32-bit word at an offset.
pub(super) fn int(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id().cast_signed()).expect("our own memory can be read")
    }

    fn address<T>(of: &T) -> u64 {
        std::ptr::from_ref(of) as u64
    }

    #[test]
    fn pieces_come_in_order_and_a_bad_one_spoils_no_other() {
        let (one, two) = ([1_u8; 64], [2_u8; 5000]);
        let mut batch = Batch::default();
        batch.add(0x10, 8);
        batch.add(address(&one), one.len());
        batch.add(0x20, 8);
        batch.add(0x30, 8);
        batch.add(address(&two), two.len());
        batch.add(0x40, 8);
        for file in [false, true] {
            let mut memory = own();
            assert!(!file || memory.turn_to_file());
            memory.read_batch(&mut batch);
            assert_eq!(batch.piece(1), Some(&one[..]));
            assert_eq!(batch.piece(4), Some(&two[..]));
            assert!([0, 2, 3, 5, 6].iter().all(|bad| batch.piece(*bad).is_none()));
        }
    }

    #[test]
    fn more_pieces_than_the_kernel_takes_at_once() {
        let words: Vec<u64> = (0..3000).collect();
        let mut batch = Batch::default();
        for word in &words {
            batch.add(address(word), 8);
        }
        let mut memory = own();
        memory.read_batch(&mut batch);
        assert_eq!(memory.calls, 3);
        assert!((0..3000).all(|number| word(batch.piece(number).expect("read"), 0) == Some(number as u64)));
    }

    #[test]
    fn one_word_at_a_time() {
        let value = 7_u64;
        let mut memory = own();
        assert_eq!(memory.word(address(&value)), Some(7));
        assert_eq!(memory.word(8), None);
        assert!(memory.is_current());
    }
}
