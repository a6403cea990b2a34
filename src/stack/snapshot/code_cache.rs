//! The code objects of a process by address, checked again while they are in use.
//!
//! A code object never changes, but it can die and another take its address (`exec` in a loop, a reloaded module). From 3.14 on the
//! interpreter counts deaths; before, an entry is believed for a quarter of a second and then compared with the struct in
//! memory, many in one system call; a thread that stands still is shown with what was believed for another quarter. An
//! instruction outside of its code is never given a line. A fork begins with what is known of its parent's codes. Bounded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::code::{Code, Print, Reader};
use super::frames::RawFrame;
use super::layout::Layout;
use super::memory::{Batch, Memory};
use crate::clock::Moment;
use crate::recording::Frame;
use crate::stack::request::is_of_request;
use crate::stack::{Line, cut};

/// How long an entry is believed.
pub(super) const BELIEVED: Duration = Duration::from_millis(250);
/// Code objects that are kept; a large application has some 50 000, of which a fraction ever runs.
const MOST: usize = 20_000;
/// Stretches of lines that are kept, 8 bytes each.
const MOST_STRETCHES: usize = 4 << 20;

/// What a frame is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This, and whether it stands around a request.
    As(Arc<Frame>, bool),
    /// It is to be left out: it belongs to the interpreter, or has no readable name.
    Hidden,
    /// There is no such code, or not where the frame executes.
    Nonsense,
}

pub(super) struct CodeCache {
    entries: HashMap<u64, Entry, RandomState>,
    /// Address of the type of code objects, once it is known.
    kind: Option<u64>,
    /// The root directory of a process that has files of its own.
    root: Option<PathBuf>,
    short: HashMap<String, Option<String>>,
    /// The number of deaths of the present sample.
    generation: Option<u64>,
    stretches: usize,
    reader: Reader,
    batch: Batch,
    /// Codes of the present sample that must be looked at.
    doubtful: Vec<u64>,
}

#[derive(Clone)]
struct Entry {
    print: Print,
    /// `None` when its texts could not be read.
    code: Option<Arc<Code>>,
    short_file: Option<String>,
    /// `None` in a fork that has not compared it yet.
    checked: Option<Moment>,
    /// The number of deaths when it was checked.
    generation: Option<u64>,
    /// Whether the function stands around a request.
    serves: bool,
    /// A frame for each line that was seen, in no order: there are few.
    frames: Vec<Arc<Frame>>,
}

impl Entry {
    /// How many stretches of lines its table has.
    fn stretches(&self) -> usize {
        self.code.as_ref().map_or(0, |code| code.lines.len())
    }

    /// The frame of a line, made when it is first seen.
    fn frame(&mut self, line: u32) -> Option<Arc<Frame>> {
        if let Some(known) = self.frames.iter().find(|frame| frame.line == line) {
            return Some(Arc::clone(known));
        }
        let code = self.code.as_ref()?;
        let (function, file) = (code.function.clone(), code.file.clone());
        let frame = Arc::new(Frame { function, file, short_file: self.short_file.clone(), line });
        if self.frames.len() <= code.lines.len() {
            self.frames.push(Arc::clone(&frame));
        }
        Some(frame)
    }
}

impl CodeCache {
    pub(super) fn new(root: Option<PathBuf>) -> Self {
        Self {
            entries: HashMap::default(),
            kind: None,
            root,
            short: HashMap::new(),
            generation: None,
            stretches: 0,
            reader: Reader::default(),
            batch: Batch::default(),
            doubtful: Vec::new(),
        }
    }

    /// Whether the process has files of its own.
    pub(super) const fn has_root(&self) -> bool {
        self.root.is_some()
    }

    /// For a process that was forked from this one: it has the same codes, but none is believed before it has been compared.
    pub(super) fn of_fork(&self, root: Option<PathBuf>) -> Self {
        let unchecked = |entry: &Entry| Entry { checked: None, generation: None, ..entry.clone() };
        Self {
            entries: self.entries.iter().map(|(address, entry)| (*address, unchecked(entry))).collect(),
            kind: self.kind,
            stretches: self.stretches,
            ..Self::new(root)
        }
    }

