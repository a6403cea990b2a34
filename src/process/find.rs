//! Which process is meant: from a pid, a name or an address to the topmost processes of the trees to sample.
//!
//! A name is matched against what a Python process runs (script, module, title, kernel name), never against any word of any
//! command line: `vim gunicorn.conf.py`, `sh -c gunicorn …`, pyperf itself and the sudo above it are not gunicorn. Of
//! several matches in one line of descent the topmost counts, so workers and a master re-executed on USR2 come with theirs.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use procfs::Current;

use super::Role;
use super::facts::Facts;
use super::gunicorn;
use super::listening::{self, ListenError};
use crate::printable::printable;
use crate::problem::{Advice, Exit};

/// How the user named the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One process and what descends from it.
    Pid(i32),
    /// The Python program of this name; there must be one.
    Name(String),
    /// Every Python program of this name.
    All(String),
    /// The Python program that serves an address on this machine.
    Listening {
        /// The host as it is written in the address: a name, or an IP address without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

impl fmt::Display for Wanted {
    /// The options that name this target on the command line, or the address that it serves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "--pid {pid}"),
            Self::Name(name) => write!(f, "--name {name}"),
            Self::All(name) => write!(f, "--name {name} --all"),
            Self::Listening { host, port } => f.write_str(&listening::address(host, *port)),
        }
    }
}

/// Why no target was chosen.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing runs under this pid.
    #[error("no process {0}")]
    NoPid(i32),
    /// No Python process is known by this name.
    #[error("no Python process named {name}{}", others(.running))]
    NoName {
        /// The name that was asked for.
        name: String,
        /// The Python programs that do run, as `PID name`.
        running: Vec<String>,
    },
    /// More than one program is known by this name.
    #[error("{} programs named {name} are running:\n{}", .found.len(), listing(.found))]
    Several {
        /// The name that was asked for.
        name: String,
        /// What was found.
        found: Vec<Candidate>,
    },
    /// The address leads to no Python program here.
    #[error(transparent)]
    Listening(#[from] ListenError),
    /// More than one program serves the address (`SO_REUSEPORT`).
    #[error("{} programs listen on {address}:\n{}", .found.len(), listing(.found))]
    Shared {
        /// The address.
        address: String,
        /// What was found.
        found: Vec<Candidate>,
    },
}

impl Advice for FindError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoPid(_) => "ps -ef | grep -i python".into(),
            Self::NoName { .. } => "name a running Python program with --name, or a process with --pid".into(),
            Self::Several { found, .. } => {
                let first = found.first().map_or(0, |candidate| candidate.pid);
                format!("--pid {first} for one of them, or --all")
            }
            Self::Listening(error) => return error.hint(),
            Self::Shared { found, .. } => {
                format!("--pid {} for one of them", found.first().map_or(0, |candidate| candidate.pid))
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Listening(error) => error.exit(),
            _ => Exit::NoProcess,
        }
    }
}

fn others(running: &[String]) -> String {
    if running.is_empty() {
        return " (no Python process is running at all)".into();
    }
    format!("; running: {}", running.join(", "))
}

/// One of several programs of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The pid of its topmost process.
    pub pid: i32,
    role: Role,
    service: gunicorn::Service,
    workers: usize,
    age: Duration,
}

fn listing(found: &[Candidate]) -> String {
    let mut rows = vec![["pid", "role", "app", "bind", "workers", "age"].map(String::from)];
    rows.extend(found.iter().map(|candidate| {
        let binds = candidate.service.binds.join(" ");
        [
            candidate.pid.to_string(),
            candidate.role.to_string(),
            candidate.service.app.as_deref().map_or_else(|| "?".into(), |app| printable(app, 60)),
            if binds.is_empty() { "?".into() } else { printable(&binds, 200) },
            candidate.workers.to_string(),
            age(candidate.age),
        ]
    }));
    let widths: [usize; 6] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// The pids of the topmost processes of what is wanted: one, or with [`Wanted::All`] at least one.
///
/// # Errors
///
/// When there is no such process, or when a name or an address stands for several programs.
pub fn find(wanted: &Wanted) -> Result<Vec<i32>, FindError> {
    match wanted {
        Wanted::Pid(pid) => match Facts::read(*pid) {
            Some(_) => Ok(vec![*pid]),
            None => Err(FindError::NoPid(*pid)),
        },
        Wanted::Name(name) => {
            let all = Facts::all();
            match topmost_named(&all, name)[..] {
                [] => Err(nothing_named(&all, name)),
                [only] => Ok(vec![only]),
                ref several => Err(FindError::Several {
                    name: name.clone(),
                    found: several.iter().filter_map(|pid| candidate(&all, *pid)).collect(),
                }),
            }
        }
        Wanted::All(name) => {
            let all = Facts::all();
            match topmost_named(&all, name) {
                none if none.is_empty() => Err(nothing_named(&all, name)),
                found => Ok(found),
            }
        }
        Wanted::Listening { host, port } => {
            let all = Facts::all();
            match listening::find_listening(&all, host, *port)?[..] {
                [only] => Ok(vec![only]),
                ref several => Err(FindError::Shared {
                    address: listening::address(host, *port),
                    found: several.iter().filter_map(|pid| candidate(&all, *pid)).collect(),
                }),
            }
        }
    }
}

/// The Python processes known by a name that do not descend from another one; by part of a title or script where none is.
fn topmost_named(all: &HashMap<i32, Facts>, name: &str) -> Vec<i32> {
    let ours = own_line(all);
    let matching = |test: &dyn Fn(&Facts) -> bool| -> Vec<i32> {
        let mut found: Vec<i32> = all
            .values()
            .filter(|facts| !ours.contains(&facts.id.pid) && test(facts) && facts.is_python())
            .map(|facts| facts.id.pid)
            .collect();
        let all_found = found.clone();
        found.retain(|pid| !ancestors(all, *pid).any(|above| all_found.contains(&above)));
        found.sort_unstable();
        found
    };
    let exact = matching(&|facts| facts.names().contains(&name));
    if !exact.is_empty() {
        return exact;
    }
    matching(&|facts| {
        facts.title().is_some_and(|title| title.contains(name))
            || facts.names().iter().any(|known| known.contains(name))
    })
}

/// pyperf itself and the shells and sudos above it.
fn own_line(all: &HashMap<i32, Facts>) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    std::iter::once(own).chain(ancestors(all, own)).collect()
}

