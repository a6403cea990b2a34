//! A code object of the target, read once: function, file, and which instruction belongs to which line.
//!
//! The line table is that of CPython 3.11 and later (`Objects/locations.md`):
//! entries of a start byte, which holds a kind and a length in code units, and what the kind needs. What cannot be read or
//! makes no sense gives no code, never a guess.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::layout::{CodeLayout, Layout, TextLayout};
use super::memory::{Batch, Memory, int, word};

/// Longer names and files are not read; py-spy has the same limit.
const LONGEST_TEXT: usize = 4095;
/// Longer line tables are not read, and their lines are unknown; py-spy has the same limit.
const LONGEST_TABLE: usize = 65535;
/// More instructions (16 MB) are not believed.
const MOST_UNITS: i64 = 8 << 20;
/// So much of a text or a table is read at once with its header.
const FIRST: usize = 256;

/// The fields of a code object that stay the same while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Print {
    kind: u64,
    units: i64,
    first_line: i32,
    file: u64,
    name: u64,
    qualified: u64,
    lines: u64,
    /// Of all fields from the first line to the line table: numbers and names of variables, and from 3.12 on the version, which no
    /// two code objects of a process share (`co_version`).
    rest: u64,
}

impl Print {
    /// From the bytes of the struct.
    pub(super) fn of(bytes: &[u8], layout: &CodeLayout) -> Option<Self> {
        let rest = bytes.get(layout.first_line.min(layout.lines)..layout.lines)?;
        let print = Self {
            // `PyVarObject`: reference count, type, size (`Include/object.h`).
            kind: word(bytes, 8)?,
            units: word(bytes, 16)?.cast_signed(),
            first_line: int(bytes, layout.first_line)?,
            file: word(bytes, layout.file)?,
            name: word(bytes, layout.name)?,
            qualified: word(bytes, layout.qualified)?,
            lines: word(bytes, layout.lines)?,
            rest: FixedState::default().hash_one(rest),
        };
        (0..=MOST_UNITS).contains(&print.units).then_some(print)
    }

    /// The line of the function itself.
    pub(super) fn first_line(&self) -> u32 {
        u32::try_from(self.first_line).unwrap_or(0)
    }

    /// The type of the object.
    pub(super) const fn kind(&self) -> u64 {
        self.kind
    }

    /// Whether an instruction belongs to the code. Up to 3.12 a frame that has not begun stands one before the first.
    pub(super) fn covers(&self, offset: i64) -> bool {
        (-2..self.units * 2).contains(&offset)
    }
}

/// What a code object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) print: Print,
    pub(super) function: String,
    pub(super) file: String,
    pub(super) lines: Lines,
}

/// Reads code objects; keeps what it needs for that.
#[derive(Default)]
pub(super) struct Reader {
    batch: Batch,
}

impl Reader {
    /// Reads what a code object refers to. `None` when something is not there or no text.
    pub(super) fn read(&mut self, memory: &mut Memory, print: Print, layout: &Layout) -> Option<Code> {
        let text = &layout.text;
        self.batch.clear();
        for address in [print.file, print.qualified, print.lines] {
            self.batch.add(address, text.compact.max(text.bytes) + FIRST);
        }
        memory.read_batch(&mut self.batch);
        let file = self.text(memory, 0, print.file, text)?;
        let function = match self.text(memory, 1, print.qualified, text) {
            Some(function) => function,
            None => self.text(memory, usize::MAX, print.name, text)?,
        };
        let lines = self.table(memory, print.lines, text).map(|table| Lines::of(&table, print.first_line));
        Some(Code { print, function, file, lines: lines.unwrap_or_default() })
    }

    /// A string object, of which the beginning may be in a piece of the batch.
    fn text(&self, memory: &mut Memory, piece: usize, address: u64, layout: &TextLayout) -> Option<String> {
        let begun = self.batch.piece(piece).unwrap_or_default();
        let header = beginning(memory, begun, address, layout.ascii)?;
        let length = usize::try_from(word(&header, layout.length)?).ok().filter(|length| *length <= LONGEST_TEXT)?;
        // `interned`: 2 bits, `kind`: 3, `compact`: 1, `ascii`: 1.
        let state = int(&header, layout.state)?.cast_unsigned();
        let (width, compact, ascii) = ((state >> 2 & 7) as usize, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
        if length == 0 {
            return Some(String::new());
        }
        if !compact || !matches!(width, 1 | 2 | 4) {
            return None;
        }
        let place = if ascii { layout.ascii } else { layout.compact };
        let bytes = beginning(memory, begun, address, place + length * width)?;
        decode(bytes.get(place..place + length * width)?, width)
    }

    /// The line table, a bytes object, of which the beginning may be in the last piece of the batch.
    fn table(&self, memory: &mut Memory, address: u64, layout: &TextLayout) -> Option<Vec<u8>> {
        let begun = self.batch.piece(2).unwrap_or_default();
        let header = beginning(memory, begun, address, layout.bytes)?;
        let length = usize::try_from(word(&header, 16)?).ok().filter(|length| *length <= LONGEST_TABLE)?;
        let bytes = beginning(memory, begun, address, layout.bytes + length)?;
        Some(bytes.get(layout.bytes..layout.bytes + length)?.to_vec())
    }
}

/// The first bytes of an object: from what is there already, or else from the process.
fn beginning<'a>(
    memory: &mut Memory,
    begun: &'a [u8],
    address: u64,
    length: usize,
) -> Option<std::borrow::Cow<'a, [u8]>> {
    if let Some(bytes) = begun.get(..length) {
        return Some(bytes.into());
    }
    let mut bytes = vec![0; length];
    memory.read(address, &mut bytes)?;
    Some(bytes.into())
}

