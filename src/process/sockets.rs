//! The sockets of one process, by their inodes: what each is connected to.
//!
//! A socket that is not known yet is asked itself, through a duplicate ([`duplicate`]). Where that is refused, and of a connection that
//! is still on its way (a socket tells its peer when it is connected), the tables of the kernel are waited for ([`socket_tables`]).
//! What is found is kept for as long as it cannot change. Numbers and links are not known here.
//!
//! Clients of a server come from ever new ports, so they are told by the address that they came to, which must be that of a socket
//! which listens. It is one that the process itself holds or held: a worker of gunicorn inherits those of its master, so
//! they are there when the process is opened. That is exact where a table is not (another process may listen on the port that an outgoing
//! connection has), and needs no table. Sockets that come to listen later are met while new connections are: some numbers are looked
//! through then, a ten-thousandth of the time at most.
//!
//! [`duplicate`]: super::duplicate
//! [`socket_tables`]: super::socket_tables

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::duplicate::{Ends, Process, Refused, Socket};
use super::open_files::{Target, link};
use super::socket_tables;
use crate::clock::{Clock, Moment};

/// Sockets that are known at a time.
const MOST_SOCKETS: usize = 1024;
/// For how long a socket is taken to be as it was, if it can be connected to something else.
const FRESH: Duration = Duration::from_millis(250);
/// Addresses on which a process listens.
const MOST_LISTENERS: usize = 64;
/// Numbers among which what listens is looked for.
const MOST_NUMBERS: i32 = 1024;
/// So many of these in one go: 20 to 60 µs.
const NUMBERS_IN_ONE_GO: i32 = 16;
/// So many times as long as it took, they are not looked through again; and at least that long.
const REST: u32 = 10_000;
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// What a server's end of a connection is called before the server's address.
pub(super) const CLIENT: &str = "client of ";
/// A unix socket without a path.
pub(super) const UNNAMED: &str = "unix socket";

/// The sockets of one process.
#[derive(Debug)]
pub(super) struct Sockets {
    pid: i32,
    process: Result<Process, Refused>,
    /// By inode.
    known: HashMap<u64, Known>,
    listeners: Vec<SocketAddr>,
    /// Where to look for more that listen, and when.
    next: (i32, Moment),
    clock: Clock,
}

#[derive(Debug)]
struct Known {
    what: String,
    /// For ever, if there is none.
    until: Option<Moment>,
}

/// What is still to be done about a socket that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    ToTables,
}

impl Sockets {
    /// Of this process, whose sockets are looked through: takes 0.1 to 3 ms, and up to 20 ms where the tables must be read.
    pub(super) fn of(pid: i32, clock: Clock) -> Self {
        let process = Process::open(pid);
        let mut sockets =
            Self { pid, process, known: HashMap::new(), listeners: Vec::new(), next: (0, Moment::default()), clock };
        sockets.look_at_all();
        sockets
    }

    /// What a socket is connected to, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000` or `unix socket`; of one that listens, its own
    /// address. `None` when that is not known, or not yet.
    pub(super) fn peer(&mut self, number: i32, inode: u64) -> Option<&str> {
        let now = self.clock.now();
        let stays = self.known.get(&inode).is_some_and(|known| known.until.is_none_or(|until| now < until));
        if !stays {
            self.known.remove(&inode);
            if now >= self.next.1 {
                self.look_at_some(now);
            }
            if self.ask(number, inode) == Left::ToTables {
                self.take_from_tables(inode);
            }
        }
        self.known.get(&inode).map(|known| known.what.as_str())
    }

    /// Makes a socket known, if it tells what it is.
    fn ask(&mut self, number: i32, inode: u64) -> Left {
        let Ok(process) = &self.process else {
            return Left::ToTables;
        };
        // Another one may have the number by now.
        let Some(socket) = process.socket(number).filter(|socket| socket.inode == inode) else {
            return Left::Nothing;
        };
        if let (true, Ends::Inet { local, .. }) = (socket.listens, &socket.ends) {
            self.listen(*local);
        }
        let Some(what) = told(&socket, &self.listeners) else {
            return Left::ToTables;
        };
        let until = (!lasts(&socket)).then(|| self.clock.now() + FRESH);
        self.keep(inode, Known { what, until });
        Left::Nothing
    }

    /// Tables are a while old, and the socket may be connected a moment later.
    fn take_from_tables(&mut self, inode: u64) {
        if let Some(what) = socket_tables::peer(self.pid, inode) {
            let until = Some(self.clock.now() + FRESH);
            self.keep(inode, Known { what, until });
        }
    }

