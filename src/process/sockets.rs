//! Which address a socket is connected to, by its inode, from the kernel's tables of sockets.
//!
//! The tables belong to a network namespace, and a tree of workers shares one. Reading a table of TCP takes 5 to 10 ms on a
//! machine with much memory, however few sockets there are, since the kernel goes through all places of its hash table
//! (`tcp_seek_last_pos` in `net/ipv4/tcp_ipv4.c`). So what was read is shared by all who ask in this process, which is the one reason
//! for a `static` here: it holds facts of the kernel, the same for whoever asks. Each table is read for a thousandth of the time
//! at most, and ever more rarely while nothing is found there but clients, whose sockets come and go.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use procfs::net::{TcpNetEntries, TcpNetEntry, TcpState, UdpNetEntries, UnixNetEntries};
use procfs::{FromBufRead, FromBufReadSI, current_system_info};

use super::open_files::start;
use crate::clock::{Clock, Moment};

/// Network namespaces whose tables are kept.
const MOST_NAMESPACES: usize = 64;
/// Sockets that are kept of a table.
const MOST_SOCKETS: usize = 16 << 10;
/// So many times as long as the last read took, a table is not read again; and the bounds of that.
const REST: u32 = 1000;
const SHORTEST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// By so much that grows, at most, while reading is in vain.
const MOST_PATIENCE: u32 = 64;
/// As much of a table is read: some 50 000 sockets.
const LONGEST_TABLE: u64 = 8 << 20;

/// What a server's end of a connection is called before the server's address.
const CLIENT: &str = "client of ";

/// The tables in `/proc/PID/net`, in the order in which a socket is looked for.
const TABLES: [&str; 5] = ["tcp", "tcp6", "udp", "udp6", "unix"];

static NAMESPACES: LazyLock<Mutex<Namespaces>> =
    LazyLock::new(|| Mutex::new(Namespaces { clock: Clock::start(), known: HashMap::new() }));

/// The peer of a socket of a process, such as `127.0.0.1:5432`, `client of 0.0.0.0:8000` or `unix socket`; of a socket that listens, its
/// own address. `None` when no table shows it, or when it may not be read again yet.
pub(super) fn peer(pid: i32, inode: u64) -> Option<String> {
    let namespace = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    let mut namespaces = NAMESPACES.lock().unwrap_or_else(PoisonError::into_inner);
    namespaces.peer(namespace, pid, inode)
}

#[derive(Debug)]
struct Namespaces {
    clock: Clock,
    known: HashMap<PathBuf, [Table; TABLES.len()]>,
}

/// What was read of a table.
#[derive(Debug, Default)]
struct Table {
    /// By inode.
    rows: HashMap<u64, String>,
    /// When it may be read again.
    next: Moment,
    /// Doubles with each read that was in vain.
    patience: u32,
}

impl Namespaces {
    fn peer(&mut self, namespace: PathBuf, pid: i32, inode: u64) -> Option<String> {
        if self.known.len() >= MOST_NAMESPACES && !self.known.contains_key(&namespace) {
            self.known.clear();
        }
        let tables = self.known.entry(namespace).or_default();
        if let Some(known) = tables.iter().find_map(|table| table.rows.get(&inode)) {
            return Some(known.clone());
        }
        for (table, name) in tables.iter_mut().zip(TABLES) {
            let begun = self.clock.now();
            if begun < table.next {
                continue;
            }
            table.read(pid, name, inode);
            let ended = self.clock.now();
            let found = table.rows.get(&inode).cloned();
            let in_vain = found.as_ref().is_none_or(|found| found.starts_with(CLIENT));
            table.patience = if in_vain { (table.patience * 2).clamp(1, MOST_PATIENCE) } else { 1 };
            let rest = ended.since(begun).saturating_mul(REST).saturating_mul(table.patience);
            table.next = ended + rest.clamp(SHORTEST_REST, LONGEST_REST);
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl Table {
    fn read(&mut self, pid: i32, name: &str, wanted: u64) {
        self.rows.clear();
        let Some(text) = lines(pid, name) else {
            return;
        };
        for (inode, peer) in parse(name, &text) {
            // Sockets without a process have no inode.
            if inode != 0 && (inode == wanted || self.rows.len() < MOST_SOCKETS) {
                self.rows.insert(inode, peer);
            }
        }
    }
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
            let named = rows.into_iter().map(|row| (row.inode, row.path.map(|path| start(&path.to_string_lossy()))));
            named.map(|(inode, path)| (inode, path.unwrap_or_else(|| "unix socket".into()))).collect()
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

/// IPv4 that comes through an IPv6 socket, as IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
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
        let names = ["/run/pg/.s.PGSQL.5432", "unix socket", "@bus"];
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
}
