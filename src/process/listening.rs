//! Who serves an address on this machine: from a host and port to the topmost Python process behind the listening socket.
//!
//! The kernel's table of TCP sockets (`/proc/net/tcp`, `tcp6`) gives the socket's inode, the links in `/proc/PID/fd` the
//! processes that hold it. A gunicorn's workers hold their master's socket, so the topmost holder is the master; with
//! `reuse_port` each worker has a socket of its own and the master has none, so one goes on up as long as the parent is the
//! same program. What listens in another network namespace (a container's published port) is not in these tables.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use procfs::ProcError;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

use super::facts::Facts;
use super::find::ancestors;
use super::gunicorn;
use crate::printable::printable;
use crate::problem::{Advice, Exit};

/// Why an address leads to no Python program on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host's name has no address.
    #[error("cannot find the address of {}", printable(.host, 200))]
    Unresolved {
        /// The host.
        host: String,
        /// What the resolver says.
        #[source]
        cause: io::Error,
    },
    /// The address is another machine's.
    #[error("{} is not this machine: {found} is none of its addresses", printable(.host, 200))]
    OtherMachine {
        /// The host.
        host: String,
        /// Its address.
        found: IpAddr,
    },
    /// No socket listens there.
    #[error("nothing listens on {address}{}", there_is(.elsewhere))]
    Nothing {
        /// The address that was asked for.
        address: String,
        /// What listens on the same port of other addresses.
        elsewhere: Vec<SocketAddr>,
    },
    /// The socket is there, and its owner is among the processes that may not be looked into.
    #[error("a process of user {uid} listens on {address}, and pyperf may not see which one")]
    Hidden {
        /// The address.
        address: String,
        /// The user who opened the socket.
        uid: u32,
    },
    /// The socket is there, and none of the processes here has it.
    #[error("something listens on {address}, but no process that can be seen from here")]
    Unseen {
        /// The address.
        address: String,
    },
    /// The socket belongs to a proxy or another server.
    #[error("{} (pid {pid}) listens on {address}, and it is not Python", printable(.name, 16))]
    NotPython {
        /// The address.
        address: String,
        /// The topmost process that has the socket.
        pid: i32,
        /// Its name.
        name: String,
    },
}

impl Advice for ListenError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unresolved { .. } => "check the host's spelling, or name the program with --name or --pid".into(),
            Self::OtherMachine { .. } => {
                "pyperf attach on that machine and pyperf run on this one, or, if it is a way to a \
                 program on this machine, name that with --name or --pid"
                    .into()
            }
            Self::Nothing { elsewhere, .. } if elsewhere.is_empty() => "start the server, or check the port".into(),
            Self::Nothing { .. } => "use the address that it listens on".into(),
            Self::Hidden { .. } => "the same command with sudo".into(),
            Self::Unseen { .. } => "it may be in a container: name its process with --name or --pid".into(),
            Self::NotPython { .. } => "name the Python program behind it with --name or --pid".into(),
        })
    }

    fn exit(&self) -> Exit {
        if matches!(self, Self::Hidden { .. }) { Exit::NotAllowed } else { Exit::NoProcess }
    }
}

fn there_is(found: &[SocketAddr]) -> String {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    if found.is_empty() { String::new() } else { format!("; there is {}", found.join(", ")) }
}

