//! Which address a socket is connected to, by its inode, from the kernel's tables of sockets (`/proc/PID/net`).
//!
//! They stand in where a socket cannot be asked itself: on a kernel before 5.6, under a filter on system calls that forbids `pidfd_getfd`,
//! and while it is not connected yet. Reading a table of TCP takes 5 to 10 ms on a machine with much memory, however few sockets there
//! are, since the kernel goes through all places of its hash table (`tcp_seek_last_pos` in `net/ipv4/tcp_ipv4.c`). So who asks
//! gets what was read before, and makes a wish at most: [`read_wanted`] is for a thread that may take its time. The
//! tables belong to a network namespace, and a tree of workers shares one, so what was read is shared by all who ask in this
//! process, which is the one reason for a `static` here: it holds facts of the kernel, the same for whoever asks. They are read for a
//! thousandth of the time at most, so a connection that lives for less than some 20 seconds is hardly ever found.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use procfs::net::{TcpNetEntries, TcpNetEntry, TcpState, UdpNetEntries, UnixNetEntries, UnixNetEntry, UnixState};
use procfs::{FromBufRead, FromBufReadSI, current_system_info};

use super::duplicate::plain;
use super::open_files::start;
use super::sockets::{CLIENT, UNNAMED};
use crate::clock::{Clock, Moment};

/// Network namespaces whose tables are kept.
const MOST_NAMESPACES: usize = 64;
/// Sockets that are kept of a namespace.
const MOST_SOCKETS: usize = 32 << 10;
/// So many times as long as the last read took, tables are not read again; and the longest of that.
const REST: u32 = 1000;
const LONGEST_REST: Duration = Duration::from_secs(60);
/// As much of a table is read: some 50 000 sockets.
const LONGEST_TABLE: u64 = 8 << 20;

/// The tables in `/proc/PID/net`.
const TABLES: [&str; 5] = ["tcp", "tcp6", "udp", "udp6", "unix"];

static NAMESPACES: LazyLock<Mutex<Namespaces>> =
    LazyLock::new(|| Mutex::new(Namespaces { clock: Clock::start(), known: HashMap::new() }));

/// The peer of a socket of a process as the tables had it when they were last read, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000` or
/// `unix socket`; of a socket that listens, its own address. Where it is in none, they are wanted again.
pub(super) fn peer(pid: i32, inode: u64) -> Option<String> {
    let namespace = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    namespaces().peer(namespace, pid, inode)
}

/// Reads the tables that are wanted and may be read again. Takes up to 20 ms for each namespace.
pub(super) fn read_wanted() {
    let due = namespaces().take_due();
    for (namespace, pid) in due {
        // Who asks does not wait for this.
        let clock = namespaces().clock;
        let begun = clock.now();
        let rows = rows(pid);
        let ended = clock.now();
        let rest = ended.since(begun).saturating_mul(REST).min(LONGEST_REST);
        namespaces().known.insert(namespace, Tables { rows, wanted_for: None, next: ended + rest });
    }
}

fn namespaces() -> MutexGuard<'static, Namespaces> {
    NAMESPACES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Namespaces {
    clock: Clock,
    known: HashMap<PathBuf, Tables>,
}

/// What was read of the tables of a namespace.
#[derive(Debug, Default)]
struct Tables {
    /// By inode.
    rows: HashMap<u64, String>,
    /// A process of the namespace whose socket is in none of them.
    wanted_for: Option<i32>,
    /// When they may be read again.
    next: Moment,
}

impl Namespaces {
    fn peer(&mut self, namespace: PathBuf, pid: i32, inode: u64) -> Option<String> {
        if self.known.len() >= MOST_NAMESPACES && !self.known.contains_key(&namespace) {
            self.known.clear();
        }
        let tables = self.known.entry(namespace).or_default();
        let found = tables.rows.get(&inode).cloned();
        if found.is_none() {
            tables.wanted_for = Some(pid);
        }
        found
    }

    fn take_due(&mut self) -> Vec<(PathBuf, i32)> {
        let now = self.clock.now();
        let due = self.known.iter_mut().filter(|(_, tables)| now >= tables.next);
        due.filter_map(|(namespace, tables)| Some((namespace.clone(), tables.wanted_for.take()?))).collect()
    }
}

/// All sockets of the namespace of a process.
fn rows(pid: i32) -> HashMap<u64, String> {
    let tables = TABLES.iter().filter_map(|name| Some((name, lines(pid, name)?)));
    let rows = tables.flat_map(|(name, text)| parse(name, &text));
    // Sockets without a process have no inode.
    rows.filter(|(inode, _)| *inode != 0).take(MOST_SOCKETS).collect()
}

/// The whole lines of a table.
fn lines(pid: i32, name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(format!("/proc/{pid}/net/{name}")).ok()?;
    file.take(LONGEST_TABLE).read_to_end(&mut text).ok()?;
    let end = text.iter().rposition(|byte| *byte == b'\n')?;
    text.truncate(end);
    Some(text)
}

