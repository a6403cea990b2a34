//! What `/proc` says about one process, read at one moment.
//!
//! A process can vanish between any two reads, so everything is an `Option` or empty rather than an error, and a caller
//! that needs certainty reads again.

use std::collections::HashMap;
use std::path::PathBuf;

use procfs::process::{ProcState, Process};

use super::ProcessId;

/// The facts about one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Which process.
    pub id: ProcessId,
    /// The pid of its parent.
    pub parent: i32,
    /// The kernel's name for it, at most 15 bytes.
    pub comm: String,
    /// Its command line, or the one title that it wrote over it (setproctitle).
    pub argv: Vec<String>,
    /// The program file; `None` where pyperf may not know it.
    pub exe: Option<PathBuf>,
}

impl Facts {
    /// Reads the facts about a living process; `None` when there is none (zombies have ended).
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        let process = Process::new(pid).ok()?;
        let stat = process.stat().ok()?;
        if matches!(stat.state().ok()?, ProcState::Zombie | ProcState::Dead) {
            return None;
        }
        let mut argv = process.cmdline().unwrap_or_default();
        // A title is padded with NULs (read as empty words) or spaces up to the length of what it overwrote.
        while argv.last().is_some_and(|word| word.trim().is_empty()) {
            argv.pop();
        }
        if let [title] = argv.as_mut_slice() {
            title.truncate(title.trim_end().len());
        }
        Some(Self {
            id: ProcessId { pid, started: stat.starttime },
            parent: stat.ppid,
            comm: stat.comm,
            argv,
            exe: process.exe().ok(),
        })
    }

    /// The facts about every process, by pid.
    #[must_use]
    pub fn all() -> HashMap<i32, Self> {
        let Ok(processes) = procfs::process::all_processes() else {
            return HashMap::new();
        };
        processes.filter_map(|process| Self::read(process.ok()?.pid())).map(|facts| (facts.id.pid, facts)).collect()
    }

    /// Whether the process runs a Python interpreter: by the name of its program, else by a mapped libpython.
    #[must_use]
    pub fn is_python(&self) -> bool {
        let program = match &self.exe {
            Some(exe) => exe.file_name().unwrap_or_default().to_string_lossy(),
            // Another user's process: the command line is all that may be read.
            None => basename(self.argv.first().map_or("", String::as_str)).into(),
        };
        program.starts_with("python")
            || program.starts_with("pypy")
            || (self.exe.is_none() && self.title().is_some_and(|t| t.starts_with("gunicorn: ")))
            || (self.exe.is_some() && maps_libpython(self.id.pid))
    }

    /// The title that the process gave itself in place of its command line, if it did (setproctitle).
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        match self.argv.as_slice() {
            [only] if only.contains(": ") => Some(only),
            _ => None,
        }
    }

    /// The names under which a user may know this Python program: script, module, kernel name, first word of the title.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.comm.as_str()];
        if let Some(title) = self.title() {
            names.extend(title.split(": ").next());
            return names;
        }
        match entry_point(&self.argv) {
            Some(EntryPoint::Module(module)) => {
                names.push(module);
                names.extend(module.split('.').next());
            }
            Some(EntryPoint::Script(script)) => {
                let base = basename(script);
                names.push(base);
                names.extend(base.strip_suffix(".py"));
            }
            None => names.extend(self.argv.first().map(|program| basename(program))),
        }
        names
    }
}

/// What a Python command line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryPoint<'a> {
    Module(&'a str),
    Script(&'a str),
}

/// Finds the script or `-m` module of a Python command line, past the interpreter's own options.
fn entry_point(argv: &[String]) -> Option<EntryPoint<'_>> {
    let mut words = argv.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-m" => return words.next().map(EntryPoint::Module),
            "-c" | "-" => return None,
            "-W" | "-X" | "--check-hash-based-pycs" => {
                words.next();
            }
            _ if word.starts_with('-') => {}
            script => return Some(EntryPoint::Script(script)),
        }
    }
    None
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn maps_libpython(pid: i32) -> bool {
    let maps = Process::new(pid).and_then(|process| process.maps());
    maps.is_ok_and(|maps| {
        maps.iter().any(|map| match &map.pathname {
            procfs::process::MMapPath::Path(path) => {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpython"))
            }
            _ => false,
        })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made-up facts for the tests of this folder.
    pub(crate) fn facts(pid: i32, parent: i32, argv: &[&str]) -> Facts {
        Facts {
            id: ProcessId { pid, started: 1000 + u64::from(pid.unsigned_abs()) },
            parent,
            comm: argv.first().map_or("", |program| basename(program)).chars().take(15).collect(),
            argv: argv.iter().map(ToString::to_string).collect(),
            exe: Some("/usr/bin/python3.11".into()),
        }
    }

    #[test]
    fn a_program_is_known_by_script_module_and_title() {
        let named = |argv: &[&str], name: &str| facts(7, 1, argv).names().contains(&name);
        assert!(named(&["/usr/bin/python3", "/srv/venv/bin/gunicorn", "app:app"], "gunicorn"));
        assert!(named(&["python", "-u", "-X", "dev", "-m", "gunicorn.app.wsgiapp"], "gunicorn"));
        assert!(named(&["python", "-m", "celery", "worker"], "celery"));
        assert!(named(&["python", "manage.py", "runserver"], "manage"));
        assert!(named(&["gunicorn: master [api:app]"], "gunicorn"));
        assert!(!named(&["python", "-c", "import gunicorn", "gunicorn"], "gunicorn"));
        assert!(!named(&["python", "tail.py", "gunicorn"], "gunicorn"));
    }

    #[test]
    fn this_very_process_can_be_read_and_is_not_python() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let facts = Facts::read(own).expect("we live");
        assert_eq!(facts.id.pid, own);
        assert!(!facts.is_python());
        assert!(Facts::all().contains_key(&own));
    }
}
