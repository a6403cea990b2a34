//! What the open files of a process are, by their numbers: the peer of a socket, the path of a file, a pipe.
//!
//! The link `/proc/PID/fd/N` names a file or the inode of a socket, and [`sockets`] the address that the socket is connected to. No
//! content is read, and nothing but a socket is held, for some microseconds. A number can be another file once the process
//! has run; until then it is known, and all is bounded. Who asks, and why, is not known here.
//!
//! [`sockets`]: super::sockets

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::socket_tables;
use super::sockets::Sockets;
use crate::clock::{Clock, Moment};

/// For how long a number is taken to be the same file, even of a process that has not run: its clock may be late.
const FRESH: Duration = Duration::from_millis(250);
/// Numbers whose files are known at a time.
const MOST_FILES: usize = 1024;
/// Different answers about one process; a program that opens ever new files gets none beyond.
const MOST_ANSWERS: usize = 1000;
/// What could not be told is looked for again after that.
const UNKNOWN: Duration = Duration::from_millis(50);
/// Bytes of a path that are shown.
const LONGEST_PATH: usize = 200;

/// Reads, at times, what sockets of any process did not tell by themselves, for [`OpenFiles`] to know it from then on. Takes up to
/// 20 ms for each network namespace, so it is not for a thread that samples.
pub fn read_wanted_tables() {
    socket_tables::read_wanted();
}

/// The open files of one process.
#[derive(Debug)]
pub struct OpenFiles {
    pid: i32,
    known: HashMap<i32, Known>,
    sockets: Sockets,
    answers: HashSet<Arc<str>>,
    clock: Clock,
}

#[derive(Debug)]
struct Known {
    what: Option<Arc<str>>,
    until: Moment,
}

/// What a link in `/proc/PID/fd` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Socket(u64),
    Other(String),
}

impl OpenFiles {
    /// Of this process. Its sockets are looked through, which takes 0.1 to 3 ms, and up to 20 ms where they do not tell by themselves.
    #[must_use]
    pub fn of(pid: i32, clock: Clock) -> Self {
        Self { pid, known: HashMap::new(), sockets: Sockets::of(pid, clock), answers: HashSet::new(), clock }
    }

    /// To be called when the process has run since it was last asked: it may have closed and opened files.
    pub fn may_have_changed(&mut self) {
        self.known.clear();
    }

    /// What a file is, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000`, `pipe` or `/var/lib/db`. `None` when that is not known,
    /// or not yet.
    pub fn what(&mut self, number: i32) -> Option<Arc<str>> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(&number).filter(|known| now < known.until) {
            return known.what.clone();
        }
        let what = self.look(number);
        let until = now + if what.is_some() { FRESH } else { UNKNOWN };
        if self.known.len() >= MOST_FILES {
            self.known.clear();
        }
        self.known.insert(number, Known { what: what.clone(), until });
        what
    }

    fn look(&mut self, number: i32) -> Option<Arc<str>> {
        match link(self.pid, number)? {
            Target::Socket(inode) => {
                let peer = self.sockets.peer(number, inode)?;
                answer(&mut self.answers, peer)
            }
            Target::Other(text) => answer(&mut self.answers, &text),
        }
    }
}

/// The same text for the same answer.
fn answer(answers: &mut HashSet<Arc<str>>, text: &str) -> Option<Arc<str>> {
    if let Some(known) = answers.get(text) {
        return Some(Arc::clone(known));
    }
    if answers.len() >= MOST_ANSWERS {
        return None;
    }
    let new: Arc<str> = text.into();
    answers.insert(Arc::clone(&new));
    Some(new)
}

/// Where the link of a number leads now: 2 to 3 µs.
pub(super) fn link(pid: i32, number: i32) -> Option<Target> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
    Some(target(&link.to_string_lossy()))
}

/// Reads a link as the kernel writes it: `socket:[7]`, `pipe:[7]`, `anon_inode:[eventfd]`, or a path.
fn target(link: &str) -> Target {
    let (kind, rest) = link.split_once(':').unwrap_or((link, ""));
    let inside = rest.trim_start_matches('[').trim_end_matches(']');
    match (kind, inside.parse()) {
        ("socket", Ok(inode)) => Target::Socket(inode),
        ("pipe", Ok(_)) => Target::Other("pipe".into()),
        ("anon_inode", _) => Target::Other(inside.into()),
        _ => Target::Other(start(link)),
    }
}

