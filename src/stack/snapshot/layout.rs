//! Where the fields of CPython's structs stand: a table for 3.11 and 3.12, what the process says itself from 3.13 on.
//!
//! Sizes and offsets are those of 64-bit Linux, and the same on x86-64 and aarch64 (compared by `offsetof` over the headers of
//! 3.11.7, 3.12.1 and 3.13.0). None depends on the C library, and none on the micro version: the structs of a
//! minor version never changed after its release. Every offset from the process is checked here, so that the walker can
//! trust it; that the whole makes sense is shown by comparing stacks with py-spy's (`check`).

use super::debug_offsets::DebugOffsets;
use super::memory::{Memory, word};
use crate::stack::pyspy::Found;

/// The longest struct that is believed, in bytes.
const LONGEST: u64 = 8192;

/// The layout of one process, and the addresses that never change while it lives.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Address of the head of the list of threads.
    pub(super) threads: u64,
    pub(super) interpreter: u64,
    pub(super) gil: Gil,
    /// Address of the number that changes when a code object dies (3.14 and later).
    pub(super) generation: Option<u64>,
    pub(super) thread: ThreadLayout,
    pub(super) frame: FrameLayout,
    pub(super) code: CodeLayout,
    pub(super) text: TextLayout,
}

/// How to know which thread holds the GIL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gil {
    /// A pointer to the thread's state stands there (`_PyRuntime.gilstate.tstate_current`).
    Current(u64),
    /// `struct _gil_runtime_state` stands there (`Include/internal/pycore_gil.h`): the last holder, and whether it is locked.
    State {
        address: u64,
        holder: usize,
        locked: usize,
    },
    Unknown,
}

/// `PyThreadState` (`Include/cpython/pystate.h`).
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadLayout {
    /// As much of the struct as holds the fields below.
    pub(super) length: usize,
    pub(super) next: usize,
    pub(super) interp: usize,
    pub(super) current: CurrentFrame,
    pub(super) ident: usize,
    pub(super) kernel_id: usize,
    /// `datastack_chunk`, and behind it `datastack_top`.
    pub(super) chunk: usize,
}

/// Where a thread's innermost frame is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum CurrentFrame {
    /// In the thread's state.
    Here(usize),
    /// In the `_PyCFrame` that it points to, which is on the C stack (3.11, 3.12).
    Through { cframe: usize, frame: usize },
}

/// `_PyInterpreterFrame` (`Include/internal/pycore_frame.h`, from 3.14 `pycore_interpframe_structs.h`).
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLayout {
    /// The part before the local variables.
    pub(super) length: usize,
    pub(super) code: usize,
    pub(super) previous: usize,
    pub(super) instruction: usize,
    pub(super) owner: usize,
    /// The lowest owner of frames that are no Python function's.
    pub(super) shim: u8,
    /// Whether the pointer to the code carries tags in its lowest bits (3.14 and later).
    pub(super) tagged: bool,
    /// `stacktop`, up to 3.13: -1 exactly while the frame's own code runs, or C code that it called (`Python/ceval.c`).
    pub(super) stacktop: Option<usize>,
    /// Whether C code called the frame (3.11); later a shim below it says so.
    pub(super) entry: Option<usize>,
}

/// `PyCodeObject` (`Include/cpython/code.h`).
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeLayout {
    pub(super) first_line: usize,
    pub(super) file: usize,
    pub(super) name: usize,
    pub(super) qualified: usize,
    pub(super) lines: usize,
    /// Where the instructions begin: the end of the struct.
    pub(super) instructions: usize,
}

/// `PyUnicodeObject` and `PyBytesObject` (`Include/cpython/unicodeobject.h`, `bytesobject.h`).
#[derive(Clone, Copy, Debug)]
pub(super) struct TextLayout {
    pub(super) length: usize,
    pub(super) state: usize,
    /// Where the characters of an ASCII string begin, and those of any other compact one.
    pub(super) ascii: usize,
    pub(super) compact: usize,
    pub(super) bytes: usize,
}

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoLayout {
    #[error("no layout is known for this architecture, only for x86-64 and aarch64")]
    Architecture,
    #[error("no layout is known for Python {0}.{1}")]
    Version(u64, u64),
    #[error("it is a free-threaded build")]
    FreeThreaded,
    #[error("its own description of its layout was not found or makes no sense")]
    Offsets,
}

