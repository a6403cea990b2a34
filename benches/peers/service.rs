//! What is sampled: a gunicorn tree with the application of `deep.py`, and wrk that keeps it busy. Both end with their guards.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use pyperf::clock::Clock;

use crate::child::{run, tool};
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::process::Process;
use crate::support::python::Python;

/// What all services are made of.
pub struct Site {
    environment: Environment,
    wrk: PathBuf,
    pub clock: Clock,
}

/// A tree as it is started, and the connections that keep all of it busy.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    workers: usize,
    class: WorkerClass,
    connections: u16,
}

/// Four sync workers, the tree of most parts.
pub const SYNC: Shape = Shape { name: "sync ×4", workers: 4, class: WorkerClass::Sync, connections: 4 };
/// Two workers of eight threads each.
pub const GTHREAD: Shape =
    Shape { name: "gthread 2×8", workers: 2, class: WorkerClass::Gthread { threads: 8 }, connections: 16 };

/// Many more workers than cores.
pub const MANY: Shape = Shape { name: "sync ×64", workers: 64, class: WorkerClass::Sync, connections: 4 };

impl Site {
    /// Finds wrk, and makes the environment of gunicorn unless it is there.
    pub fn prepare() -> Self {
        Self {
            environment: Environment::new(&Python::default(), Packages::Web),
            wrk: tool("wrk", "apt-get install wrk"),
            clock: Clock::start(),
        }
    }

    /// Its interpreter, for a target that is no gunicorn.
    pub fn python(&self) -> PathBuf {
        self.environment.python()
    }

    /// Starts a tree and waits until all of its workers serve.
    pub fn start(&self, shape: Shape) -> Service<'_> {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
        let gunicorn = Gunicorn::of(&self.environment)
            .workers(shape.workers)
            .class(shape.class)
            // With threads a worker takes as many connections as it is let, one of the two all of them: then a core is idle.
            .arguments(["--pythonpath", here, "--worker-connections", "8"])
            .application("deep:application")
            .start();
        let service = Service { gunicorn, shape, site: self };
        // The first requests compile and cache; they are nobody's to measure.
        service.requests(1);
        service
    }
}

/// A running tree.
pub struct Service<'a> {
    gunicorn: Gunicorn,
    shape: Shape,
    site: &'a Site,
}

impl Service<'_> {
    /// The master.
    pub fn pid(&self) -> i32 {
        self.gunicorn.pid()
    }

    pub fn workers(&self) -> Vec<i32> {
        self.gunicorn.workers()
    }

    /// Keeps each worker to one core, so that all cores are busy by construction.
    pub fn spread(&self) {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        for (number, worker) in self.workers().iter().enumerate() {
            let arguments = ["-a", "-c", "-p", &(number % cores).to_string(), &worker.to_string()].map(str::to_owned);
            let pinned = Command::new("taskset").args(arguments).stdout(Stdio::null()).status();
            assert!(pinned.is_ok_and(|status| status.success()), "the bench needs taskset, of util-linux");
        }
    }

    /// Keeps every worker busy until the guard is dropped.
    pub fn busy(&self) -> Process {
        let mut command = self.wrk(3600);
        command.stdout(Stdio::null());
        Process::spawn(command)
    }

    /// How many requests are answered in so many seconds, each of them right.
    pub fn requests(&self, seconds: u32) -> u32 {
        let said = run(self.wrk(seconds).stdout(Stdio::piped()), self.site.clock).said;
        assert!(!said.contains("Non-2xx"), "the service fails:\n{said}");
        let answered = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
        answered.unwrap_or_else(|| panic!("wrk does not say how many:\n{said}"))
    }

    fn wrk(&self, seconds: u32) -> Command {
        let mut command = Command::new(&self.site.wrk);
        command.args(["-t1", "-c", &self.shape.connections.to_string(), "-d", &format!("{seconds}s")]);
        command.arg(format!("http://{}/", self.gunicorn.address())).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}
