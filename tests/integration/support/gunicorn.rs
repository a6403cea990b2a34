//! A gunicorn of one's own: a master and its workers, serving a sample application on a free port.
//!
//! What it does is known from its log, its answers and `/proc`; nothing here knows pyperf.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use nix::unistd::User;

use super::environment::{Environment, Packages};
use super::namespace::Namespace;
use super::output::Output;
use super::process::{self, Process};
use super::{apps, http};

/// How a worker handles its requests.
#[derive(Clone, Copy, Debug)]
pub enum WorkerClass {
    Sync,
    Gthread { threads: u16 },
    Gevent,
    Eventlet,
}

/// Every class with packages that have it.
pub const CLASSES: [(Packages, WorkerClass); 4] = [
    (Packages::Web, WorkerClass::Sync),
    (Packages::Titles, WorkerClass::Gthread { threads: 2 }),
    (Packages::Gevent, WorkerClass::Gevent),
    (Packages::Eventlet, WorkerClass::Eventlet),
];

/// What is executed to get a master.
#[derive(Clone, Copy, Debug)]
pub enum Launcher {
    /// `gunicorn …`
    Script,
    /// `python -m gunicorn …`
    Module,
    /// `sh -c "gunicorn …"`, where the shell stays as the master's parent.
    Shell,
}

/// A gunicorn to be started: one sync worker with the plain application, launched by its script, unless told otherwise.
pub struct Configuration<'a> {
    environment: Environment,
    launcher: Launcher,
    workers: usize,
    class: WorkerClass,
    application: String,
    arguments: Vec<String>,
    user: Option<User>,
    namespace: Option<&'a Namespace>,
}

