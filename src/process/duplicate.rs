//! Asks a socket of another process what it is connected to, through a duplicate that is held for some microseconds.
//!
//! `pidfd_getfd` (Linux 5.6) gives the duplicate to whoever may read the process's memory (`PTRACE_MODE_ATTACH_REALCREDS`, `kernel/pid.c`).
//! It is the right one in any network namespace, and a pid that is used again never matches.
//! Which numbers are asked for, and how often, is not decided here.
//!
//! # What a duplicate does to its owner
//!
//! Nothing is read from it, written to it or set on it. It is closed before [`Process::socket`] returns, on every path, and is never passed
//! on (close-on-exec). Only what the kernel calls a socket just before is duplicated; a regular file, pipe or terminal can be met when the
//! number changes hands in between, and holding these has no effect: locks of `fcntl` belong to the process, those of `flock` last as long.
//!
//! What the owner closes in these microseconds is closed in truth when the duplicate is: that much later (longer when pyperf loses its
//! core just then)
//! - the FIN of a connection is sent, and the owner's `close` does not wait for it even where `SO_LINGER` says so: ours does;
//! - a socket that listens leaves its group of `SO_REUSEPORT`. What connects meanwhile is refused, as in the moment before any such close;
//! - an epoll set loses its entry, which can tell of events until then.
//!
//! `shutdown` does not wait for anybody. One effect lasts: receiving a socket puts its traffic into the class of the receiver's cgroups
//! `net_cls` and `net_prio` (`__receive_sock`, `net/core/scm.c` and `fs/file.c`), which only version 1 of cgroups has. So a process
//! that is in other ones than pyperf is refused here.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixStream};

use nix::sys::stat::fstat;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// No process has a file of this number (`fs/file.c`, `sysctl_nr_open_max`).
const NO_FILE: i32 = i32::MAX;

/// A process whose sockets can be asked.
#[derive(Debug)]
pub(super) struct Process(OwnedFd);

/// Duplicates of this process's sockets are not to be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// A socket as it was a moment ago.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// As in the link of its number.
    pub(super) inode: u64,
    /// Whether it is for one connection at a time, as TCP is and UDP is not.
    pub(super) stream: bool,
    /// Whether it listens.
    pub(super) listens: bool,
    pub(super) ends: Ends,
}

/// What the two ends of a socket are called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Inet {
        local: SocketAddr,
        peer: Option<SocketAddr>,
    },
    /// An end can be without a name.
    Unix {
        local: Option<String>,
        peer: Option<String>,
        connected: bool,
    },
    /// Of another family.
    Other,
}

impl Process {
    /// The process that has this pid now. [`Refused`] where the kernel knows no `pidfd_getfd` or does not allow it, as in a container
    /// with a filter on system calls, or where the process would notice.
    pub(super) fn open(pid: i32) -> Result<Self, Refused> {
        if pid <= 0 || net_classes("self") != net_classes(&pid.to_string()) {
            return Err(Refused);
        }
        let pid = Pid::from_raw(pid).ok_or(Refused)?;
        let process = Self(pidfd_open(pid, PidfdFlags::empty()).map_err(|_| Refused)?);
        // Whether one may comes before whether there is such a file.
        match pidfd_getfd(&process.0, NO_FILE, PidfdGetfdFlags::empty()) {
            Err(Errno::BADF) => Ok(process),
            _ => Err(Refused),
        }
    }

    /// The socket that has this number now; `None` when there is none, or it cannot be asked. Takes 3.7 µs on a busy
    /// machine of 2 cores (AMD Zen 4, Linux 6.18), and from the duplicate to its end somewhat less.
    pub(super) fn socket(&self, number: i32) -> Option<Socket> {
        let number = Some(number).filter(|number| *number >= 0)?;
        let duplicate = pidfd_getfd(&self.0, number, PidfdGetfdFlags::empty()).ok()?;
        let family = sockopt::socket_domain(&duplicate).ok()?;
        let inode = fstat(&duplicate).ok()?.st_ino;
        let stream = matches!(sockopt::socket_type(&duplicate).ok()?, SocketType::STREAM | SocketType::SEQPACKET);
        let listens = sockopt::socket_acceptconn(&duplicate).ok()?;
        let ends = match family {
            AddressFamily::INET | AddressFamily::INET6 => {
                let socket = TcpStream::from(duplicate);
                Ends::Inet { local: plain(socket.local_addr().ok()?), peer: socket.peer_addr().ok().map(plain) }
            }
            AddressFamily::UNIX => {
                let socket = UnixStream::from(duplicate);
                let (local, peer) = (socket.local_addr(), socket.peer_addr());
                drop(socket);
                Ends::Unix {
                    connected: peer.is_ok(),
                    local: local.ok().as_ref().and_then(path),
                    peer: peer.ok().as_ref().and_then(path),
                }
            }
            _ => Ends::Other,
        };
        Some(Socket { inode, stream, listens, ends })
    }
}

