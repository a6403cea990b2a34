//! The service of the demo: a booking office under gunicorn on a free port of this machine.
//!
//! Its data lives in a temporary folder that goes with it. The port is gunicorn's choice and read from its log, so that nobody
//! can take it in between.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::environment::{Environment, last_words};
use super::folder::Folder;
use super::task::{End, Task};
use crate::clock::Clock;
use crate::command::signals::Interrupts;
use crate::problem::{Exit, Problem};

/// What is served, and how.
const FILES: [(&str, &str); 2] =
    [("booking.py", include_str!("booking.py")), ("gunicorn.conf.py", include_str!("gunicorn.conf.py"))];

/// As many as `gunicorn.conf.py` asks for.
const WORKERS: usize = 2;

/// How long it may take until the first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to its end.
const GRACE: Duration = Duration::from_secs(4);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A running service; ended, then removed, on drop.
#[derive(Debug)]
pub(super) struct Server {
    // In this order: the folder goes when nobody writes into it any more.
    task: Task,
    _folder: Folder,
    address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it answers. What it prints goes to the log.
    pub(super) fn start(
        environment: &Environment,
        log: &Path,
        clock: Clock,
        interrupts: &Interrupts,
    ) -> Result<Self, Problem> {
        let failed = |cause: &dyn std::fmt::Display| Problem::new(Exit::Failed, "cannot start gunicorn").because(cause);
        let folder = Folder::temporary().map_err(|error| failed(&error))?;
        for (name, text) in FILES {
            fs::write(folder.path().join(name), text).map_err(|error| failed(&error))?;
        }
        let mut command = environment.python();
        command.args(["-m", "gunicorn"]).current_dir(folder.path());
        let task = Task::start(&mut command, log, End::Within(GRACE)).map_err(|error| failed(&error))?;
        let until = clock.now() + PATIENCE;
        loop {
            interrupts.pause()?;
            let said = fs::read(log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            if task.has_ended() {
                return Err(failed(&last_words(&said)).hint(format!("cat {}", log.display())));
            }
            if let Some(address) = listening(&said).filter(|address| answers(*address).unwrap_or(false)) {
                return Ok(Self { task, _folder: folder, address });
            }
            if clock.now() > until {
                let late = format!("no answer within {} s", PATIENCE.as_secs());
                return Err(failed(&late).hint(format!("cat {}", log.display())));
            }
        }
    }

    /// The process id of the master.
    pub(super) fn pid(&self) -> i32 {
        self.task.pid()
    }

    /// Where it answers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// From a line such as `[…] [INFO] Listening at: http://127.0.0.1:40123 (1234)`, once all workers are there.
fn listening(log: &str) -> Option<SocketAddr> {
    if log.matches("Booting worker with pid").count() < WORKERS {
        return None;
    }
    let (_, rest) = log.split_once("Listening at: http://")?;
    rest.split_once(' ')?.0.parse().ok()
}

fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_known_when_all_workers_are_there() {
        let mut log = "[7] [INFO] Listening at: http://127.0.0.1:40123 (7)\n".to_owned();
        assert_eq!(listening(&log), None);
        log += "[8] [INFO] Booting worker with pid: 8\n";
        assert_eq!(listening(&log), None);
        log += "[9] [INFO] Booting worker with pid: 9\n";
        assert_eq!(listening(&log), "127.0.0.1:40123".parse().ok());
    }
}