/// Host and port as in a URL.
#[must_use]
pub fn address(host: &str, port: u16) -> String {
    let host = printable(host, 200);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The topmost Python processes that serve a TCP address of this machine; more than one only where unrelated programs share it.
///
/// # Errors
///
/// When the address is not this machine's, nothing listens there, or what listens is not Python or cannot be seen.
pub(super) fn find_listening(all: &HashMap<i32, Facts>, host: &str, port: u16) -> Result<Vec<i32>, ListenError> {
    let ips = local(host, port)?;
    let table: Vec<TcpNetEntry> = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten().collect();
    // What a client tries in this order: an address on which nobody listens is passed over.
    let chosen = ips.iter().map(|ip| accepting(&table, *ip, port)).find(|chosen| !chosen.is_empty());
    let Some(sockets) = chosen else {
        return Err(ListenError::Nothing { address: address(host, port), elsewhere: all_on(&table, port) });
    };
    let holders = Holders::of(all, &sockets.iter().map(|socket| socket.inode).collect());
    let python: Vec<i32> =
        holders.found.iter().copied().filter(|pid| all.get(pid).is_some_and(Facts::is_python)).collect();
    if !python.is_empty() {
        return Ok(topmost(all, &python));
    }
    let address = address(host, port);
    let holder = uppermost(all, &holders.found).first().and_then(|pid| all.get(pid));
    Err(match (holder, sockets.first()) {
        (Some(facts), _) => ListenError::NotPython { address, pid: facts.id.pid, name: facts.comm.clone() },
        (None, Some(socket)) if holders.refused => ListenError::Hidden { address, uid: socket.uid },
        (None, _) => ListenError::Unseen { address },
    })
}

/// The addresses of a host, which must be this machine's.
fn local(host: &str, port: u16) -> Result<Vec<IpAddr>, ListenError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let unresolved = |cause| ListenError::Unresolved { host: host.into(), cause };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unresolved)?.collect();
    let ours: Vec<IpAddr> = found.iter().filter(|found| is_ours(**found)).map(|found| reached(found.ip())).collect();
    match (ours.is_empty(), found.first()) {
        (false, _) => Ok(ours),
        (true, Some(found)) => Err(ListenError::OtherMachine { host: host.into(), found: found.ip() }),
        (true, None) => Err(unresolved(io::ErrorKind::NotFound.into())),
    }
}

/// Whether the kernel takes the address for one of this machine: it binds a socket to no other. Nothing is sent.
fn is_ours(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback() || {
        let mut any_port = address;
        any_port.set_port(0);
        UdpSocket::bind(any_port).is_ok()
    }
}

