//! The virtual environment of the demo: gunicorn and Flask, installed once into the user's cache.
//!
//! It is made beside its place and renamed when it is finished, so that an interrupted start leaves nothing half done. Its name
//! says what it was made from, the interpreter included: another Python or other packages get one of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use super::folder::Folder;
use super::task::{End, Task};
use crate::cli::{self, Demo};
use crate::command::signals::Interrupts;
use crate::printable::printable;
use crate::problem::{Exit, Problem};
use crate::random::mix;
use crate::ui::Ui;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Says where it is and what it is; fails on a Python that the packages do not know.
const QUESTION: &str = "import sys; assert sys.version_info >= (3, 8); print(sys.executable, *sys.version_info)";

/// A finished environment.
#[derive(Debug)]
pub(super) struct Environment {
    path: PathBuf,
    home: Option<PathBuf>,
}

impl Environment {
    /// The one of this user, made now if there is none yet.
    pub(super) fn ready(wish: &Demo, ui: Ui, interrupts: &Interrupts) -> Result<Self, Problem> {
        let python = Python::find()?;
        let (caches, home) = places(wish)?;
        let caches = caches.join("pyperf");
        let key = (REQUIREMENTS.bytes().chain(python.answer.bytes())).fold(0, |key, byte| mix(key ^ u64::from(byte)));
        let name = format!("demo-{key:016x}");
        let environment = Self { path: caches.join(&name), home };
        if environment.interpreter().exists() {
            return Ok(environment);
        }
        fs::create_dir_all(&caches).map_err(|error| not_made(&caches, &error))?;
        remove_leftovers(&caches);
        let part = Folder::create(caches.join(format!("{name}.{}.part", std::process::id())))
            .map_err(|error| not_made(&caches, &error))?;
        ui.remark(&format!("making a virtual environment in {}, this time only", environment.path.display()));
        let unfinished = Self { path: part.path().to_owned(), home: environment.home.clone() };
        unfinished.make(&python, interrupts)?;
        ui.remark("installing gunicorn and Flask into it");
        unfinished.install(interrupts)?;
        environment.take_place_of(part)?;
        Ok(environment)
    }

    /// A command that its interpreter runs.
    pub(super) fn python(&self) -> Command {
        self.command(&self.interpreter())
    }

    fn interpreter(&self) -> PathBuf {
        self.path.join("bin/python")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(home) = &self.home {
            command.env("HOME", home);
        }
        command
    }

    fn make(&self, python: &Python, interrupts: &Interrupts) -> Result<(), Problem> {
        let mut command = self.command(&python.program);
        self.run(command.args(["-m", "venv", "--clear"]).arg(&self.path), "venv", interrupts, |said| {
            let problem = Problem::new(Exit::Failed, "cannot make a virtual environment").because(&last_words(said));
            if ["No module named venv", "ensurepip"].iter().any(|sign| said.contains(sign)) {
                problem.hint("sudo apt install python3-venv (Debian and Ubuntu have it in a package of its own)")
            } else {
                problem
            }
        })
    }

    fn install(&self, interrupts: &Interrupts) -> Result<(), Problem> {
        let list = self.path.join("requirements.txt");
        fs::write(&list, REQUIREMENTS).map_err(|error| not_made(&self.path, &error))?;
        let mut command = self.python();
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-r"]).arg(list);
        self.run(&mut command, "pip", interrupts, |said| {
            Problem::new(Exit::Failed, "cannot install gunicorn and Flask")
                .because(&last_words(said))
                .hint("pip needs its package index: see whether `pip download flask` works, or set PIP_INDEX_URL or PIP_PROXY")
        })
    }

    /// Runs a command to its end; `why` makes a problem of what it printed before it failed.
    fn run(
        &self,
        command: &mut Command,
        name: &str,
        interrupts: &Interrupts,
        why: impl Fn(&str) -> Problem,
    ) -> Result<(), Problem> {
        // Beside the folder, which is emptied first.
        let log = self.path.with_extension(format!("{name}.log"));
        let status =
            Task::start(command, &log, End::AtOnce).map_or_else(|error| Ok(Err(error)), |task| task.finish(interrupts));
        let said = fs::read(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        match status? {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(why(&String::from_utf8_lossy(&said))),
            Err(error) => Err(why(&error.to_string())),
        }
    }

    /// Puts the finished folder where this environment belongs.
    fn take_place_of(&self, part: Folder) -> Result<(), Problem> {
        // What stands there has no interpreter (any more), or is that of another start which was faster.
        if !self.interpreter().exists() {
            let _ = fs::remove_dir_all(&self.path);
        }
        match part.keep_as(&self.path) {
            Err(error) if !self.interpreter().exists() => Err(not_made(&self.path, &error)),
            _ => Ok(()),
        }
    }
}

/// The `python3` of the path.
struct Python {
    program: PathBuf,
    answer: String,
}

impl Python {
    fn find() -> Result<Self, Problem> {
        let asked = Command::new("python3").args(["-I", "-c", QUESTION]).output();
        let needed = "the demo needs Python 3.8 or later, as `python3`";
        let problem = |cause: &dyn std::fmt::Display| Problem::new(Exit::Failed, needed).because(cause);
        let output = asked.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                problem(&"there is no `python3` on the path").hint("sudo apt install python3 python3-venv")
            }
            _ => problem(&error),
        })?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match answer.split_once(" 3 ") {
            Some((program, _)) if output.status.success() => Ok(Self { program: program.into(), answer }),
            _ => Err(problem(&last_words(&String::from_utf8_lossy(&output.stderr)))),
        }
    }
}

/// The folder for caches, and the home of whoever called sudo: what sudo says of it would be root's.
fn places(wish: &Demo) -> Result<(PathBuf, Option<PathBuf>), Problem> {
    if let Some(caches) = &wish.caches {
        return Ok((caches.clone(), None));
    }
    let user = User::from_uid(Uid::current()).ok().flatten();
    let home = user.map(|user| user.dir).filter(|home| home.is_absolute());
    let homeless = || Problem::new(Exit::Failed, "there is no folder for caches").hint(elsewhere());
    home.map(|home| (home.join(".cache"), Some(home))).ok_or_else(homeless)
}

/// What to do about a folder for caches that cannot be made. Under sudo the environment does not say where it is.
fn elsewhere() -> &'static str {
    if cli::caller().is_some() {
        "pyperf demo without sudo: the demo needs no root"
    } else {
        "set XDG_CACHE_HOME to a folder that can be written to"
    }
}

/// Removes what starts that were killed have left behind.
fn remove_leftovers(caches: &Path) {
    for entry in fs::read_dir(caches).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_suffix(".part").and_then(|name| name.rsplit_once('.')).map(|(_, pid)| pid);
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn not_made(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Exit::Failed, format!("cannot make {}", path.display())).because(error).hint(elsewhere())
}

/// The last lines of what a program printed before it failed.
pub(super) fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(4)..];
    if last.is_empty() { "it said nothing".to_owned() } else { printable(&last.join(" / "), 600) }
}
