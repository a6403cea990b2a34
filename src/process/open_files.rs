//! What the open files of a process are, by their numbers: the peer of a socket, the path of a file, a pipe.
//!
//! The link `/proc/PID/fd/N` names a file or the inode of a socket, and the process's own tables of sockets (`/proc/PID/net`, those of
//! its network namespace) give the address that the socket is connected to. Nothing is opened or held, and no content is read.
//! A number can be another file a moment later and a table can be long, so answers are kept for a short while, tables are read for a
//! hundredth of the time at most, and all is bounded. Who asks, and why, is not known here.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use procfs::net::{TcpNetEntries, TcpNetEntry, TcpState, UdpNetEntries, UnixNetEntries};
use procfs::{FromBufRead, FromBufReadSI, current_system_info};

use crate::clock::{Clock, Moment};

/// For how long a number is taken to be the same file.
const FRESH: Duration = Duration::from_millis(250);
/// Numbers whose files are known at a time.
const MOST_FILES: usize = 1024;
/// Different answers about one process; a program that opens ever new files gets none beyond.
const MOST_ANSWERS: usize = 1000;
/// Sockets that are kept of the tables.
const MOST_SOCKETS: usize = 1024;
/// The shortest and the longest time between two reads of the tables.
const SHORTEST_TURN: Duration = Duration::from_millis(10);
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// As much of a table is read: some 50 000 sockets.
const LONGEST_TABLE: u64 = 8 << 20;
/// Bytes of a path that are shown.
const LONGEST_PATH: usize = 200;

/// The open files of one process.
#[derive(Debug)]
pub struct OpenFiles {
    pid: i32,
    known: HashMap<i32, Known>,
    answers: HashSet<Arc<str>>,
    sockets: Sockets,
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
        let sockets = Sockets { pid, rows: HashMap::new(), next: Moment::default() };
        Self { pid, known: HashMap::new(), answers: HashSet::new(), sockets, clock }
    }

    /// What a file is, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000`, `pipe` or `/var/lib/db`; as it was up to a quarter of a
    /// second ago. `None` when that is not known, or not yet.
    pub fn what(&mut self, number: i32) -> Option<Arc<str>> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(&number).filter(|known| now < known.until) {
            return known.what.clone();
        }
        let found = self.look(number, now);
        // A socket that is in no table yet is looked for as soon as the tables may be read again.
        let until = if found.is_some() { now + FRESH } else { self.sockets.next.min(now + FRESH) };
        let what = found.and_then(|text| self.answer(&text));
        if self.known.len() >= MOST_FILES {
            self.known.clear();
        }
        self.known.insert(number, Known { what: what.clone(), until });
        what
    }

    fn look(&mut self, number: i32, now: Moment) -> Option<String> {
        let link = fs::read_link(format!("/proc/{}/fd/{number}", self.pid)).ok()?;
        match target(&link.to_string_lossy()) {
            Target::Socket(inode) => self.sockets.peer(inode, now, &self.clock),
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
fn start(path: &str) -> String {
    let end = (0..=path.len().min(LONGEST_PATH)).rev().find(|end| path.is_char_boundary(*end));
    path[..end.unwrap_or(0)].into()
}

/// The sockets in the tables of a process's network namespace.
#[derive(Debug)]
struct Sockets {
    pid: i32,
    /// By inode.
    rows: HashMap<u64, String>,
    /// When the tables may be read again.
    next: Moment,
}

impl Sockets {
    /// The peer of a socket.
    fn peer(&mut self, inode: u64, now: Moment, clock: &Clock) -> Option<String> {
        if !self.rows.contains_key(&inode) && now >= self.next {
            self.read(inode);
            let end = clock.now();
            let turn = (end.since(now) * 100).clamp(SHORTEST_TURN, LONGEST_TURN);
            self.next = end + turn;
        }
        self.rows.get(&inode).cloned()
    }

    fn read(&mut self, wanted: u64) {
        let tcp: Vec<TcpNetEntry> = ["tcp", "tcp6"].iter().filter_map(|name| self.tcp(name)).flatten().collect();
        let udp = ["udp", "udp6"].iter().filter_map(|name| {
            let table = self.table(name)?;
            let entries = UdpNetEntries::from_buf_read(table.as_slice(), current_system_info()).ok()?;
            Some(entries.0.into_iter().filter(|entry| entry.remote_address.port() != 0))
        });
        let unix = self.table("unix").and_then(|table| UnixNetEntries::from_buf_read(table.as_slice()).ok());
        let rows = of_tcp(&tcp)
            .chain(udp.flatten().map(|entry| (entry.inode, plain(entry.remote_address).to_string())))
            .chain(unix.into_iter().flat_map(|UnixNetEntries(all)| all).map(|entry| {
                let path = entry.path.map(|path| start(&path.to_string_lossy()));
                (entry.inode, path.unwrap_or_else(|| "unix socket".into()))
            }));
        let mut kept = HashMap::new();
        for (inode, text) in rows {
            // Sockets without a process have no inode.
            if inode == wanted || inode != 0 && kept.len() < MOST_SOCKETS {
                kept.insert(inode, text);
            }
        }
        self.rows = kept;
    }

    fn tcp(&self, name: &str) -> Option<Vec<TcpNetEntry>> {
        let table = self.table(name)?;
        TcpNetEntries::from_buf_read(table.as_slice(), current_system_info()).ok().map(|entries| entries.0)
    }

    /// The whole lines of a table.
    fn table(&self, name: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let file = File::open(format!("/proc/{}/net/{name}", self.pid)).ok()?;
        file.take(LONGEST_TABLE).read_to_end(&mut text).ok()?;
        let end = text.iter().rposition(|byte| *byte == b'\n')?;
        text.truncate(end);
        Some(text)
    }
}

/// Each socket with its peer. Clients of a server come from ever new ports, so they are told by the address that they came to.
fn of_tcp(table: &[TcpNetEntry]) -> impl Iterator<Item = (u64, String)> {
    let listens = |entry: &&TcpNetEntry| entry.state == TcpState::Listen;
    let served: HashSet<u16> = table.iter().filter(listens).map(|entry| entry.local_address.port()).collect();
    table.iter().map(move |entry| {
        let local = plain(entry.local_address);
        let text = if entry.state == TcpState::Listen {
            local.to_string()
        } else if served.contains(&local.port()) {
            format!("client of {local}")
        } else {
            plain(entry.remote_address).to_string()
        };
        (entry.inode, text)
    })
}

/// IPv4 that comes through an IPv6 socket, as IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn own() -> OpenFiles {
        OpenFiles::of(i32::try_from(std::process::id()).expect("pids fit"), Clock::start())
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
        let mut what = |file: &dyn AsRawFd| files.what(file.as_raw_fd()).expect("it is known").to_string();
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
        let mut what = |file: &dyn AsRawFd| files.what(file.as_raw_fd()).expect("it is known").to_string();
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