/// The address that a client reaches under this one: the wildcard leads to the loopback (`net/ipv4/route.c`).
fn reached(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The sockets that take connections to an address. One that is bound to just this address goes before a wildcard, as in
/// the kernel's choice (`compute_score` in `net/ipv4/inet_hashtables.c`).
fn accepting(table: &[TcpNetEntry], ip: IpAddr, port: u16) -> Vec<&TcpNetEntry> {
    let ranked: Vec<(u8, &TcpNetEntry)> =
        listening(table, port).filter_map(|entry| Some((distance(entry.local_address.ip(), ip)?, entry))).collect();
    let best = ranked.iter().map(|(distance, _)| *distance).min();
    ranked.into_iter().filter(|(distance, _)| Some(*distance) == best).map(|(_, entry)| entry).collect()
}

fn listening(table: &[TcpNetEntry], port: u16) -> impl Iterator<Item = &TcpNetEntry> {
    table.iter().filter(move |entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
}

/// How near a bound address comes to the one that is asked for; `None` when it does not take its connections.
fn distance(bound: IpAddr, ip: IpAddr) -> Option<u8> {
    match (bound.to_canonical(), ip) {
        (bound, ip) if bound == ip => Some(0),
        (IpAddr::V4(bound), IpAddr::V4(_)) if bound.is_unspecified() => Some(1),
        (IpAddr::V6(bound), IpAddr::V6(_)) if bound.is_unspecified() => Some(1),
        // IPv4 comes to an IPv6 wildcard too, unless IPV6_V6ONLY is set, which the table does not tell.
        (IpAddr::V6(bound), IpAddr::V4(_)) if bound.is_unspecified() => Some(2),
        _ => None,
    }
}

fn all_on(table: &[TcpNetEntry], port: u16) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = listening(table, port).map(|entry| entry.local_address).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(8);
    found
}

/// The processes that hold one of some sockets, by pid.
struct Holders {
    found: Vec<i32>,
    /// Whether the kernel refused to show the files of some process.
    refused: bool,
}

impl Holders {
    fn of(all: &HashMap<i32, Facts>, inodes: &HashSet<u64>) -> Self {
        let mut holders = Self { found: Vec::new(), refused: false };
        for pid in all.keys() {
            match holds(*pid, inodes) {
                Ok(true) => holders.found.push(*pid),
                Err(ProcError::PermissionDenied(_)) => holders.refused = true,
                Ok(false) | Err(_) => {}
            }
        }
        holders.found.sort_unstable();
        holders
    }
}

fn holds(pid: i32, inodes: &HashSet<u64>) -> Result<bool, ProcError> {
    let mut refused = None;
    for file in Process::new(pid)?.fd()? {
        match file.map(|file| file.target) {
            Ok(FDTarget::Socket(inode)) if inodes.contains(&inode) => return Ok(true),
            Err(error @ ProcError::PermissionDenied(_)) => refused = Some(error),
            _ => {}
        }
    }
    refused.map_or(Ok(false), Err)
}

/// The tops of the trees that Python processes with the socket belong to: one, unless unrelated programs share the address.
fn topmost(all: &HashMap<i32, Facts>, holders: &[i32]) -> Vec<i32> {
    let mut tops: Vec<i32> = uppermost(all, holders).into_iter().map(|pid| top_of_program(all, pid)).collect();
    // Facts that were read at different times can make a circle, which has no top.
    if tops.is_empty() {
        tops.extend(holders.first());
    }
    tops.sort_unstable();
    tops.dedup();
    tops
}

/// Those that do not descend from another one of them.
fn uppermost(all: &HashMap<i32, Facts>, pids: &[i32]) -> Vec<i32> {
    pids.iter()
        .copied()
        .filter(|pid| !ancestors(all, *pid).any(|above| above != *pid && pids.contains(&above)))
        .collect()
}

/// Up from a process for as long as its parent runs the same Python program.
fn top_of_program(all: &HashMap<i32, Facts>, pid: i32) -> i32 {
    let mut top = pid;
    for above in ancestors(all, pid) {
        match (all.get(&top), all.get(&above)) {
            (Some(below), Some(parent)) if parent.is_python() && are_one_program(parent, below) => top = above,
            _ => break,
        }
    }
    top
}

/// Whether parent and child are one program: a fork shows its parent's command line, and gunicorn's own titles tell the roles.
fn are_one_program(parent: &Facts, child: &Facts) -> bool {
    let forked = !child.argv.is_empty() && parent.argv == child.argv;
    let titled = child.title().is_some() && gunicorn::is_gunicorn(child) && gunicorn::is_gunicorn(parent);
    forked || titled
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;
    use procfs::net::TcpNetEntries;
    use procfs::{FromBufReadSI, current_system_info};

    /// Rows as the kernel writes them (`get_tcp4_sock`, `get_tcp6_sock`): number, local and remote address, state, …, inode.
    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 501 1 0 100 0 0 10 0
   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 502 1 0 100 0 0 10 0
   2: 0100007F:1F40 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000  1000        0 503 1 0 20 4 30 10 -1
   3: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 504 1 0 100 0 0 10 0
   4: 00000000000000000000000000000000:1F42 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 505 1 0 100 0 0 10 0
   5: 0000000000000000FFFF00000100007F:1F43 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 506 1 0 100 0 0 10 0
   6: 00000000000000000000000001000000:1F44 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 507 1 0 100 0 0 10 0
";

    fn inodes(ip: &str, port: u16) -> Vec<u64> {
        let TcpNetEntries(table) =
            TcpNetEntries::from_buf_read(TABLE.as_bytes(), current_system_info()).expect("the kernel's format");
        accepting(&table, ip.parse().expect("an address"), port).iter().map(|entry| entry.inode).collect()
    }

    #[test]
    fn the_socket_bound_nearest_to_an_address_takes_its_connections() {
        assert_eq!(inodes("127.0.0.1", 8000), [502]);
        assert_eq!(inodes("10.0.0.7", 8000), [501]);
        assert_eq!(inodes("127.0.0.1", 8001), [504]);
        assert!(inodes("10.0.0.7", 8001).is_empty());
        assert!(inodes("127.0.0.1", 9000).is_empty());
    }

    #[test]
    fn ipv4_comes_to_ipv6_sockets_that_take_it() {
        assert_eq!(inodes("127.0.0.1", 8002), [505]);
        assert_eq!(inodes("::1", 8002), [505]);
        assert_eq!(inodes("127.0.0.1", 8003), [506]);
        assert_eq!(inodes("::1", 8004), [507]);
        assert!(inodes("127.0.0.1", 8004).is_empty());
        assert!(inodes("::1", 8000).is_empty());
    }

    #[test]
    fn the_wildcard_as_a_target_is_the_loopback() {
        assert_eq!(reached(Ipv4Addr::UNSPECIFIED.into()), IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(reached(Ipv6Addr::UNSPECIFIED.into()), IpAddr::from(Ipv6Addr::LOCALHOST));
        let mapped: IpAddr = "::ffff:10.0.0.7".parse().expect("an address");
        assert_eq!(reached(mapped).to_string(), "10.0.0.7");
    }

    fn world(processes: &[(i32, i32, &[&str])]) -> HashMap<i32, Facts> {
        processes.iter().map(|(pid, parent, argv)| (*pid, facts(*pid, *parent, argv))).collect()
    }

    const GUNICORN: &[&str] = &["python3", "/srv/bin/gunicorn", "app:app"];

    #[test]
    fn the_master_is_above_all_that_hold_its_socket() {
        let mut all = world(&[
            (-1, 0, &["/sbin/init"]),
            (-2, -1, &["sh", "-c", "gunicorn app:app"]),
            (-3, -2, GUNICORN),
            (-4, -3, GUNICORN),
            (-5, -3, GUNICORN),
            (-6, -5, &["python3", "resize.py"]),
        ]);
        for shell in [-1, -2] {
            all.get_mut(&shell).expect("it is there").exe = Some("/bin/sh".into());
        }
        assert_eq!(topmost(&all, &[-3, -4, -5]), [-3]);
        // A child that was given the socket and runs another program.
        assert_eq!(topmost(&all, &[-3, -6]), [-3]);
    }

    #[test]
    fn workers_with_sockets_of_their_own_have_their_master_above_them() {
        let all = world(&[
            (-1, 0, &["python3", "/usr/bin/supervisord"]),
            (-2, -1, GUNICORN),
            (-3, -2, GUNICORN),
            (-4, -2, GUNICORN),
        ]);
        assert_eq!(topmost(&all, &[-3, -4]), [-2]);
        assert_eq!(topmost(&all, &[-3]), [-2]);
        let titled = world(&[
            (-1, 0, &["python3", "/usr/bin/supervisord"]),
            (-2, -1, &["gunicorn: master [api]"]),
            (-3, -2, &["gunicorn: worker [api]"]),
        ]);
        assert_eq!(topmost(&titled, &[-3]), [-2]);
    }

    #[test]
    fn programs_that_share_an_address_are_told_apart() {
        let all = world(&[(-1, 0, &["python3", "/usr/bin/supervisord"]), (-2, -1, GUNICORN), (-3, -1, GUNICORN)]);
        assert_eq!(topmost(&all, &[-2, -3]), [-3, -2]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let all = world(&[(-2, -3, GUNICORN), (-3, -2, GUNICORN)]);
        assert_eq!(topmost(&all, &[-3, -2]).len(), 1);
    }

    #[test]
    fn an_address_is_this_machines_or_not() {
        let refusal = |host| local(host, 80).expect_err("not here").to_string();
        assert!(local("localhost", 80).is_ok_and(|ips| !ips.is_empty()));
        assert!(local("127.9.9.9", 80).is_ok());
        // TEST-NET-1 of RFC 5737 is nobody's.
        assert_eq!(refusal("192.0.2.1"), "192.0.2.1 is not this machine: 192.0.2.1 is none of its addresses");
        assert!(matches!(local("no such host", 80), Err(ListenError::Unresolved { .. })));
    }

    #[test]
    fn addresses_are_written_as_in_a_url() {
        assert_eq!(address("::1", 8000), "[::1]:8000");
        assert_eq!(address("localhost", 8000), "localhost:8000");
        let error = ListenError::Nothing {
            address: address("localhost", 8000),
            elsewhere: vec!["10.0.0.7:8000".parse().expect("an address")],
        };
        assert_eq!(error.to_string(), "nothing listens on localhost:8000; there is 10.0.0.7:8000");
    }
}
