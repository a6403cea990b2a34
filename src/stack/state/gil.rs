//! Where the futexes of the GIL lie: a thread that sleeps on one of them waits for the GIL.
//!
//! The GIL is a condition variable and a mutex of the C library, and another pair for the switch that was forced
//! (`Python/ceval_gil.c`, `take_gil`, `drop_gil`); glibc waits on words inside them. All other locks of Python are allocated on the
//! heap. musl waits on words of its own on the stack, and Python 2's GIL is a lock like any other: there a wait for the GIL looks
//! like one for a lock.

use std::ops::Range;

/// `struct _gil_runtime_state` (`Include/internal/pycore_gil.h`): 208 bytes on x86-64, 224 on aarch64.
const LENGTH: u64 = 224;
/// Up to Python 3.11 it ends that much before `tstate_current`, which follows `int check_enabled`
/// (`Include/internal/pycore_runtime.h`: `ceval.gil` is the last of `ceval`, and `gilstate` comes next). Seen on 3.7 to 3.11: the
/// futexes at -144 and -140, those of the forced switch at -56 and -52.
const TO_CURRENT: u64 = 8;
/// Up to Python 3.6 the parts are static variables of `ceval_gil.h`, as is `_PyThreadState_Current` of `pystate.c`: they are as near
/// to each other as the linker puts them. Seen on 3.6: 17 KiB.
const NEAR: u64 = 64 << 10;

/// The range of their addresses, from what py-spy has found: up to Python 3.11 the address of the pointer to the thread that holds
/// the GIL, later that of the GIL's state; 0 for nothing. Empty when it is not known.
pub(in crate::stack) fn futexes(version: (u64, u64), gil: u64) -> Range<u64> {
    match version {
        _ if gil == 0 => 0..0,
        (3, 12..) => gil..gil.saturating_add(LENGTH),
        (3, 7..=11) => gil.saturating_sub(LENGTH + TO_CURRENT)..gil,
        (3, _) => gil.saturating_sub(NEAR)..gil.saturating_add(NEAR),
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_futexes_that_were_seen_are_inside() {
        let gil = 0x7f00_0000_0000;
        for at in [72, 76, 160] {
            assert!(futexes((3, 12), gil).contains(&(gil + at)));
            assert!(futexes((3, 13), gil).contains(&(gil + at)));
        }
        for before in [144, 140, 56, 52] {
            assert!(futexes((3, 7), gil).contains(&(gil - before)));
            assert!(futexes((3, 11), gil).contains(&(gil - before)));
        }
        assert!(futexes((3, 6), gil).contains(&(gil - 17_348)));
    }

    #[test]
    fn without_an_address_nothing_is() {
        assert!(futexes((3, 12), 0).is_empty());
        assert!(futexes((2, 7), 0x1000).is_empty());
        assert_eq!(futexes((3, 13), u64::MAX).end, u64::MAX);
        assert_eq!(futexes((3, 8), 1).start, 0);
    }
}
