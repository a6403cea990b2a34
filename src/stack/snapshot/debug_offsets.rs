//! `_Py_DebugOffsets`: where CPython 3.13 and later tell tools like this one their layout.
//!
//! A table of 64-bit words at the start of `_PyRuntime` (`Include/internal/pycore_debug_offsets.h`; 3.13:
//! `Include/internal/pycore_runtime.h`): a cookie, the version, whether the build is free-threaded, then one section a struct. The
//! sections grow from version to version, so each has its own list of names here. Nothing is taken on trust: the caller checks
//! every offset that it uses against the size of its struct.

use super::memory::{Memory, word};

/// How much is read of the table; that of 3.15 has some 130 words.
const LONGEST: usize = 200 * 8;

/// How far into an interpreter's state its pointer to `_PyRuntime` can stand: behind `threads`, at 7.4 kB in 3.13 to 3.15.
const RUNTIME_WITHIN: usize = 16 << 10;

type Section = (&'static str, &'static [&'static str]);

const V3_13: &[Section] = &[
    ("head", &["cookie", "version", "free_threaded"]),
    ("runtime_state", &["size", "finalizing", "interpreters_head"]),
    (
        "interpreter_state",
        &[
            "size",
            "id",
            "next",
            "threads_head",
            "gc",
            "imports_modules",
            "sysdict",
            "builtins",
            "ceval_gil",
            "gil_runtime_state",
            "gil_runtime_state_enabled",
            "gil_runtime_state_locked",
            "gil_runtime_state_holder",
        ],
    ),
    (
        "thread_state",
        &[
            "size",
            "prev",
            "next",
            "interp",
            "current_frame",
            "thread_id",
            "native_thread_id",
            "datastack_chunk",
            "status",
        ],
    ),
    ("interpreter_frame", &["size", "previous", "executable", "instr_ptr", "localsplus", "owner"]),
    ("code_object", CODE_OBJECT_3_13),
    ("pyobject", &["size", "ob_type"]),
    ("type_object", &["size", "tp_name", "tp_repr", "tp_flags"]),
    ("tuple_object", &["size", "ob_item", "ob_size"]),
    ("list_object", &["size", "ob_item", "ob_size"]),
    ("dict_object", &["size", "ma_keys", "ma_values"]),
    ("float_object", &["size", "ob_fval"]),
    ("long_object", &["size", "lv_tag", "ob_digit"]),
    ("bytes_object", &["size", "ob_size", "ob_sval"]),
    ("unicode_object", &["size", "state", "length", "asciiobject_size"]),
];

const CODE_OBJECT_3_13: &[&str] = &[
    "size",
    "filename",
    "name",
    "qualname",
    "linetable",
    "firstlineno",
    "argcount",
    "localsplusnames",
    "localspluskinds",
    "co_code_adaptive",
];

const V3_14: &[Section] = &[
    V3_13[0],
    V3_13[1],
    ("interpreter_state", INTERPRETER_STATE_3_14),
    V3_13[3],
    ("interpreter_frame", INTERPRETER_FRAME_3_14),
    ("code_object", CODE_OBJECT_3_14),
    V3_13[6],
    V3_13[7],
    V3_13[8],
    V3_13[9],
    ("set_object", &["size", "used", "table", "mask"]),
    V3_13[10],
    V3_13[11],
    V3_13[12],
    V3_13[13],
    V3_13[14],
];

const INTERPRETER_STATE_3_14: &[&str] = &[
    "size",
    "id",
    "next",
    "threads_head",
    "threads_main",
    "gc",
    "imports_modules",
    "sysdict",
    "builtins",
    "ceval_gil",
    "gil_runtime_state",
    "gil_runtime_state_enabled",
    "gil_runtime_state_locked",
    "gil_runtime_state_holder",
    "code_object_generation",
    "tlbc_generation",
];

const INTERPRETER_FRAME_3_14: &[&str] =
    &["size", "previous", "executable", "instr_ptr", "localsplus", "owner", "stackpointer", "tlbc_index"];

const CODE_OBJECT_3_14: &[&str] = &[
    "size",
    "filename",
    "name",
    "qualname",
    "linetable",
    "firstlineno",
    "argcount",
    "localsplusnames",
    "localspluskinds",
    "co_code_adaptive",
    "co_tlbc",
];

const V3_15: &[Section] = &[
    V3_14[0],
    V3_14[1],
    V3_14[2],
    (
        "thread_state",
        &[
            "size",
            "prev",
            "next",
            "interp",
            "current_frame",
            "base_frame",
            "last_profiled_frame",
            "last_profiled_frame_seq",
            "thread_id",
            "native_thread_id",
            "datastack_chunk",
            "status",
            "holds_gil",
            "gil_requested",
            "current_exception",
            "exc_state",
        ],
    ),
    ("err_stackitem", &["exc_value"]),
    V3_14[4],
    V3_14[5],
    V3_14[6],
    ("type_object", &["size", "tp_name", "tp_repr", "tp_flags", "tp_basicsize", "tp_dictoffset"]),
    ("heap_type_object", &["size", "ht_cached_keys"]),
    V3_14[8],
    V3_14[9],
    V3_14[10],
    V3_14[11],
    V3_14[12],
    V3_14[13],
    V3_14[14],
    ("unicode_object", &["size", "state", "length", "asciiobject_size", "compactunicodeobject_size"]),
];

/// The table of one process.
pub(super) struct DebugOffsets {
    sections: &'static [Section],
    words: Vec<u8>,
}

impl DebugOffsets {
    /// Finds the table through the pointer to `_PyRuntime` in an interpreter's state, which is there in stripped builds too.
    /// `None` when it is not found, or is of another version than 3.`minor`.
    pub(super) fn find(memory: &mut Memory, interpreter: u64, minor: u64) -> Option<Self> {
        let sections = match minor {
            13 => V3_13,
            14 => V3_14,
            15 => V3_15,
            _ => return None,
        };
        let mut state = vec![0; RUNTIME_WITHIN];
        memory.read(interpreter, &mut state)?;
        let mut candidates: Vec<u64> = (0..state.len())
            .step_by(8)
            .filter_map(|offset| word(&state, offset))
            .filter(|value| can_be_pointer(*value))
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().find_map(|address| {
            if memory.word(address)? != u64::from_ne_bytes(*b"xdebugpy") {
                return None;
            }
            let mut words = vec![0; LONGEST];
            memory.read(address, &mut words)?;
            let table = Self { sections, words };
            // PY_VERSION_HEX: major, minor, micro, level and serial, a byte each.
            (table.get("head", "version")? >> 16 == (3 << 8 | minor)).then_some(table)
        })
    }

    /// The word of that name.
    pub(super) fn get(&self, section: &str, name: &str) -> Option<u64> {
        let mut index = 0;
        for (title, names) in self.sections {
            if *title == section {
                let place = names.iter().position(|known| *known == name)?;
                return word(&self.words, (index + place) * 8);
            }
            index += names.len();
        }
        None
    }
}

/// User space on every 64-bit Linux that CPython runs on, and aligned.
fn can_be_pointer(value: u64) -> bool {
    (1 << 12..1 << 56).contains(&value) && value.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in which the table of a version stands at 64 KiB, told by an interpreter at 0.
    fn process(version: u64) -> Memory {
        Memory::made(Box::new(move |address, bytes| {
            bytes.fill(0);
            let (start, end) = (address, address + bytes.len() as u64);
            let mut put = |at: u64, value: u64| {
                if (start..end).contains(&at) {
                    let place = usize::try_from(at - start).expect("in the bytes");
                    bytes[place..place + 8].copy_from_slice(&value.to_ne_bytes());
                }
            };
            put(7384, 65536);
            put(65536, u64::from_ne_bytes(*b"xdebugpy"));
            put(65544, version);
            (2..200).for_each(|index| put(65536 + index * 8, 1000 + index));
            true
        }))
    }

    #[test]
    fn fields_are_found_by_name_in_the_order_of_their_version() {
        // Counted in the bindings that py-spy 0.4.3 generated from the headers.
        for (minor, owner, state) in [(13, 33, 68), (14, 36, 78), (15, 44, 90)] {
            let table = DebugOffsets::find(&mut process(3 << 24 | minor << 16 | 0xf0), 0, minor).expect("it is there");
            assert_eq!(table.get("head", "free_threaded"), Some(1002));
            assert_eq!(table.get("interpreter_frame", "owner"), Some(1000 + owner), "3.{minor}");
            assert_eq!(table.get("unicode_object", "state"), Some(1000 + state), "3.{minor}");
            assert_eq!(table.get("unicode_object", "nonsense"), None);
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert!(DebugOffsets::find(&mut process(0x030e_00f0), 0, 13).is_none());
        assert!(DebugOffsets::find(&mut process(0x0310_00f0), 0, 16).is_none());
    }
}