/// Each socket of a table with its peer; none where the table is not as it should be.
fn parse(name: &str, text: &[u8]) -> Vec<(u64, String)> {
    let system = current_system_info();
    match name {
        "unix" => {
            let rows = UnixNetEntries::from_buf_read(text).map(|entries| entries.0).unwrap_or_default();
            rows.iter().map(|row| (row.inode, of_unix(row))).collect()
        }
        "udp" | "udp6" => {
            let rows = UdpNetEntries::from_buf_read(text, system).map(|entries| entries.0).unwrap_or_default();
            let connected = rows.into_iter().filter(|row| row.remote_address.port() != 0);
            connected.map(|row| (row.inode, plain(row.remote_address).to_string())).collect()
        }
        _ => of_tcp(&TcpNetEntries::from_buf_read(text, system).map(|entries| entries.0).unwrap_or_default()),
    }
}

/// Clients of a server come from ever new ports, so they are told by the address that they came to.
fn of_tcp(table: &[TcpNetEntry]) -> Vec<(u64, String)> {
    let listens = |entry: &&TcpNetEntry| entry.state == TcpState::Listen;
    let served: HashSet<u16> = table.iter().filter(listens).map(|entry| entry.local_address.port()).collect();
    let told = |entry: &TcpNetEntry| {
        let local = plain(entry.local_address);
        match entry.state {
            TcpState::Listen => local.to_string(),
            _ if served.contains(&local.port()) => format!("{CLIENT}{local}"),
            _ => plain(entry.remote_address).to_string(),
        }
    };
    table.iter().map(|entry| (entry.inode, told(entry))).collect()
}

/// The table has a name for the server's end alone.
fn of_unix(row: &UnixNetEntry) -> String {
    match row.path.as_ref().map(|path| start(&path.to_string_lossy())) {
        Some(path) if row.state == UnixState::CONNECTED => format!("{CLIENT}{path}"),
        Some(path) => path,
        None => UNNAMED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as the kernel writes them (`get_tcp4_sock`, `get_tcp6_sock`).
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 502 1 0 100 0 0 10 0
   1: 0100007F:1F40 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000  1000        0 503 1 0 20 4 30 10 -1
   2: 0100007F:D2A4 0100007F:1538 02 00000000:00000000 00:00000000 00000000  1000        0 504 1 0 20 4 30 10 -1
   3: 0000000000000000FFFF00000100007F:D2A5 0000000000000000FFFF00000100007F:1538 01 00000000:00000000 00:00000000 00000000 0 0 505 1 0 20
";

    #[test]
    fn a_peer_is_an_address_or_a_client_of_ours() {
        let peers: HashMap<u64, String> = parse("tcp", TCP.as_bytes()).into_iter().collect();
        let of = |inode| peers.get(&inode).map(String::as_str);
        assert_eq!(of(502), Some("127.0.0.1:8000"));
        assert_eq!(of(503), Some("client of 127.0.0.1:8000"));
        // On its way to be connected, and through a socket for both versions of IP.
        assert_eq!((of(504), of(505)), (Some("127.0.0.1:5432"), Some("127.0.0.1:5432")));
    }

    #[test]
    fn a_unix_socket_has_a_path_or_none() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path
0: 00000002 00000000 00010000 0001 01 21 /run/pg/.s.PGSQL.5432
0: 00000003 00000000 00000000 0001 03 22
0: 00000003 00000000 00000000 0001 03 23 @bus";
        let peers: Vec<(u64, String)> = parse("unix", table.as_bytes());
        let names = ["/run/pg/.s.PGSQL.5432", "unix socket", "client of @bus"];
        assert_eq!(peers, [21, 22, 23].into_iter().zip(names.map(String::from)).collect::<Vec<_>>());
    }

    #[test]
    fn nonsense_is_no_table() {
        for name in TABLES {
            assert!(parse(name, b"header\nnonsense").is_empty(), "{name}");
            assert!(parse(name, b"").is_empty(), "{name}");
        }
        assert_eq!(lines(i32::MAX, "tcp"), None);
        assert_eq!(peer(i32::MAX, 7), None);
    }

    #[test]
    fn tables_are_read_when_they_are_wanted_and_not_again_at_once() {
        let clock = Clock::start();
        let mut namespaces = Namespaces { clock, known: HashMap::new() };
        let ours = PathBuf::from("net:[1]");
        assert!(namespaces.take_due().is_empty());
        assert_eq!(namespaces.peer(ours.clone(), 7, 21), None);
        assert_eq!(namespaces.take_due(), [(ours.clone(), 7)]);
        assert!(namespaces.take_due().is_empty(), "somebody reads them");
        let tables = |next| Tables { rows: [(21, "@bus".into())].into(), wanted_for: None, next };
        namespaces.known.insert(ours.clone(), tables(clock.now() + LONGEST_REST));
        assert_eq!(namespaces.peer(ours.clone(), 7, 21).as_deref(), Some("@bus"));
        assert_eq!(namespaces.peer(ours.clone(), 7, 22), None);
        assert!(namespaces.take_due().is_empty(), "they rest");
        namespaces.known.insert(ours.clone(), tables(clock.now()));
        assert!(namespaces.take_due().is_empty(), "nobody wants them");
        for number in 0..200 {
            namespaces.peer(format!("net:[{number}]").into(), 7, 21);
        }
        assert!(namespaces.known.len() <= MOST_NAMESPACES);
    }

    #[test]
    fn our_own_sockets_are_in_our_tables() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let inode = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd())).expect("it is open").ino();
        let rows = rows(i32::try_from(std::process::id()).expect("pids fit"));
        assert_eq!(rows.get(&inode), Some(&listener.local_addr().expect("bound").to_string()));
    }
}
