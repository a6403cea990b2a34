//! The Pythons of this machine: each `python3` and `python3.N` on the path, and what pyenv has installed.
//!
//! The one file that looks at the session's environment variables. Of packages it knows nothing; see `environment`.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A `CPython` 3.6 or later with a GIL, outside any virtual environment.
#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
    version: [u16; 3],
}

/// Every one there is, in the order of preference: each `python3` in the path's order, each `python3.N`, then pyenv's.
static FOUND: LazyLock<Vec<Python>> = LazyLock::new(|| {
    let programs = on_path().chain(of_one_version_on_path()).chain(in_pyenv());
    programs.filter_map(|program| Python::ask(&program)).collect()
});

impl Python {
    /// One of each minor version there is, oldest first.
    pub fn all() -> Vec<Python> {
        let mut one_each = BTreeMap::new();
        for python in FOUND.iter() {
            one_each.entry(python.minor()).or_insert_with(|| python.clone());
        }
        assert!(!one_each.is_empty(), "no CPython 3.6 or later, neither as python3 on the path nor in pyenv");
        one_each.into_values().collect()
    }

    /// One that every user of the machine may run, not only its owner: for servers that run as another user.
    pub fn shared() -> Python {
        let shared = FOUND.iter().find(|python| python.program.ancestors().all(anyone_may_execute));
        shared.expect("a python3 on the path that other users may run, such as the system's").clone()
    }

    /// The interpreter itself: no link, and no script that looks for one.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// 11 for Python 3.11.
    pub fn minor(&self) -> u16 {
        self.version[1]
    }

    /// Has the interpreter say what it is; `None` if it is not one that pyperf can read.
    fn ask(program: &Path) -> Option<Python> {
        const QUESTION: &str = "import os, platform, sys
print('%s%s' % (platform.python_implementation(), getattr(sys, 'abiflags', '')))
print('%d %d %d' % sys.version_info[:3])
print(os.path.realpath(sys.executable))";
        let answer = Command::new(program).args(["-c", QUESTION]).output().ok()?;
        let answer = String::from_utf8(answer.stdout).ok()?;
        let [kind, version, program] = answer.lines().collect::<Vec<_>>().try_into().ok()?;
        let version = version.split(' ').map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
        let version: [u16; 3] = version.try_into().ok()?;
        // The flag t is a free-threaded build, m was on every one before 3.8.
        let supported = matches!(kind, "CPython" | "CPythonm") && version >= [3, 6, 0];
        supported.then(|| Python { program: PathBuf::from(program), version })
    }
}

impl Default for Python {
    /// 3.11 if there is one, else the first `python3` on the path.
    fn default() -> Python {
        let preferred = FOUND.iter().find(|python| python.minor() == 11).or(FOUND.first());
        preferred.expect("a CPython 3.6 or later, as python3 on the path or in pyenv").clone()
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, micro] = self.version;
        write!(f, "{major}.{minor}.{micro}")
    }
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    path().into_iter().map(|dir| dir.join("python3")).filter(|program| program.is_file())
}

/// Those that are called by their version, such as `python3.14`, as distributions have them beside their `python3`.
fn of_one_version_on_path() -> impl Iterator<Item = PathBuf> {
    path().into_iter().flat_map(|dir| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut programs: Vec<PathBuf> = entries.filter(|program| is_of_one_version(program)).collect();
        programs.sort();
        programs
    })
}

/// `python3.14`, and neither `python3.14-config` nor the free-threaded `python3.14t`.
fn is_of_one_version(program: &Path) -> bool {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.strip_prefix("python3.").is_some_and(|minor| minor.parse::<u16>().is_ok()) && program.is_file()
}

#[expect(clippy::disallowed_methods, reason = "where the Pythons are is said by the session")]
fn path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

#[expect(clippy::disallowed_methods, reason = "where the Pythons are is said by the session")]
fn in_pyenv() -> impl Iterator<Item = PathBuf> {
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let mut programs: Vec<PathBuf> =
        versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python")).collect();
    programs.sort();
    programs.into_iter()
}

fn anyone_may_execute(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
}