/// IPv4 that comes through an IPv6 socket, as IPv4.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A name in the file system, or an abstract one as the kernel writes it in `/proc/net/unix`.
fn path(address: &net::SocketAddr) -> Option<String> {
    let named = address.as_pathname().map(|path| path.to_string_lossy().into_owned());
    let of_no_file = || address.as_abstract_name().map(|name| format!("@{}", String::from_utf8_lossy(name)));
    named.or_else(of_no_file).map(|name| name.replace('\0', "@"))
}

/// The lines of `/proc/PID/cgroup` that say by what its traffic is classed; none where there is version 2 alone.
fn net_classes(pid: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().filter(|line| classes_traffic(line)).map(String::from).collect()
}

/// Lines are `number:controllers:path`.
fn classes_traffic(line: &str) -> bool {
    let controllers = line.split(':').nth(1).unwrap_or_default();
    controllers.split(',').any(|name| matches!(name, "net_cls" | "net_prio"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::UnixListener;

    fn own() -> Process {
        Process::open(i32::try_from(std::process::id()).expect("pids fit")).expect("our own sockets are ours")
    }

    fn asked(socket: &impl AsRawFd) -> Socket {
        own().socket(socket.as_raw_fd()).expect("it is a socket")
    }

    #[test]
    fn a_socket_tells_both_of_its_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("it listens");
        let from = client.local_addr().expect("connected");
        let (server, _) = listener.accept().expect("a client");
        let told = asked(&listener);
        assert_eq!((told.listens, told.ends), (true, Ends::Inet { local: address, peer: None }));
        let told = asked(&server);
        assert_eq!((told.listens, told.ends), (false, Ends::Inet { local: address, peer: Some(from) }));
        let told = asked(&client);
        assert_eq!(told.inode, fstat(client.as_fd()).expect("it is open").st_ino);
        assert_eq!((told.stream, told.ends), (true, Ends::Inet { local: from, peer: Some(address) }));
        let udp = asked(&UdpSocket::bind("127.0.0.1:0").expect("loopback"));
        assert!(!udp.stream && matches!(udp.ends, Ends::Inet { peer: None, .. }));
    }

    #[test]
    fn the_ends_of_a_unix_socket_have_a_name_or_none() {
        // The last is as long as a name can be.
        for length in [30, 106, 107] {
            let name = format!("{:x<length$}", format!("pyperf-{}-", std::process::id()));
            let address = net::SocketAddr::from_abstract_name(name.as_bytes()).expect("short enough");
            let listener = UnixListener::bind_addr(&address).expect("nobody has the name");
            let client = UnixStream::connect_addr(&address).expect("it listens");
            let (server, _) = listener.accept().expect("a client");
            let name = Some(format!("@{name}"));
            assert_eq!(asked(&listener).ends, Ends::Unix { local: name.clone(), peer: None, connected: false });
            assert_eq!(asked(&client).ends, Ends::Unix { local: None, peer: name.clone(), connected: true });
            assert_eq!(asked(&server).ends, Ends::Unix { local: name, peer: None, connected: true });
        }
        let (one, _two) = UnixStream::pair().expect("a pair");
        assert_eq!(asked(&one).ends, Ends::Unix { local: None, peer: None, connected: true });
    }

    #[test]
    fn the_peer_sees_the_end_at_once() {
        use std::io::Read;
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (server, _) = listener.accept().expect("a client");
        let (process, number) = (own(), server.as_raw_fd());
        assert!(process.socket(number).is_some());
        drop(server);
        // It would wait for ever if a duplicate were left.
        assert_eq!(client.read(&mut [0]).expect("a FIN"), 0);
    }

    #[test]
    fn what_is_no_socket_is_none() {
        let null = File::open("/dev/null").expect("it is there");
        assert_eq!(own().socket(null.as_raw_fd()), None);
        assert_eq!(own().socket(-1), None);
        for pid in [i32::MAX, 0, -1, i32::MIN] {
            assert!(Process::open(pid).is_err());
        }
    }

    #[test]
    fn only_old_cgroups_class_traffic() {
        assert!(classes_traffic("5:net_cls,net_prio:/docker/7"));
        assert!(classes_traffic("6:net_prio:/"));
        for other in ["0::/system.slice/net_cls", "3:cpu,cpuacct:/", ""] {
            assert!(!classes_traffic(other), "{other}");
        }
    }
}
