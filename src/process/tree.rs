//! The processes of the target, followed through forks, exits and execs.
//!
//! A [`ProcessTree`] starts from one or more roots and remembers every process it has seen alive. A process stays a member
//! until it ends, even when its parent ended first: after gunicorn's USR2 upgrade the new master outlives the old one. Each
//! [`refresh`](ProcessTree::refresh) says who was born and who died since the last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;

use super::facts::Facts;
use super::gunicorn;
use super::image::Image;
use super::{ProcessId, Role};

/// With every so many looks those are asked for children that never had any.
const CHILDLESS: u32 = 5;
/// With every so many looks the facts of all processes are read again: a title or a parent can change.
const LOOKS: u32 = 10;
/// As much is read of the children of one thread: 100 000 and more.
const MOST_CHILDREN: u64 = 1 << 20;

/// A living process of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What is known of the process.
    pub facts: Facts,
    /// What it does in the tree.
    pub role: Role,
    /// The pid of the root that it descends from, which names the file of its graph.
    pub root: i32,
}

/// What happened to the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A process appeared, or replaced its program by `exec`.
    Born(Member),
    /// A process ended, or its program was replaced (then it is born again at once).
    Died(ProcessId),
}

/// Whether the descendants of the roots belong to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The roots and all that descends from them.
    Descendants,
    /// The roots alone.
    RootsOnly,
}

/// The living processes of the target.
#[derive(Debug)]
pub struct ProcessTree {
    follow: Follow,
    members: BTreeMap<i32, Entry>,
    roots: Vec<i32>,
    looks: u32,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    image: Option<Image>,
    /// Whether it is a root, or has had a child.
    forks: bool,
}

impl ProcessTree {
    /// A tree that is empty until the first [`refresh`](Self::refresh) finds its roots alive.
    #[must_use]
    pub fn new(roots: Vec<i32>, follow: Follow) -> Self {
        Self { follow, members: BTreeMap::new(), roots, looks: 0 }
    }

    /// The living members, by pid.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|entry| &entry.member)
    }

    /// Whether every process of the target has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Corrects the role of a member after better evidence than its facts (its Python stack), and with it what its
    /// children were taken for.
    pub fn set_role(&mut self, id: ProcessId, role: Role) {
        let Some(entry) = self.members.get_mut(&id.pid) else {
            return;
        };
        if entry.member.facts.id != id || entry.member.role == role {
            return;
        }
        entry.member.role = role;
        let parent = entry.member.facts.clone();
        for Entry { member, .. } in self.members.values_mut() {
            if member.facts.parent == id.pid && member.role == Role::Child {
                member.role = gunicorn::role(&member.facts, Some((&parent, role)));
            }
        }
    }

    /// Looks at every member and its children again.
    pub fn refresh(&mut self) -> Vec<Change> {
        let look = self.looks;
        self.looks = look.wrapping_add(1);
        let mut changes = self.drop_the_dead(look);
        for root in std::mem::take(&mut self.roots) {
            changes.extend(self.admit(root, None));
        }
        if self.follow == Follow::Descendants {
            // A master forks at any time, its workers hardly ever.
            let all = look.is_multiple_of(CHILDLESS);
            let asked = self.members.iter().filter(|(_, entry)| all || entry.forks);
            let mut parents: Vec<i32> = asked.map(|(pid, _)| *pid).collect();
            while let Some(parent) = parents.pop() {
                for child in children(parent) {
                    if self.members.contains_key(&child) {
                        continue;
                    }
                    if let Some(entry) = self.members.get_mut(&parent) {
                        entry.forks = true;
                    }
                    if let Some(born) = self.admit(child, Some(parent)) {
                        changes.push(born);
                        parents.push(child);
                    }
                }
            }
        }
        changes
    }

    fn drop_the_dead(&mut self, look: u32) -> Vec<Change> {
        let mut changes = Vec::new();
        let again = look.is_multiple_of(LOOKS);
        let pids: Vec<i32> = self.members.keys().copied().collect();
        for pid in pids {
            let Some(entry) = self.members.get_mut(&pid) else {
                continue;
            };
            let id = entry.member.facts.id;
            let current = entry.image.as_ref().map(Image::is_current);
            if current == Some(true) && !again {
                // It lives and runs the same program.
                continue;
            }
            let facts = Facts::read(pid).filter(|facts| facts.id == id);
            let same = |facts: &Facts| current != Some(false) && is_same_program(&entry.member.facts, facts);
            match facts {
                Some(facts) if same(&facts) => entry.member.facts = facts,
                Some(_) => {
                    let parent = self.members.remove(&pid).map(|old| old.member.facts.parent);
                    changes.push(Change::Died(id));
                    changes.extend(self.admit(pid, parent));
                }
                None => {
                    self.members.remove(&pid);
                    changes.push(Change::Died(id));
                }
            }
        }
        changes
    }

    fn admit(&mut self, pid: i32, parent: Option<i32>) -> Option<Change> {
        // Opened before the facts are read, so that an exec in between is seen at the next refresh.
        let image = Image::open(pid).ok();
        let facts = Facts::read(pid)?;
        let forks = parent.is_none();
        let parent = parent.and_then(|parent| self.members.get(&parent));
        let member = Member {
            role: gunicorn::role(&facts, parent.map(|parent| (&parent.member.facts, parent.member.role))),
            root: match parent {
                Some(Entry { member, .. }) if is_inside(member) => member.root,
                _ => pid,
            },
            facts,
        };
        self.members.insert(pid, Entry { member: member.clone(), image, forks });
        Some(Change::Born(member))
    }
}