    /// Makes sure that what is known of the codes of these frames is true now.
    pub(super) fn settle<'a>(
        &mut self,
        memory: &mut Memory,
        layout: &Layout,
        frames: impl Iterator<Item = &'a RawFrame>,
        generation: Option<u64>,
        now: Moment,
    ) {
        self.doubtful.clear();
        for frame in frames {
            let believed = self.entries.get(&frame.code).is_some_and(|entry| match generation {
                // It was read with the frames, so a death after that is seen with the next sample.
                Some(_) => entry.generation == generation,
                None => entry.checked.is_some_and(|checked| now.since(checked) < BELIEVED),
            });
            if !believed {
                self.doubtful.push(frame.code);
            }
        }
        if self.doubtful.is_empty() {
            return;
        }
        self.generation = generation;
        self.doubtful.sort_unstable();
        self.doubtful.dedup();
        self.look(memory, layout, now);
    }

    /// Compares entries with memory, and reads those that are new.
    fn look(&mut self, memory: &mut Memory, layout: &Layout, now: Moment) {
        if self.entries.len() + self.doubtful.len() > MOST || self.stretches > MOST_STRETCHES {
            self.entries.clear();
            self.stretches = 0;
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        for address in &self.doubtful {
            batch.add(*address, layout.code.instructions);
        }
        memory.read_batch(&mut batch);
        for number in 0..batch.len() {
            let address = batch.address(number);
            let print = batch.piece(number).and_then(|bytes| Print::of(bytes, &layout.code));
            match print {
                Some(print) if self.entries.get(&address).is_some_and(|entry| entry.print == print) => {
                    if let Some(entry) = self.entries.get_mut(&address) {
                        entry.checked = Some(now);
                        entry.generation = self.generation;
                    }
                }
                Some(print) if self.is_code(memory, print.kind()) => self.insert(memory, layout, address, print, now),
                _ => self.stretches -= self.entries.remove(&address).as_ref().map_or(0, Entry::stretches),
            }
        }
        self.batch = batch;
    }

    fn insert(&mut self, memory: &mut Memory, layout: &Layout, address: u64, print: Print, now: Moment) {
        let code = self.reader.read(memory, print, layout);
        let code = code.map(|code| Arc::new(Code { function: cut(code.function), file: cut(code.file), ..code }));
        let short_file = code.as_ref().and_then(|code| self.shorten(&code.file));
        let generation = self.generation;
        let checked = Some(now);
        let mut entry = Entry { print, code, short_file, checked, generation, serves: false, frames: Vec::new() };
        entry.serves = entry.frame(print.first_line()).is_some_and(|frame| is_of_request(&frame));
        self.stretches += entry.stretches();
        let former = self.entries.insert(address, entry);
        self.stretches -= former.as_ref().map_or(0, Entry::stretches);
    }

    /// Whether that is the type of code objects. The first that calls itself so is believed to be the only one.
    fn is_code(&mut self, memory: &mut Memory, kind: u64) -> bool {
        if let Some(known) = self.kind {
            return known == kind;
        }
        let mut name = [0; 5];
        // `tp_name` is the first field behind `PyVarObject` (`Include/cpython/object.h`).
        let address = memory.word(kind.wrapping_add(24)).unwrap_or(0);
        let found = memory.read(address, &mut name).is_some() && name == *b"code\0";
        self.kind = found.then_some(kind);
        found
    }

    /// What a frame is called, once its code is settled.
    pub(super) fn name(&mut self, frame: &RawFrame, layout: &Layout, line: Line) -> Named {
        let Some(entry) = self.entries.get_mut(&frame.code) else {
            return Named::Nonsense;
        };
        let begin = frame.code.wrapping_add(layout.code.instructions as u64);
        let offset = frame.instruction.wrapping_sub(begin).cast_signed();
        if !entry.print.covers(offset) {
            return Named::Nonsense;
        }
        let line = match (&entry.code, line) {
            // The interpreter's own code objects, of 3.12 and later (`Python/specialize.c`, `Python/frame.c`).
            (Some(code), _) if code.file.is_empty() || code.file == "<shim>" => return Named::Hidden,
            (None, _) => return Named::Hidden,
            (Some(_), Line::First) => entry.print.first_line(),
            (Some(code), Line::Current) => code.lines.at(offset),
        };
        entry.frame(line).map_or(Named::Hidden, |frame| Named::As(frame, entry.serves))
    }

    /// The file without the directories above its outermost package.
    fn shorten(&mut self, file: &str) -> Option<String> {
        if let Some(known) = self.short.get(file) {
            return known.clone();
        }
        if self.short.len() > MOST {
            self.short.clear();
        }
        let inside = self.root.as_ref().map(|root| root.join(file.trim_start_matches('/')));
        let path = inside.filter(|path| path.exists()).unwrap_or_else(|| file.into());
        let short = below_packages(&path).map(cut);
        self.short.insert(file.into(), short.clone());
        short
    }
}