impl FrameLayout {
    /// Whether bytes can be those of a frame, as far as they tell.
    pub(super) fn can_be(&self, bytes: &[u8]) -> bool {
        let aligned = |offset| word(bytes, offset).is_some_and(|value| value.is_multiple_of(8));
        let code = word(bytes, self.code).unwrap_or(0);
        let owner = bytes.get(self.owner).copied().unwrap_or(u8::MAX);
        aligned(self.previous)
            && (self.is_shim(bytes) || owner < 3 && code != 0 && (self.tagged || code.is_multiple_of(8)))
    }

    /// Whether bytes are those of a frame that is no Python function's, and on the C stack (`FRAME_OWNED_BY_CSTACK` up to 3.13, then
    /// `FRAME_OWNED_BY_INTERPRETER`). 3.11 has none.
    pub(super) fn is_shim(&self, bytes: &[u8]) -> bool {
        self.entry.is_none() && bytes.get(self.owner).is_some_and(|owner| (self.shim..=4).contains(owner))
    }

    /// Whether bytes are those of a frame that stands in its generator or coroutine (`FRAME_OWNED_BY_GENERATOR`).
    pub(super) fn is_generators(&self, bytes: &[u8]) -> bool {
        bytes.get(self.owner) == Some(&1)
    }
}

impl Layout {
    pub(super) fn of(memory: &mut Memory, found: Found) -> Result<Self, NoLayout> {
        if !cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), target_pointer_width = "64")) {
            return Err(NoLayout::Architecture);
        }
        match found.version {
            (3, 11) => Ok(v3_11(found)),
            (3, 12) => Ok(v3_12(found)),
            (3, minor @ 13..=15) => {
                let offsets = DebugOffsets::find(memory, found.interpreter, minor).ok_or(NoLayout::Offsets)?;
                if offsets.get("head", "free_threaded") != Some(0) {
                    return Err(NoLayout::FreeThreaded);
                }
                told(&offsets, found).ok_or(NoLayout::Offsets)
            }
            (major, minor) => Err(NoLayout::Version(major, minor)),
        }
    }
}

pub(super) fn v3_11(found: Found) -> Layout {
    Layout {
        threads: found.interpreter.wrapping_add(16),
        interpreter: found.interpreter,
        gil: if found.gil == 0 { Gil::Unknown } else { Gil::Current(found.gil) },
        generation: None,
        thread: ThreadLayout {
            length: 312,
            next: 8,
            interp: 16,
            current: CurrentFrame::Through { cframe: 56, frame: 8 },
            ident: 152,
            kernel_id: 160,
            chunk: 296,
        },
        frame: FrameLayout {
            length: 72,
            code: 32,
            previous: 48,
            instruction: 56,
            owner: 69,
            shim: 3,
            tagged: false,
            stacktop: Some(64),
            entry: Some(68),
        },
        code: CodeLayout { first_line: 72, file: 112, name: 120, qualified: 128, lines: 136, instructions: 184 },
        text: TextLayout { length: 16, state: 32, ascii: 48, compact: 72, bytes: 32 },
    }
}

pub(super) fn v3_12(found: Found) -> Layout {
    Layout {
        threads: found.interpreter.wrapping_add(72),
        interpreter: found.interpreter,
        gil: match found.gil {
            0 => Gil::Unknown,
            address => Gil::State { address, holder: 8, locked: 16 },
        },
        generation: None,
        thread: ThreadLayout {
            length: 248,
            next: 8,
            interp: 16,
            current: CurrentFrame::Through { cframe: 56, frame: 0 },
            ident: 136,
            kernel_id: 144,
            chunk: 232,
        },
        frame: FrameLayout {
            length: 72,
            code: 0,
            previous: 8,
            instruction: 56,
            owner: 70,
            shim: 3,
            tagged: false,
            stacktop: Some(64),
            entry: None,
        },
        code: CodeLayout { first_line: 68, file: 112, name: 120, qualified: 128, lines: 136, instructions: 192 },
        text: TextLayout { length: 16, state: 32, ascii: 40, compact: 56, bytes: 32 },
    }
}