/// Whether a process runs the program that it ran, as far as its file tells. Its [`Image`] does not tell when that was opened between
/// `vfork` and `exec`: until the exec the child shares its parent's address space, which goes on after it.
fn is_same_program(before: &Facts, now: &Facts) -> bool {
    // The kernel adds the word when the file is replaced on disk.
    let file = |facts: &Facts| Some(facts.exe.as_ref()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned());
    file(before).zip(file(now)).is_none_or(|(before, now)| before == now)
}

/// Whether what descends from this member belongs to a Python tree already, rather than to a wrapper (sh, tini, uv) above it.
fn is_inside(member: &Member) -> bool {
    member.root != member.facts.id.pid || member.facts.is_python()
}

/// The children of a process: each of its threads lists those that it forked.
///
/// `/proc/PID/task/TID/children` needs `CONFIG_PROC_CHILDREN`; without it every process of the host is asked for its parent.
fn children(parent: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut supported = false;
    let mut pids = String::new();
    for task in tasks.flatten() {
        pids.clear();
        // Without asking how long the file is, which the kernel does not know.
        let list = File::open(task.path().join("children")).map(|file| file.take(MOST_CHILDREN));
        if list.and_then(|mut list| list.read_to_string(&mut pids)).is_ok() {
            supported = true;
            found.extend(pids.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    if !supported {
        let all = Facts::all();
        found.extend(all.values().filter(|facts| facts.parent == parent).map(|facts| facts.id.pid));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A shell that starts a child on each line it is sent and says the child's pid; its children end with it.
    fn shell() -> (Child, BufReader<ChildStdout>) {
        let mut child = Command::new("sh")
            .args(["-c", "while read line; do sleep 600 & pids=\"$pids $!\"; echo $!; done; kill $pids; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        (child, out)
    }

    fn fork(shell: &mut Child, out: &mut BufReader<ChildStdout>) -> i32 {
        let stdin = shell.stdin.as_mut().expect("piped");
        stdin.write_all(b"fork\n").expect("the shell reads");
        let mut line = String::new();
        out.read_line(&mut line).expect("the shell answers");
        line.trim().parse().expect("a pid")
    }

    #[test]
    fn births_and_deaths_are_seen_once_each() {
        let (mut shell, mut out) = shell();
        let root = i32::try_from(shell.id()).expect("pids fit");
        let mut tree = ProcessTree::new(vec![root], Follow::Descendants);
        assert!(matches!(&tree.refresh()[..], [Change::Born(member)] if member.facts.id.pid == root));
        let child = fork(&mut shell, &mut out);
        let born = tree.refresh();
        assert!(
            born.iter().any(|change| matches!(change, Change::Born(member) if member.facts.id.pid == child)),
            "{born:?}"
        );
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
        let mut died = Vec::new();
        while !tree.is_empty() {
            died.extend(tree.refresh());
        }
        let deaths = |pid| died.iter().filter(|change| matches!(change, Change::Died(id) if id.pid == pid)).count();
        assert_eq!(deaths(root), 1);
        assert!(deaths(child) >= 1, "{died:?}");
    }

    #[test]
    fn a_child_that_was_seen_before_its_exec_in_its_parents_memory_is_told_anew() {
        let (mut shell, mut out) = shell();
        let root = i32::try_from(shell.id()).expect("pids fit");
        let mut tree = ProcessTree::new(vec![root], Follow::Descendants);
        let child = fork(&mut shell, &mut out);
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let id = loop {
            tree.refresh();
            let Some(entry) = tree.members.get_mut(&child) else { continue };
            if entry.member.facts.argv.first().is_some_and(|word| word == "sleep") {
                entry.image = Image::open(own).ok();
                entry.member.facts.exe = Facts::read(own).expect("we live").exe;
                break entry.member.facts.id;
            }
        };
        let changes: Vec<Change> = (0..=LOOKS).flat_map(|_| tree.refresh()).collect();
        assert!(matches!(&changes[..], [Change::Died(died), Change::Born(born)] if *died == id && born.facts.id == id));
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
    }

    #[test]
    fn a_program_whose_file_was_replaced_is_the_same() {
        let own = Facts::read(i32::try_from(std::process::id()).expect("pids fit")).expect("we live");
        let of = |exe: Option<&str>| Facts { exe: exe.map(Into::into), ..own.clone() };
        let [python, replaced, other] = ["/usr/bin/python3", "/usr/bin/python3 (deleted)", "/usr/bin/ffmpeg"];
        assert!(is_same_program(&of(Some(python)), &of(Some(replaced))));
        assert!(is_same_program(&of(Some(python)), &of(None)) && is_same_program(&of(None), &of(Some(python))));
        assert!(!is_same_program(&of(Some(python)), &of(Some(other))));
    }

    #[test]
    fn roots_alone_when_asked() {
        let (mut shell, mut out) = shell();
        fork(&mut shell, &mut out);
        let root = i32::try_from(shell.id()).expect("pids fit");
        let mut tree = ProcessTree::new(vec![root], Follow::RootsOnly);
        assert_eq!(tree.refresh().len(), 1);
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
    }
}