pub(super) fn ancestors(all: &HashMap<i32, Facts>, pid: i32) -> impl Iterator<Item = i32> {
    // Pids are read at different times, so a cycle is possible in theory: no line is longer than the table.
    std::iter::successors(all.get(&pid), |facts| all.get(&facts.parent))
        .take(all.len())
        .skip(1)
        .map(|facts| facts.id.pid)
}

fn nothing_named(all: &HashMap<i32, Facts>, name: &str) -> FindError {
    let ours = own_line(all);
    let mut running: Vec<String> = all
        .values()
        .filter(|facts| !ours.contains(&facts.id.pid) && facts.is_python())
        .filter(|facts| !all.get(&facts.parent).is_some_and(Facts::is_python))
        .map(|facts| format!("{} {}", facts.id, printable(facts.names().last().unwrap_or(&"python"), 60)))
        .collect();
    running.sort();
    running.truncate(8);
    FindError::NoName { name: name.into(), running }
}

fn candidate(all: &HashMap<i32, Facts>, pid: i32) -> Option<Candidate> {
    let facts = all.get(&pid)?;
    let role = gunicorn::role(facts, None);
    let below = |child: &&Facts| child.parent == pid && gunicorn::role(child, Some((facts, role))) == Role::Worker;
    let up = procfs::Uptime::current().map_or(0.0, |uptime| uptime.uptime);
    Some(Candidate {
        pid,
        role,
        service: gunicorn::service(facts),
        workers: all.values().filter(below).count(),
        age: Duration::try_from_secs_f64(up).unwrap_or_default().saturating_sub(facts.id.after_boot()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    fn world(processes: &[(i32, i32, &[&str])]) -> HashMap<i32, Facts> {
        processes.iter().map(|(pid, parent, argv)| (*pid, facts(*pid, *parent, argv))).collect()
    }

    const GUNICORN: &[&str] = &["python3", "/srv/bin/gunicorn", "app:app"];

    #[test]
    fn the_topmost_of_a_line_counts() {
        let all = world(&[
            (-1, 0, &["sh", "-c", "gunicorn app:app"]),
            (-2, -1, GUNICORN),
            (-3, -2, GUNICORN),
            (-4, -2, GUNICORN),
            (-5, -4, GUNICORN),
            (-9, -1, &["python3", "manage.py"]),
        ]);
        assert_eq!(topmost_named(&all, "gunicorn"), [-2]);
        assert_eq!(topmost_named(&all, "manage.py"), [-9]);
        assert!(topmost_named(&all, "celery").is_empty());
    }

    #[test]
    fn part_of_a_title_will_do_when_no_name_fits() {
        let all = world(&[
            (-2, -1, &["gunicorn: master [booking]"]),
            (-3, -2, &["gunicorn: worker [booking]"]),
            (-7, -1, &["gunicorn: master [billing]"]),
        ]);
        assert_eq!(topmost_named(&all, "booking"), [-2]);
        assert_eq!(topmost_named(&all, "gunicorn"), [-7, -2]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let all = world(&[(-2, -3, GUNICORN), (-3, -2, GUNICORN)]);
        assert!(topmost_named(&all, "gunicorn").is_empty());
    }

    #[test]
    fn several_are_listed_in_columns() {
        let of = |pid, app: Option<&str>, workers| Candidate {
            pid,
            role: Role::Master,
            service: gunicorn::Service { app: app.map(String::from), binds: vec!["127.0.0.1:8000".into()] },
            workers,
            age: Duration::from_secs(7300),
        };
        let error = FindError::Several {
            name: "gunicorn".into(),
            found: vec![of(12, Some("booking:app"), 4), of(3456, None, 1)],
        };
        assert_eq!(
            error.to_string(),
            "2 programs named gunicorn are running:\n\
             \x20 pid   role    app          bind            workers  age\n\
             \x20 12    master  booking:app  127.0.0.1:8000  4        2 h\n\
             \x20 3456  master  ?            127.0.0.1:8000  1        2 h"
        );
        assert_eq!(error.hint().as_deref(), Some("--pid 12 for one of them, or --all"));
    }
}