    fn keep(&mut self, inode: u64, known: Known) {
        if self.known.len() >= MOST_SOCKETS {
            self.known.clear();
        }
        self.known.insert(inode, known);
    }

    fn listen(&mut self, address: SocketAddr) {
        if !self.listeners.contains(&address) {
            if self.listeners.len() >= MOST_LISTENERS {
                self.listeners.remove(0);
            }
            self.listeners.push(address);
            // Its clients were told by their own addresses until now.
            self.known.clear();
        }
    }

    /// A first look at everything: what listens, what is on its way, and the tables at once where nothing tells by itself.
    fn look_at_all(&mut self) {
        let directory = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let numbers = directory.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let numbers: Vec<i32> = numbers.take(MOST_NUMBERS.cast_unsigned() as usize).collect();
        for number in numbers {
            if let Some(target) = link(self.pid, number)
                && let Some((inode, Left::ToTables)) = self.look_at(number, &target)
            {
                self.take_from_tables(inode);
            }
        }
        if self.process.is_err() {
            socket_tables::read_wanted();
        }
    }

    /// Looks for sockets that have come to listen.
    fn look_at_some(&mut self, begun: Moment) {
        if self.process.is_err() {
            return;
        }
        let first = self.next.0;
        let mut next = 0;
        for number in first..first + NUMBERS_IN_ONE_GO {
            if let Some(target) = link(self.pid, number) {
                self.look_at(number, &target);
                // The lowest free number is given first, so where none is taken there are hardly any beyond.
                next = (first + NUMBERS_IN_ONE_GO) % MOST_NUMBERS;
            }
        }
        let ended = self.clock.now();
        let rest = ended.since(begun).saturating_mul(REST).max(SHORTEST_REST);
        self.next = (next, ended + rest);
    }

    /// Asks the socket that has this number, unless it is known.
    fn look_at(&mut self, number: i32, target: &Target) -> Option<(u64, Left)> {
        match *target {
            Target::Socket(inode) if !self.known.contains_key(&inode) => Some((inode, self.ask(number, inode))),
            _ => None,
        }
    }
}

/// What a socket is connected to; `None` while it is on its way, and does not tell yet.
fn told(socket: &Socket, listeners: &[SocketAddr]) -> Option<String> {
    let unnamed = || UNNAMED.to_owned();
    Some(match (&socket.ends, socket.stream) {
        (Ends::Inet { local, .. }, _) if socket.listens => local.to_string(),
        (Ends::Inet { local, peer: Some(_) }, true) if is_served(*local, listeners) => format!("{CLIENT}{local}"),
        (Ends::Inet { peer: Some(peer), .. }, _) => peer.to_string(),
        (Ends::Inet { peer: None, .. }, true) => return None,
        (Ends::Inet { peer: None, .. }, false) => "udp socket".into(),
        (Ends::Unix { peer: Some(peer), .. }, _) => peer.clone(),
        // A client has no name unless it gives itself one, and a server's end has the name of the socket that listens.
        (Ends::Unix { local: Some(local), connected: true, .. }, true) => format!("{CLIENT}{local}"),
        (Ends::Unix { local, .. }, _) => local.clone().unwrap_or_else(unnamed),
        (Ends::Other, _) => "socket".into(),
    })
}

fn is_served(local: SocketAddr, listeners: &[SocketAddr]) -> bool {
    let takes = |bound: &SocketAddr| bound.ip().is_unspecified() || bound.ip() == local.ip();
    listeners.iter().any(|bound| bound.port() == local.port() && takes(bound))
}