/// The layout that the process itself tells.
fn told(offsets: &DebugOffsets, found: Found) -> Option<Layout> {
    let field = |section, name, width| field(offsets, section, name, width);
    let within = |name| Some(found.interpreter.wrapping_add(field("interpreter_state", name, 8)? as u64));
    let old = found.version < (3, 14);
    let chunk = field("thread_state", "datastack_chunk", 16)?;
    let thread = ThreadLayout {
        length: 0,
        next: field("thread_state", "next", 8)?,
        interp: field("thread_state", "interp", 8)?,
        current: CurrentFrame::Here(field("thread_state", "current_frame", 8)?),
        ident: field("thread_state", "thread_id", 8)?,
        kernel_id: field("thread_state", "native_thread_id", 8)?,
        chunk,
    };
    let CurrentFrame::Here(current) = thread.current else {
        return None;
    };
    let ends = [thread.next, thread.interp, current, thread.ident, thread.kernel_id, chunk + 8];
    let thread = ThreadLayout { length: ends.into_iter().max()? + 8, ..thread };
    let instruction = field("interpreter_frame", "instr_ptr", 8)?;
    let frame = FrameLayout {
        length: field("interpreter_frame", "localsplus", 8)?,
        code: field("interpreter_frame", "executable", 8)?,
        previous: field("interpreter_frame", "previous", 8)?,
        instruction,
        owner: field("interpreter_frame", "owner", 1)?,
        shim: 3,
        tagged: !old,
        // It is not told; up to 3.13 it follows the instruction.
        stacktop: old.then_some(instruction + 8),
        entry: None,
    };
    let header = [frame.code, frame.previous, frame.instruction, frame.owner];
    let ascii = field("unicode_object", "asciiobject_size", 0)?;
    let layout = Layout {
        threads: within("threads_head")?,
        interpreter: found.interpreter,
        gil: gil(offsets, found),
        generation: if old { None } else { Some(within("code_object_generation")?) },
        thread,
        frame,
        code: CodeLayout {
            first_line: field("code_object", "firstlineno", 4)?,
            file: field("code_object", "filename", 8)?,
            name: field("code_object", "name", 8)?,
            qualified: field("code_object", "qualname", 8)?,
            lines: field("code_object", "linetable", 8)?,
            instructions: field("code_object", "co_code_adaptive", 0)?,
        },
        text: TextLayout {
            length: field("unicode_object", "length", 8)?,
            state: field("unicode_object", "state", 4)?,
            ascii,
            // The length and the address of an UTF-8 form stand between (`PyCompactUnicodeObject`).
            compact: ascii + 16,
            bytes: field("bytes_object", "ob_sval", 1)?,
        },
    };
    (header.iter().all(|offset| *offset < frame.length) && frame.length >= instruction + 12).then_some(layout)
}

/// A field's offset, if it lies in its struct with the bytes that it takes.
fn field(offsets: &DebugOffsets, section: &str, name: &str, width: u64) -> Option<usize> {
    // An interpreter's state is far larger than the rest (300 kB).
    let longest = if section == "interpreter_state" { 1 << 20 } else { LONGEST };
    let size = offsets.get(section, "size")?;
    let offset = offsets.get(section, name)?;
    let fits = size <= longest && offset.checked_add(width)? <= size;
    if fits { usize::try_from(offset).ok() } else { None }
}