/// Characters of one width.
fn decode(bytes: &[u8], width: usize) -> Option<String> {
    let characters = bytes.chunks_exact(width).map(|character| {
        let mut code = [0; 4];
        code[..width].copy_from_slice(character);
        char::from_u32(u32::from_le_bytes(code))
    });
    characters.collect()
}

/// Which instructions belong to which line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    first: i32,
    /// Offset behind the last instruction of a stretch, in bytes, and its line.
    stretches: Vec<(u32, i32)>,
}

impl Lines {
    /// From a line table.
    pub(super) fn of(table: &[u8], first: i32) -> Self {
        let mut bytes = table.iter().copied();
        let (mut line, mut end, mut stretches) = (first, 0_u32, Vec::<(u32, i32)>::new());
        while let Some(start) = bytes.next() {
            end += (u32::from(start & 7) + 1) * 2;
            let delta = match start >> 3 & 15 {
                15 => 0,
                14 => {
                    let delta = signed(&mut bytes);
                    // The end line and two columns.
                    for _ in 0..3 {
                        let _ = varint(&mut bytes);
                    }
                    delta
                }
                13 => signed(&mut bytes),
                kind @ 10..=12 => {
                    // Two columns.
                    let _ = (bytes.next(), bytes.next());
                    i32::from(kind) - 10
                }
                _ => {
                    bytes.next();
                    0
                }
            };
            line = line.wrapping_add(delta);
            match stretches.last_mut() {
                Some(last) if last.1 == line => last.0 = end,
                _ => stretches.push((end, line)),
            }
        }
        stretches.shrink_to_fit();
        Self { first, stretches }
    }

    /// The line of the instruction at an offset; 0 when unknown.
    pub(super) fn at(&self, offset: i64) -> u32 {
        let found = self.stretches.partition_point(|(end, _)| i64::from(*end) <= offset);
        let line = self.stretches.get(found).or(self.stretches.last()).map_or(self.first, |(_, line)| *line);
        u32::try_from(line).unwrap_or(0)
    }

    /// How many stretches there are.
    pub(super) const fn len(&self) -> usize {
        self.stretches.len()
    }
}

/// Six bits a byte, the least significant first; bit 6 says that there are more.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let (mut value, mut shift) = (0_u32, 0);
    loop {
        let byte = bytes.next()?;
        value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            return Some(value);
        }
    }
}

/// The sign is the lowest bit.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> i32 {
    let value = varint(bytes).unwrap_or(0);
    let size = (value >> 1).cast_signed();
    if value & 1 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_table_from_a_real_function() {
        // CPython 3.11: def f(a):\n  b = a + 1\n\n  return (b +\n    a)
        let table = b"\x80\x00\xd8\x08\x09\x88A\x89\x05\x80A\xf0\x06\x00\x0d\x0e\xd8\x08\x09\xf1\x03\x01\x0d\x0a\xf0\x00\x01\x05\x0a";
        let lines = Lines::of(table, 1);
        assert_eq!((lines.at(-2), lines.at(0), lines.at(2)), (1, 1, 2));
        assert_eq!(lines.at(1 << 40), lines.at(i64::from(u32::MAX)));
        assert_eq!(Lines::of(&[], 7).at(4), 7);
    }

    #[test]
    fn any_bytes_are_a_table() {
        for length in 0..64_u8 {
            for seed in 0..=255_u8 {
                let table: Vec<u8> = (0..length).map(|place| place.wrapping_mul(37) ^ seed).collect();
                let lines = Lines::of(&table, i32::MAX);
                let _ = (lines.at(0), lines.at(-2), lines.at(999));
            }
        }
    }

    #[test]
    fn characters_of_every_width() {
        assert_eq!(decode(b"a\xe9", 1).as_deref(), Some("aé"));
        assert_eq!(decode(&[0xac, 0x20], 2).as_deref(), Some("€"));
        assert_eq!(decode(&[0x00, 0xf6, 0x01, 0x00], 4).as_deref(), Some("😀"));
        assert_eq!(decode(&[0, 0, 0x11, 0], 4), None);
        // Half a surrogate pair is no character.
        assert_eq!(decode(&[0x00, 0xd8], 2), None);
    }
}
