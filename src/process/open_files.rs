//! What the open files of a process are, by their numbers: the peer of a socket, the path of a file, a pipe.
//!
//! The link `/proc/PID/fd/N` names a file or the inode of a socket, and the tables of the process's network namespace ([`sockets`])
//! give the address that the socket is connected to. Nothing is opened or held, and no content is read. A number can be another
//! file a moment later, so answers are kept for a short while, and all is bounded. Who asks, and why, is not known here.
//!
//! [`sockets`]: super::sockets

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::sockets;
use crate::clock::{Clock, Moment};

/// For how long a number is taken to be the same file.
const FRESH: Duration = Duration::from_millis(250);
/// Numbers whose files are known at a time.
const MOST_FILES: usize = 1024;
/// Different answers about one process; a program that opens ever new files gets none beyond.
const MOST_ANSWERS: usize = 1000;
/// A socket that is in no table is looked for again after that.
const UNKNOWN: Duration = Duration::from_millis(50);
/// Bytes of a path that are shown.
const LONGEST_PATH: usize = 200;

/// The open files of one process.
#[derive(Debug)]
pub struct OpenFiles {
    pid: i32,
    known: HashMap<i32, Known>,
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
enum Target {
    Socket(u64),
    Other(String),
}

impl OpenFiles {
    /// Of this process.
    #[must_use]
    pub fn of(pid: i32, clock: Clock) -> Self {
        Self { pid, known: HashMap::new(), answers: HashSet::new(), clock }
    }

    /// What a file is, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000`, `pipe` or `/var/lib/db`; as it was up to a quarter of a
    /// second ago. `None` when that is not known, or not yet.
    pub fn what(&mut self, number: i32) -> Option<Arc<str>> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(&number).filter(|known| now < known.until) {
            return known.what.clone();
        }
        let found = self.look(number);
        let until = now + if found.is_some() { FRESH } else { UNKNOWN };
        let what = found.and_then(|text| self.answer(&text));
        if self.known.len() >= MOST_FILES {
            self.known.clear();
        }
        self.known.insert(number, Known { what: what.clone(), until });
        what
    }

    fn look(&self, number: i32) -> Option<String> {
        let link = fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).ok()?;
        match target(&link.to_string_lossy()) {
            Target::Socket(inode) => sockets::peer(self.pid, inode),
            Target::Other(text) => Some(text),
        }
    }

    fn answer(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(known) = self.answers.get(text) {
            return Some(Arc::clone(known));
        }
        if self.answers.len() >= MOST_ANSWERS {
            return None;
        }
        let new: Arc<str> = text.into();
        self.answers.insert(Arc::clone(&new));
        Some(new)
    }
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

    use crate::stop::Stop;

    fn own() -> OpenFiles {
        OpenFiles::of(i32::try_from(std::process::id()).expect("pids fit"), Clock::start())
    }

    /// What a file is, once the tables, which other tests read too, may be read again.
    fn known(files: &mut OpenFiles, file: &dyn AsRawFd) -> String {
        let pause = Stop::default();
        for _ in 0..3000 {
            if let Some(what) = files.what(file.as_raw_fd()) {
                return what.to_string();
            }
            let _ = pause.wait(UNKNOWN);
        }
        panic!("it is in no table")
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
        let mut files = own();
        for number in 0..MOST_ANSWERS {
            assert!(files.answer(&number.to_string()).is_some());
        }
        assert_eq!(files.answer("one more"), None);
        assert!(files.answer("7").is_some());
    }

    #[test]
    fn a_number_is_asked_for_once_in_a_while() {
        let null = File::open("/dev/null").expect("it is there");
        let number = null.as_raw_fd();
        let mut files = own();
        let first = files.what(number).expect("it is known");
        drop(null);
        // The answer is that of a moment ago, and the text the same one.
        assert!(Arc::ptr_eq(&first, &files.what(number).expect("it is known still")));
    }
}