fn gil(offsets: &DebugOffsets, found: Found) -> Gil {
    let offset = |name| {
        let state = offsets.get("interpreter_state", "gil_runtime_state")?;
        let offset = offsets.get("interpreter_state", name)?.checked_sub(state)?;
        usize::try_from(offset).ok().filter(|offset| *offset < 256)
    };
    match (offset("gil_runtime_state_holder"), offset("gil_runtime_state_locked")) {
        (Some(holder), Some(locked)) if found.gil != 0 => Gil::State { address: found.gil, holder, locked },
        _ => Gil::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERPRETER: u64 = 1 << 20;
    const RUNTIME: u64 = 2 << 20;

    /// The table of Debian's 3.14.10, from the flag of a free-threaded build on.
    const V3_14_10: &[u64] = &[
        0, 316_616, 784, 808, 225_864, 7280, 7272, 7344, 7360, 7408, 7688, 7672, 7680, 16, 7784, 0, 7800, 7792, 7992,
        0, 832, 0, 8, 16, 72, 152, 160, 232, 32, 88, 8, 0, 56, 80, 74, 64, 0, 216, 112, 120, 128, 136, 68, 52, 96, 104,
        208, 0, 16, 8, 416, 24, 88, 168, 40, 32, 16, 40, 24, 16, 200, 24, 40, 32, 48, 32, 40, 24, 16, 32, 16, 24, 40,
        16, 32, 64, 32, 16, 40,
    ];

    /// That of its 3.15.2.
    const V3_15_2: &[u64] = &[
        0, 346_568, 912, 936, 226_240, 7272, 7264, 7336, 7352, 7400, 7592, 7576, 7584, 16, 7736, 0, 7752, 7744, 7944,
        0, 888, 0, 8, 16, 72, 80, 88, 96, 176, 184, 256, 32, 36, 40, 136, 288, 0, 88, 8, 0, 56, 80, 74, 64, 0, 216,
        112, 120, 128, 136, 68, 52, 96, 104, 208, 0, 16, 8, 424, 24, 88, 168, 32, 288, 944, 888, 40, 32, 16, 40, 24,
        16, 200, 24, 40, 32, 48, 32, 40, 24, 16, 32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 56,
    ];

    /// The layout that a process with this table is read with.
    fn of(minor: u64, words: &[u64]) -> Result<Layout, NoLayout> {
        let head = [u64::from_ne_bytes(*b"xdebugpy"), 3 << 24 | minor << 16 | 0xf0];
        let table: Vec<u8> = head.iter().chain(words).flat_map(|word| word.to_ne_bytes()).collect();
        let mut memory = Memory::made(Box::new(move |address, bytes| {
            bytes.fill(0);
            match address {
                INTERPRETER => bytes[7400..7408].copy_from_slice(&RUNTIME.to_ne_bytes()),
                _ => bytes.iter_mut().zip(&table).for_each(|(byte, known)| *byte = *known),
            }
            true
        }));
        Layout::of(&mut memory, Found { version: (3, minor), interpreter: INTERPRETER, gil: 64, inside: false })
    }

    #[test]
    fn the_tables_of_real_pythons_are_understood() {
        // The offsets are those of the structs in the headers of both versions.
        for (minor, words, threads, deaths, kernel_id, chunk, state) in
            [(14, V3_14_10, 7344, 7992, 160, 232, 32), (15, V3_15_2, 7336, 7944, 184, 256, 32)]
        {
            let layout = of(minor, words).expect("it is whole");
            assert_eq!(layout.threads, INTERPRETER + threads, "3.{minor}");
            assert_eq!(layout.generation, Some(INTERPRETER + deaths), "3.{minor}");
            assert_eq!((layout.thread.kernel_id, layout.thread.chunk), (kernel_id, chunk), "3.{minor}");
            assert!(matches!(layout.thread.current, CurrentFrame::Here(72)), "3.{minor}");
            assert!(
                matches!(layout.gil, Gil::State { address: 64, holder: 8, locked: 16 }),
                "3.{minor}: {:?}",
                layout.gil
            );
            let frame = layout.frame;
            assert_eq!((frame.code, frame.previous, frame.instruction), (0, 8, 56), "3.{minor}");
            assert_eq!((frame.owner, frame.length, frame.tagged), (74, 80, true), "3.{minor}");
            assert_eq!((layout.code.lines, layout.code.instructions), (136, 208), "3.{minor}");
            assert_eq!((layout.text.state, layout.text.compact, layout.text.bytes), (state, 56, 32), "3.{minor}");
        }
    }

    #[test]
    fn a_free_threaded_build_is_refused_as_such() {
        for (minor, words) in [(14, V3_14_10), (15, V3_15_2)] {
            let words = [&[1], &words[1..]].concat();
            assert_eq!(of(minor, &words).err(), Some(NoLayout::FreeThreaded));
        }
    }

    #[test]
    fn a_field_outside_of_its_struct_is_refused() {
        // The thread's id for the kernel is behind the end of the thread's state.
        let mut words = V3_14_10.to_vec();
        words[26] = words[20] - 4;
        assert_eq!(of(14, &words).err(), Some(NoLayout::Offsets));
    }
}