/// The start of a path, as long as is shown.
pub(super) fn start(path: &str) -> String {
    let end = (0..=path.len().min(LONGEST_PATH)).rev().find(|end| path.is_char_boundary(*end));
    path[..end.unwrap_or(0)].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn own() -> OpenFiles {
        OpenFiles::of(i32::try_from(std::process::id()).expect("pids fit"), Clock::start())
    }

    fn known(files: &mut OpenFiles, file: &dyn AsRawFd) -> String {
        files.what(file.as_raw_fd()).expect("it tells at once").to_string()
    }

    #[test]
    fn links_are_read_as_the_kernel_writes_them() {
        let other = |text: &str| Target::Other(text.into());
        assert_eq!(target("socket:[123]"), Target::Socket(123));
        assert_eq!(target("pipe:[123]"), other("pipe"));
        assert_eq!(target("anon_inode:[eventpoll]"), other("eventpoll"));
        assert_eq!(target("anon_inode:inotify"), other("inotify"));
        assert_eq!(target("/srv/a:b"), other("/srv/a:b"));
        assert_eq!(target("socket:[x]"), other("socket:[x]"));
        assert_eq!(target(""), other(""));
        assert_eq!(target(&"ä".repeat(300)), other(&"ä".repeat(100)));
    }

    #[test]
    fn both_ends_of_a_connection_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let client = TcpStream::connect(&address).expect("it listens");
        let (server, _) = listener.accept().expect("a client");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        udp.connect("127.0.0.1:53").expect("nothing is sent");
        let mut files = own();
        let mut what = |file: &dyn AsRawFd| known(&mut files, file);
        assert_eq!(what(&client), address);
        assert_eq!(what(&server), format!("client of {address}"));
        assert_eq!(what(&listener), address);
        assert_eq!(what(&udp), "127.0.0.1:53");
    }

    #[test]
    fn ipv6_and_what_is_no_network_socket() {
        let listener = TcpListener::bind("[::1]:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let client = TcpStream::connect(&address).expect("it listens");
        let (one, _two) = UnixStream::pair().expect("a pair");
        let (pipe, _end) = std::io::pipe().expect("a pipe");
        let null = File::open("/dev/null").expect("it is there");
        let mut files = own();
        let mut what = |file: &dyn AsRawFd| known(&mut files, file);
        assert_eq!(what(&client), address);
        assert_eq!(what(&one), "unix socket");
        assert_eq!(what(&pipe), "pipe");
        assert_eq!(what(&null), "/dev/null");
        assert_eq!(files.what(-1), None);
        assert_eq!(files.what(i32::MAX), None);
    }

    #[test]
    fn answers_about_one_process_have_an_end() {
        let mut answers = HashSet::new();
        for number in 0..MOST_ANSWERS {
            assert!(answer(&mut answers, &number.to_string()).is_some());
        }
        assert_eq!(answer(&mut answers, "one more"), None);
        assert!(answer(&mut answers, "7").is_some());
    }

    #[test]
    fn a_number_is_asked_for_again_once_the_process_has_run() {
        let null = File::open("/dev/null").expect("it is there");
        let number = null.as_raw_fd();
        let mut files = own();
        let first = files.what(number).expect("it is known");
        assert!(Arc::ptr_eq(&first, &files.what(number).expect("it is known still")));
        let zero = File::open("/dev/zero").expect("it is there");
        // Whichever test opens a file next, this number is not free, and that of the other is another file's.
        files.known.insert(zero.as_raw_fd(), Known { what: Some(first), until: files.clock.now() + FRESH });
        assert_eq!(files.what(zero.as_raw_fd()).as_deref(), Some("/dev/null"));
        files.may_have_changed();
        assert_eq!(files.what(zero.as_raw_fd()).as_deref(), Some("/dev/zero"));
    }

    #[test]
    fn a_connection_for_one_request_is_known_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let mut files = own();
        for _ in 0..50 {
            files.may_have_changed();
            let client = TcpStream::connect(&address).expect("it listens");
            let (server, _) = listener.accept().expect("a client");
            assert_eq!(known(&mut files, &client), address);
            drop((client, server));
        }
    }
}