/// Whether a socket is connected to what it is for as long as it lives.
fn lasts(socket: &Socket) -> bool {
    let connected = matches!(socket.ends, Ends::Inet { peer: Some(_), .. } | Ends::Unix { connected: true, .. });
    socket.stream && (socket.listens || connected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    fn own() -> Sockets {
        Sockets::of(i32::try_from(std::process::id()).expect("pids fit"), Clock::start())
    }

    fn inode(socket: &impl AsRawFd) -> u64 {
        let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
        fs::metadata(path).expect("it is open").ino()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn inet(local: &str, peer: Option<&str>, stream: bool) -> Socket {
        let ends = Ends::Inet { local: address(local), peer: peer.map(address) };
        Socket { inode: 7, stream, listens: false, ends }
    }

    #[test]
    fn a_peer_is_an_address_or_a_client_of_ours() {
        let listeners = [address("127.0.0.1:8000"), address("[::]:8001")];
        let told = |local, peer, stream| told(&inet(local, peer, stream), &listeners);
        let is = |what: &str| Some(what.to_owned());
        let peer = Some("10.0.0.5:5432");
        assert_eq!(told("127.0.0.1:40000", peer, true), is("10.0.0.5:5432"));
        assert_eq!(told("127.0.0.1:8000", peer, true), is("client of 127.0.0.1:8000"));
        // The port of another address, or of another protocol.
        assert_eq!(told("10.0.0.1:8000", peer, true), is("10.0.0.5:5432"));
        assert_eq!(told("127.0.0.1:8000", peer, false), is("10.0.0.5:5432"));
        assert_eq!(told("10.0.0.1:8001", peer, true), is("client of 10.0.0.1:8001"));
        assert_eq!(told("0.0.0.0:0", None, true), None);
        assert_eq!(told("0.0.0.0:0", None, false), is("udp socket"));
    }

    #[test]
    fn a_unix_socket_has_a_path_or_none() {
        let told = |local: Option<&str>, peer: Option<&str>, connected, stream| {
            let ends = Ends::Unix { local: local.map(String::from), peer: peer.map(String::from), connected };
            told(&Socket { inode: 7, stream, listens: false, ends }, &[]).expect("it has a name")
        };
        assert_eq!(told(None, Some("/run/pg/.s.PGSQL.5432"), true, true), "/run/pg/.s.PGSQL.5432");
        assert_eq!(told(Some("/run/gunicorn.sock"), None, true, true), "client of /run/gunicorn.sock");
        assert_eq!(told(Some("/run/gunicorn.sock"), None, false, true), "/run/gunicorn.sock");
        assert_eq!(told(None, None, true, true), "unix socket");
        assert_eq!(told(Some("/dev/log"), None, false, false), "/dev/log");
    }

    #[test]
    fn what_can_be_connected_anew_is_asked_again() {
        assert!(lasts(&inet("127.0.0.1:40000", Some("10.0.0.5:5432"), true)));
        assert!(!lasts(&inet("127.0.0.1:40000", Some("10.0.0.5:53"), false)));
        assert!(!lasts(&inet("127.0.0.1:40000", None, true)));
    }

    #[test]
    fn a_known_socket_is_not_asked_again_and_a_number_is_not_trusted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let peer = listener.local_addr().expect("bound").to_string();
        let mut sockets = own();
        // Other tests listen too.
        sockets.next.1 = sockets.clock.now() + Duration::from_secs(3600);
        let client = TcpStream::connect(&peer).expect("it listens");
        let (number, inode) = (client.as_raw_fd(), inode(&client));
        assert_eq!(sockets.peer(number, inode + 1), None, "another one has the number");
        assert_eq!(sockets.peer(number, inode), Some(peer.as_str()));
        drop(client);
        assert_eq!(sockets.peer(-1, inode), Some(peer.as_str()));
        let null = File::open("/dev/null").expect("it is there");
        assert_eq!(sockets.peer(null.as_raw_fd(), 7), None);
    }

    #[test]
    fn what_listens_later_is_found_after_a_while() {
        let mut sockets = own();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let _client = TcpStream::connect(address).expect("it listens");
        let (server, from) = listener.accept().expect("a client");
        let (number, inode) = (server.as_raw_fd(), inode(&server));
        sockets.next = (MOST_NUMBERS, sockets.clock.now() + Duration::from_secs(3600));
        assert_eq!(sockets.peer(number, inode), Some(from.to_string().as_str()));
        sockets.next = (listener.as_raw_fd(), Moment::default());
        assert_eq!(sockets.peer(-1, 7), None, "and what listens is met on the way");
        assert_eq!(sockets.peer(number, inode), Some(format!("client of {address}").as_str()));
    }

    #[test]
    fn without_duplicates_it_is_left_to_the_tables() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let mut sockets = own();
        assert_eq!(sockets.ask(client.as_raw_fd(), inode(&client)), Left::Nothing);
        sockets.process = Err(Refused);
        assert_eq!(sockets.ask(client.as_raw_fd(), inode(&client)), Left::ToTables);
    }

    #[test]
    fn memory_has_an_end() {
        let mut sockets = own();
        for number in 0..5000_u16 {
            sockets.listen(SocketAddr::from(([127, 0, 0, 1], number)));
            sockets.keep(number.into(), Known { what: String::new(), until: None });
        }
        assert_eq!(sockets.listeners.len(), MOST_LISTENERS);
        assert!(sockets.known.len() <= MOST_SOCKETS);
    }
}
