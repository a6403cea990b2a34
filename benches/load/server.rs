//! The servers: nginx with a fixed answer, and a small one of our own that notes when it was called. Loopback only; both end
//! with their guard.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use pyperf::clock::{Clock, Moment};

use crate::OPEN_FILES;
use crate::driver::SERVER_CPU;

/// 200 bytes, with a value to capture.
pub const BODY: &str = concat!(
    r#"{"id": 4711, "token": "abcdefghijklmnopqrstuvwxyz", "items": [{"sku": "a-1", "price": 12.5}, "#,
    r#"{"sku": "b-2", "price": 7.25}], "next": "/api/orders?page=2", "total": 2, "ok": true, "note": "xxxxxxxxx"}"#,
);

/// nginx with one worker; ended when dropped.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    pub fn start(nginx: &Path) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("pyperf-bench-{}-{port}", std::process::id()));
        fs::create_dir_all(folder.join("temp")).expect("a folder");
        fs::write(folder.join("nginx.conf"), configuration(port)).expect("a file");
        let child = Command::new("taskset")
            .args(["-c", SERVER_CPU])
            .arg(nginx)
            .arg("-p")
            .arg(&folder)
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .stdout(Stdio::null())
            .spawn()
            .expect("taskset and nginx");
        let server = Self { child, folder, port };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            pause(Duration::from_millis(10));
        }
        panic!("nginx does not answer: {}", fs::read_to_string(server.folder.join("error.log")).unwrap_or_default());
    }

    pub fn target(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configuration(port: u16) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path temp/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log warn;\n\
         worker_rlimit_nofile {OPEN_FILES};\nevents {{ worker_connections {OPEN_FILES}; }}\nhttp {{\n  access_log off;\n\
         {temporary}  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n\
         server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    \
         location / {{ default_type application/json; return 200 '{BODY}'; }}\n  }}\n}}\n"
    )
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Notes when each connection came and when the first request on it was there, answers that, and closes. One thread takes
/// connections in, so that an answer never delays a note.
pub struct Notary {
    port: u16,
    accepted: Receiver<Moment>,
    asked: Receiver<Moment>,
}

impl Notary {
    pub fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (to_answer, peers) = channel::<TcpStream>();
        let (note_accepted, accepted) = channel();
        let (to_note, asked) = channel();
        // Both threads are asleep in the system for good once nobody calls any more, and end with the process.
        spawn("accept", move || {
            for peer in listener.incoming().flatten() {
                if note_accepted.send(clock.now()).is_err() || to_answer.send(peer).is_err() {
                    return;
                }
            }
        });
        spawn("answer", move || {
            for peer in peers {
                if answer(peer, clock, &to_note).is_err() {
                    return;
                }
            }
        });
        Self { port, accepted, asked }
    }

    pub fn target(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// When connections came, as far as they have.
    pub fn accepted(&self) -> Vec<Moment> {
        self.accepted.try_iter().collect()
    }

    /// When the next request was there.
    pub fn request(&self, patience: Duration) -> Option<Moment> {
        self.asked.recv_timeout(patience).ok()
    }
}

/// Answers one request; the error says that nobody wants notes any more.
fn answer(mut peer: TcpStream, clock: Clock, notes: &Sender<Moment>) -> Result<(), ()> {
    let patience = Some(Duration::from_millis(200));
    if peer.set_read_timeout(patience).is_err() || !matches!(peer.read(&mut [0; 2048]), Ok(1..)) {
        return Ok(());
    }
    let wanted = notes.send(clock.now()).map_err(drop);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    // Who has hung up does not miss the answer.
    let _ = write!(peer, "{head}\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    wanted
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.into()).spawn(work).expect("a thread");
}

pub fn pause(length: Duration) {
    thread::sleep(length);
}