impl<'a> Configuration<'a> {
    pub fn launcher(self, launcher: Launcher) -> Configuration<'a> {
        Configuration { launcher, ..self }
    }

    pub fn workers(self, workers: usize) -> Configuration<'a> {
        Configuration { workers, ..self }
    }

    pub fn class(self, class: WorkerClass) -> Configuration<'a> {
        Configuration { class, ..self }
    }

    /// Another application of `apps/`, such as `flask_api:application`.
    pub fn application(self, application: &str) -> Configuration<'a> {
        Configuration { application: application.to_owned(), ..self }
    }

    /// Further arguments for gunicorn.
    pub fn arguments<const N: usize>(self, arguments: [&str; N]) -> Configuration<'a> {
        Configuration { arguments: arguments.map(str::to_owned).to_vec(), ..self }
    }

    /// One more argument for gunicorn.
    pub fn argument(mut self, argument: &str) -> Configuration<'a> {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more variable of the workers' environment: `NAME=value`.
    pub fn environment(mut self, variable: &str) -> Configuration<'a> {
        self.arguments.extend(["--env".to_owned(), variable.to_owned()]);
        self
    }

    /// Runs all of it as this user. For another than one's own one must be root, and the environment of [`Python::shared`].
    ///
    /// [`Python::shared`]: super::python::Python::shared
    pub fn user(self, user: User) -> Configuration<'a> {
        Configuration { user: Some(user), ..self }
    }

    /// Runs all of it inside the namespace.
    pub fn inside(self, namespace: &'a Namespace) -> Configuration<'a> {
        Configuration { namespace: Some(namespace), ..self }
    }

    /// Starts it and waits until it listens and all workers have loaded the application.
    pub fn start(self) -> Gunicorn {
        let (reader, writer) = io::pipe().expect("a pipe can be had");
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
        let process = Process::spawn(command);
        let log = Output::of(reader);
        let (address, pid) = parse_listening(&log.wait_for("Listening at: "));
        log.wait_for_lines("Worker ready: ", self.workers);
        let pid = self.namespace.map_or(pid, |namespace| namespace.outside(pid));
        Gunicorn { process, log, pid, address }
    }

    fn command(&self) -> Command {
        let script = self.environment.script("gunicorn").into_os_string();
        let launch: Vec<OsString> = match self.launcher {
            Launcher::Script => vec![script],
            Launcher::Module => vec![self.environment.python().into(), "-m".into(), "gunicorn".into()],
            // The exit after it keeps the shell from replacing itself with gunicorn.
            Launcher::Shell => vec!["sh".into(), "-c".into(), r#""$@"; exit $?"#.into(), "sh".into(), script],
        };
        let mut command = match self.namespace {
            Some(namespace) => namespace.command(&launch[0]),
            None => Command::new(&launch[0]),
        };
        command.args(&launch[1..]);
        command.arg("--config").arg(apps().join("gunicorn_settings.py"));
        command.arg("--chdir").arg(apps()).args(["--bind", "127.0.0.1:0"]);
        command.args(["--workers", &self.workers.to_string()]);
        match self.class {
            WorkerClass::Sync => command.args(["--worker-class", "sync"]),
            WorkerClass::Gthread { threads } => {
                command.args(["--worker-class", "gthread", "--threads", &threads.to_string()])
            }
            WorkerClass::Gevent => command.args(["--worker-class", "gevent"]),
            WorkerClass::Eventlet => command.args(["--worker-class", "eventlet"]),
        };
        command.args(&self.arguments).arg(&self.application);
        command.env_remove("GUNICORN_CMD_ARGS").env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

/// A running gunicorn; the whole tree is killed on drop.
pub struct Gunicorn {
    process: Process,
    log: Output,
    pid: i32,
    address: SocketAddr,
}

impl Gunicorn {
    /// The gunicorn of `environment`, to be configured and started.
    pub fn of<'a>(environment: &Environment) -> Configuration<'a> {
        Configuration {
            environment: environment.clone(),
            launcher: Launcher::Script,
            workers: 1,
            class: WorkerClass::Sync,
            application: "api:application".to_owned(),
            arguments: Vec::new(),
            user: None,
            namespace: None,
        }
    }

    /// The master's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The process id of what was launched: the shell's, or the master's own.
    pub fn launched_pid(&self) -> i32 {
        self.process.pid()
    }

    /// The process ids of the master's running children.
    pub fn workers(&self) -> Vec<i32> {
        process::children(self.pid)
    }

    /// The process ids of the first `count` workers that became ready since the start, in that order, whoever their master is.
    pub fn ready(&self, count: usize) -> Vec<i32> {
        let lines = self.log.wait_for_lines("Worker ready: ", count);
        let pid = |line: &String| line.rsplit(' ').next().and_then(|pid| pid.parse().ok());
        lines.iter().take(count).map(|line| pid(line).expect("the line ends with a pid")).collect()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What gunicorn and the application have written so far, and the way to wait for more.
    pub fn log(&self) -> &Output {
        &self.log
    }

    /// Signals the master.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid, signal);
    }

    /// The answer to `GET path`, which is the pid of the worker that gave it.
    pub fn get(&self, path: &str) -> String {
        http::get(self.address, path)
    }

    /// As [`Gunicorn::get`], on a thread.
    #[expect(clippy::disallowed_methods, reason = "the thread hands over its result")]
    pub fn get_in_background(&self, path: &str) -> JoinHandle<String> {
        let (address, path) = (self.address, path.to_owned());
        thread::spawn(move || http::get(address, &path))
    }

    /// A request that is being served, in `held_request`, until someone makes the file `gate`.
    pub fn hold(&self, gate: &Path) -> JoinHandle<String> {
        let gate = gate.display();
        let said = format!("held by {gate}");
        let answer = self.get_in_background(&format!("/open?gate={gate}"));
        self.log.wait_for(&said);
        answer
    }
}

/// From a line such as `[…] [INFO] Listening at: http://127.0.0.1:40123 (1234)`.
fn parse_listening(line: &str) -> (SocketAddr, i32) {
    let parsed = line.split_once("://").and_then(|(_, rest)| {
        let (address, pid) = rest.trim_end().strip_suffix(')')?.split_once(" (")?;
        Some((address.parse().ok()?, pid.parse().ok()?))
    });
    parsed.unwrap_or_else(|| panic!("no address and pid in {line:?}"))
}
