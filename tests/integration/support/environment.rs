//! Virtual environments with pinned packages, made once and kept under `target/python-envs`.
//!
//! What belongs into one is written in `requirements/`. Each environment holds the exact list it was made from, so one that was
//! made from another list, or only half made, is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::Python;

/// What is installed into an environment. Each with a gunicorn has Flask, so that every sample application runs in every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    /// The newest gunicorn that the Python supports.
    Web,
    /// [`Packages::Web`] with setproctitle, which renames gunicorn's processes.
    Titles,
    /// [`Packages::Web`] with gevent.
    Gevent,
    /// Eventlet, and the last gunicorn that has a worker for it.
    Eventlet,
    /// python-socketio 5, which speaks Engine.IO 4, with eventlet and gevent.
    SocketIo5,
    /// python-socketio 4, which speaks Engine.IO 3, with eventlet and gevent.
    SocketIo4,
    /// The server of `websockets`; no gunicorn.
    WebSockets,
    /// py-spy, which reads the same stacks as pyperf; it serves nothing.
    PySpy,
}

impl Packages {
    fn name(self) -> &'static str {
        match self {
            Packages::Web => "web",
            Packages::Titles => "titles",
            Packages::Gevent => "gevent",
            Packages::Eventlet => "eventlet",
            Packages::SocketIo5 => "socketio5",
            Packages::SocketIo4 => "socketio4",
            Packages::WebSockets => "websockets",
            Packages::PySpy => "py-spy",
        }
    }

    /// In pip's format, for every Python at once.
    fn requirements(self) -> String {
        const FLASK: &str = include_str!("../requirements/flask.txt");
        const GUNICORN: &str = include_str!("../requirements/gunicorn.txt");
        const SETPROCTITLE: &str = include_str!("../requirements/setproctitle.txt");
        const GEVENT: &str = include_str!("../requirements/gevent.txt");
        const EVENTLET: &str = include_str!("../requirements/eventlet.txt");
        const SOCKETIO5: &str = include_str!("../requirements/socketio5.txt");
        const SOCKETIO4: &str = include_str!("../requirements/socketio4.txt");
        const WEBSOCKETS: &str = include_str!("../requirements/websockets.txt");
        const PY_SPY: &str = include_str!("../requirements/py-spy.txt");
        // Eventlet's list has the last gunicorn that serves both, and one greenlet is enough for both.
        let with_crowds = |more: &str| {
            let gevent = GEVENT.lines().filter(|line| !line.starts_with("greenlet"));
            [FLASK, EVENTLET, &gevent.collect::<Vec<_>>().join("\n"), "\n", more].concat()
        };
        match self {
            Packages::Web => [FLASK, GUNICORN].concat(),
            Packages::Titles => [FLASK, GUNICORN, SETPROCTITLE].concat(),
            Packages::Gevent => [FLASK, GUNICORN, GEVENT].concat(),
            Packages::Eventlet => [FLASK, EVENTLET].concat(),
            Packages::SocketIo5 => with_crowds(SOCKETIO5),
            Packages::SocketIo4 => with_crowds(SOCKETIO4),
            Packages::WebSockets => WEBSOCKETS.to_owned(),
            Packages::PySpy => PY_SPY.to_owned(),
        }
    }
}

/// A finished virtual environment.
#[derive(Clone, Debug)]
pub struct Environment {
    dir: PathBuf,
}

impl Environment {
    /// The environment of `python` with `packages`, made now if there is none yet.
    pub fn new(python: &Python, packages: Packages) -> Environment {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo puts it into the target directory");
        let dir = target.join("python-envs").join(format!("{python}-{}", packages.name()));
        Environment::at(dir, python, &packages.requirements())
    }

    /// The environment in `dir`, made now unless it was made from this very Python and these requirements. Threads and processes
    /// that want the same one wait for each other.
    pub fn at(dir: PathBuf, python: &Python, requirements: &str) -> Environment {
        let wanted = format!("# {}\n{requirements}", python.program().display());
        let parent = dir.parent().expect("not the root");
        fs::create_dir_all(parent).expect("the target directory is ours");
        let name = format!("{}.lock", dir.file_name().expect("not the root").display());
        let lock = File::create(parent.join(name)).expect("the target directory is ours");
        lock.lock().expect("the file system has locks");

        let installed = dir.join("installed.txt");
        if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
            return Environment { dir };
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("what we made we can remove");
        }
        let environment = Environment { dir };
        environment.make(python, &wanted);
        // Last of all: an environment without this file is not finished.
        fs::rename(environment.dir.join("wanted.txt"), installed).expect("the environment is there");
        environment
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.script("python")
    }

    /// A program that came with a package, such as `gunicorn`.
    pub fn script(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    fn make(&self, python: &Python, requirements: &str) {
        run(Command::new(python.program()).args(["-m", "venv"]).arg(&self.dir));
        let file = self.dir.join("wanted.txt");
        fs::write(&file, requirements).expect("the environment is there");
        if python.minor() == 6 {
            // The pip that came with 3.6 does not know the wheels of today and would compile gevent for minutes.
            run(self.pip_install().arg("pip==21.3.1"));
        }
        run(self.pip_install().arg("-r").arg(file));
    }

    fn pip_install(&self) -> Command {
        let mut command = Command::new(self.python());
        command.args(["-m", "pip", "--disable-pip-version-check", "install"]);
        command
    }
}

/// Runs to the end; a failure panics with all that was printed.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
}