/// The root directory of a process that has files of its own.
pub(super) fn root_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root"))
}

/// The path from the directory that holds its outermost package, as py-spy has it.
fn below_packages(file: &Path) -> Option<String> {
    let top = file.ancestors().skip(1).find(|directory| !directory.join("__init__.py").exists());
    let top = top.or_else(|| file.ancestors().last())?;
    Some(file.strip_prefix(top).ok()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::clock::Clock;
    use crate::stack::pyspy::Found;
    use crate::stack::snapshot::layout::v3_12;

    const CODE: u64 = 0x1000;
    const KIND: u64 = 0x2000;
    const KIND_NAME: u64 = 0x2100;
    const FILE: u64 = 0x3000;
    const VIEW: u64 = 0x4000;
    const OTHER: u64 = 0x5000;
    const LINES: u64 = 0x6000;

    /// What is at an address of a process whose one code object has its name there.
    fn at(address: u64, name: u64) -> Vec<u8> {
        let put = |length: usize, fields: &[(usize, u64)], text: &str| {
            let mut bytes = vec![0; length];
            for (offset, value) in fields {
                bytes[*offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
            }
            bytes.extend(text.as_bytes());
            bytes
        };
        // Compact, ASCII, a byte for each character.
        let text = |text: &str| put(40, &[(16, text.len() as u64), (32, 1 << 6 | 1 << 5 | 1 << 2)], text);
        match address {
            CODE => put(192, &[(8, KIND), (16, 50), (112, FILE), (120, name), (128, name), (136, LINES)], ""),
            KIND => put(32, &[(24, KIND_NAME)], ""),
            KIND_NAME => put(0, &[], "code\0"),
            FILE => text("app.py"),
            VIEW => text("view"),
            OTHER => text("other"),
            _ => Vec::new(),
        }
    }

    /// What a frame of that code is called, how often the code was looked at for that, and how often its texts were read.
    fn named(codes: &mut CodeCache, name: u64) -> (String, u32, u32) {
        let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let counted = Arc::clone(&counts);
        let mut memory = Memory::made(Box::new(move |address, bytes| {
            counted[0].fetch_add(u32::from(address == CODE), Relaxed);
            counted[1].fetch_add(u32::from(address == name), Relaxed);
            let (start, offset) = if address == KIND + 24 { (KIND, 24) } else { (address, 0) };
            bytes.iter_mut().zip(at(start, name).iter().skip(offset)).for_each(|(byte, there)| *byte = *there);
            true
        }));
        let layout = v3_12(Found { version: (3, 12), interpreter: 0x10000, gil: 0, inside: false });
        let frame = RawFrame { code: CODE, instruction: CODE + 192, ..RawFrame::default() };
        codes.settle(&mut memory, &layout, [frame].iter(), None, Clock::start().now());
        let Named::As(shown, _) = codes.name(&frame, &layout, Line::Current) else { panic!("it is a code object") };
        let [looks, reads] = [&counts[0], &counts[1]].map(|count| count.load(Relaxed));
        (shown.function.clone(), looks, reads)
    }

    #[test]
    fn a_fork_compares_the_codes_of_its_parent_and_reads_only_those_that_are_others() {
        let mut parent = CodeCache::new(None);
        assert_eq!(named(&mut parent, VIEW), ("view".to_owned(), 1, 1));
        assert_eq!(named(&mut parent, VIEW), ("view".to_owned(), 0, 0));
        let mut fork = parent.of_fork(None);
        assert_eq!(named(&mut fork, VIEW), ("view".to_owned(), 1, 0));
        assert_eq!(named(&mut fork, VIEW), ("view".to_owned(), 0, 0));
        assert_eq!(named(&mut parent.of_fork(None), OTHER), ("other".to_owned(), 1, 1));
    }
}
