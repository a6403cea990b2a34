//! What a waiting thread waits for: from a system call to its name and the peer or file that it is on.

use std::collections::HashMap;
use std::sync::Arc;

use nix::libc;

use super::call::{About, Call};
use crate::clock::Clock;
use crate::process::open_files::OpenFiles;
use crate::recording::Wait;

/// Names of calls that are kept; there are some 400 calls.
const MOST_NAMES: usize = 512;

/// The waits of one process.
#[derive(Debug)]
pub(super) struct Waits {
    /// The name of each call that was met, by its number.
    names: HashMap<libc::c_long, Arc<str>>,
    files: OpenFiles,
}

impl Waits {
    pub(super) fn of(pid: i32, clock: Clock) -> Self {
        Self { names: HashMap::new(), files: OpenFiles::of(pid, clock) }
    }

    /// To be called when the process has run since its last wait was told.
    pub(super) fn may_have_changed(&mut self) {
        self.files.may_have_changed();
    }

    /// The wait that a call is; `peek` reads the memory of the process, and `still` says whether the thread is in that call still.
    pub(super) fn of_call(
        &mut self,
        call: Call,
        peek: impl FnOnce(u64, &mut [u8]) -> Option<()>,
        still: impl FnOnce() -> bool,
    ) -> Wait {
        let file = match call.about() {
            About::Nothing => None,
            About::File(number) => Some(number),
            // Afterwards something else stands there.
            About::Polled(address) => polled(address, peek).filter(|_| still()),
        };
        Wait { call: self.name(call), on: file.and_then(|number| self.files.what(number)) }
    }

    fn name(&mut self, call: Call) -> Arc<str> {
        if let Some(name) = self.names.get(&call.number) {
            return Arc::clone(name);
        }
        let name: Arc<str> = call.name().into();
        if self.names.len() < MOST_NAMES {
            self.names.insert(call.number, Arc::clone(&name));
        }
        name
    }
}

/// The file that a `struct pollfd` is about: its first field (`include/uapi/asm-generic/poll.h`).
fn polled(address: u64, peek: impl FnOnce(u64, &mut [u8]) -> Option<()>) -> Option<i32> {
    let mut bytes = [0; 4];
    peek(address, &mut bytes)?;
    Some(i32::from_ne_bytes(bytes)).filter(|number| *number >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn own() -> Waits {
        Waits::of(i32::try_from(std::process::id()).expect("pids fit"), Clock::start())
    }

    fn call(number: libc::c_long, first: u64, second: u64) -> Call {
        Call::parse(format!("{number} {first:#x} {second:#x}").as_bytes()).expect("a call")
    }

    #[test]
    fn one_polled_socket_is_told_by_its_peer_while_it_is_polled() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let socket = TcpStream::connect(address).expect("it listens");
        let told = |still| {
            let peek = |address, bytes: &mut [u8]| {
                assert_eq!(address, 0x1000);
                bytes.copy_from_slice(&socket.as_raw_fd().to_ne_bytes());
                Some(())
            };
            own().of_call(call(libc::SYS_ppoll, 0x1000, 1), peek, || still)
        };
        let wait = told(true);
        assert_eq!((&*wait.call, wait.on.as_deref()), ("poll", Some(address.to_string().as_str())));
        assert_eq!(told(false).on, None);
    }

    #[test]
    fn memory_that_cannot_be_read_leaves_the_name() {
        let poll = call(libc::SYS_ppoll, 0x1000, 1);
        let wait = own().of_call(poll, |_, _| None, || true);
        assert_eq!((&*wait.call, wait.on), ("poll", None));
        let none = |_, bytes: &mut [u8]| {
            bytes.fill(0xff);
            Some(())
        };
        assert_eq!(own().of_call(poll, none, || true).on, None);
    }

    #[test]
    fn a_name_is_made_once() {
        let mut waits = own();
        let mut of = |number| waits.of_call(call(number, 0, 0), |_, _| None, || true);
        let [one, two] = [1, 2].map(|_| of(libc::SYS_futex));
        assert!(Arc::ptr_eq(&one.call, &two.call) && one == two);
        for number in 10_000..20_000 {
            of(number);
        }
        assert_eq!(waits.names.len(), MOST_NAMES);
    }
}
