//! What gunicorn's processes look like from outside: who is master, who is worker, what it serves and where.
//!
//! Three kinds of evidence, from weak to strong: the command line (workers are forks, so they show their master's), the
//! title that setproctitle writes (`gunicorn: worker [app]`), and the Python stack, where every worker stands below
//! `Arbiter.spawn_worker` (`gunicorn/arbiter.py`). A master re-executed on USR2 is a child of the old one and is told from
//! a worker by `GUNICORN_PID` in its environment, which `Arbiter.reexec` sets to the old master's pid.

use procfs::process::{FDTarget, Process};

use super::Role;
use super::facts::Facts;

/// The role of a process, from its own facts and those of its parent where the parent belongs to the tree.
#[must_use]
pub fn role(process: &Facts, parent: Option<(&Facts, Role)>) -> Role {
    match parent {
        Some((master, Role::Master)) => role_below_master(process, master),
        Some((_, Role::DirtyArbiter)) => Role::DirtyWorker,
        Some((_, Role::Child)) => Role::Child,
        Some((outer, _)) if outer.is_python() => Role::Child,
        _ if !is_gunicorn(process) => Role::Main,
        _ => match titled_role(process) {
            Some(role) => role,
            None if is_fork_of_gunicorn(process) => Role::Worker,
            None => Role::Master,
        },
    }
}

fn role_below_master(process: &Facts, master: &Facts) -> Role {
    if reexecuted_by(process) == Some(master.id.pid) {
        return Role::Master;
    }
    match titled_role(process) {
        // A fresh fork still carries its master's title.
        Some(Role::Master) => Role::Worker,
        Some(role) => role,
        None if process.argv == master.argv => Role::Worker,
        None => Role::Child,
    }
}

/// The role that the frames of a stack prove, given as (function, file), root first.
///
/// The main greenlet of a gevent or eventlet worker is rarely the one that runs, so `None` proves nothing.
#[must_use]
pub fn role_from_stack<'a>(frames: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Role> {
    let mut role = None;
    for (function, file) in frames {
        let function = function.rsplit('.').next().unwrap_or(function);
        let found = match function {
            "run" if file.ends_with("gunicorn/arbiter.py") => Role::Master,
            "spawn_worker" if file.ends_with("gunicorn/arbiter.py") => Role::Worker,
            "run" if file.ends_with("gunicorn/dirty/arbiter.py") => Role::DirtyArbiter,
            "spawn_worker" if file.ends_with("gunicorn/dirty/arbiter.py") => Role::DirtyWorker,
            _ => continue,
        };
        role = Some(found);
    }
    role
}

/// Whether this is a gunicorn process, by title or command line.
#[must_use]
pub fn is_gunicorn(process: &Facts) -> bool {
    process.names().contains(&"gunicorn")
}

fn titled_role(process: &Facts) -> Option<Role> {
    let title = process.title()?.strip_prefix("gunicorn: ")?;
    match title.split(' ').next()? {
        "master" => Some(Role::Master),
        "worker" => Some(Role::Worker),
        "dirty-arbiter" => Some(Role::DirtyArbiter),
        "dirty-worker" => Some(Role::DirtyWorker),
        _ => None,
    }
}

/// The pid of the old master when this process was re-executed on USR2.
fn reexecuted_by(process: &Facts) -> Option<i32> {
    let environ = Process::new(process.id.pid).ok()?.environ().ok()?;
    environ.get(std::ffi::OsStr::new("GUNICORN_PID"))?.to_str()?.parse().ok()
}

/// Whether the parent shows the same command line, as it does for a worker without a title.
fn is_fork_of_gunicorn(process: &Facts) -> bool {
    Facts::read(process.parent).is_some_and(|parent| {
        parent.is_python() && parent.argv == process.argv && reexecuted_by(process) != Some(parent.id.pid)
    })
}

/// What a master serves and where, for a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The application, as named in the title or on the command line.
    pub app: Option<String>,
    /// The addresses and sockets that it listens on.
    pub binds: Vec<String>,
}

/// Looks up what a master serves and where, in tables of sockets that take the kernel milliseconds. What may not be read stays empty.
#[must_use]
pub fn service(master: &Facts) -> Service {
    Service { app: app(master), binds: listening(master.id.pid).unwrap_or_default() }
}

/// The application that a gunicorn serves, as named in its title or on its command line.
///
/// Words of a command line can be secrets, so only what must be an application is taken for one, and of gunicorn alone.
#[must_use]
pub fn app(master: &Facts) -> Option<String> {
    if !is_gunicorn(master) {
        return None;
    }
    if let Some(title) = master.title() {
        let inner = title.split_once('[')?.1.strip_suffix(']')?;
        return Some(inner.to_string());
    }
    let words = || master.argv.iter().skip(1).rev();
    // A last word behind an option is that option's value.
    let last = || words().next().filter(|word| is_dotted_name(word));
    let alone = || words().nth(1).is_some_and(|before| !before.starts_with('-'));
    words().find(|word| is_app_reference(word)).or_else(|| last().filter(|_| alone())).cloned()
}

/// `package.module:object`, optionally called: `module:create_app()`. An address like `localhost:8000` is none.
fn is_app_reference(word: &str) -> bool {
    let Some((module, object)) = word.split_once(':') else {
        return false;
    };
    let object = object.split('(').next().unwrap_or(object);
    is_dotted_name(module) && is_dotted_name(object)
}

fn is_dotted_name(word: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    word.split('.').all(is_name)
}

/// The TCP addresses and Unix sockets on which a process listens.
fn listening(pid: i32) -> Option<Vec<String>> {
    let process = Process::new(pid).ok()?;
    let own: std::collections::HashSet<u64> = process
        .fd()
        .ok()?
        .filter_map(|fd| match fd.ok()?.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let tcp = process.tcp().unwrap_or_default();
    let tcp6 = process.tcp6().unwrap_or_default();
    let mut binds: Vec<String> = tcp
        .iter()
        .chain(&tcp6)
        .filter(|entry| entry.state == procfs::net::TcpState::Listen && own.contains(&entry.inode))
        .map(|entry| entry.local_address.to_string())
        .collect();
    // gunicorn's own control socket (25.1 and later) is no address that it serves.
    binds.extend(
        process
            .unix()
            .unwrap_or_default()
            .iter()
            .filter(|socket| own.contains(&socket.inode))
            .filter_map(|socket| socket.path.as_ref())
            .filter(|path| path.extension().is_none_or(|extension| extension != "ctl"))
            .map(|path| format!("unix:{}", path.display())),
    );
    binds.sort();
    binds.dedup();
    Some(binds)
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::*;

    const ARGV: &[&str] = &["/usr/bin/python3", "/srv/bin/gunicorn", "-w", "2", "app:app"];

    #[test]
    fn workers_without_titles_are_forks_of_their_master() {
        let master = facts(-10, -1, ARGV);
        assert_eq!(role(&master, None), Role::Master);
        assert_eq!(role(&facts(-11, -10, ARGV), Some((&master, Role::Master))), Role::Worker);
        let other = facts(-12, -10, &["python", "resize.py"]);
        assert_eq!(role(&other, Some((&master, Role::Master))), Role::Child);
        assert_eq!(role(&other, Some((&master, Role::Worker))), Role::Child);
    }

    #[test]
    fn titles_tell_roles_and_a_fresh_fork_is_a_worker() {
        let master = facts(-10, -1, &["gunicorn: master [api:app]"]);
        let titled = |title: &str| role(&facts(-11, -10, &[title]), Some((&master, Role::Master)));
        assert_eq!(role(&master, None), Role::Master);
        assert_eq!(titled("gunicorn: worker [api:app]"), Role::Worker);
        assert_eq!(titled("gunicorn: master [api:app]"), Role::Worker);
        assert_eq!(titled("gunicorn: dirty-arbiter"), Role::DirtyArbiter);
        assert_eq!(
            role(
                &facts(-12, -11, &["gunicorn: dirty-worker [api:app]"]),
                Some((&facts(-11, -10, &["gunicorn: dirty-arbiter"]), Role::DirtyArbiter))
            ),
            Role::DirtyWorker
        );
    }

    #[test]
    fn other_python_trees_have_a_main_and_children() {
        let main = facts(-10, -1, &["python", "-m", "celery", "worker"]);
        assert_eq!(role(&main, None), Role::Main);
        assert_eq!(role(&facts(-11, -10, &["python"]), Some((&main, Role::Main))), Role::Child);
    }

    #[test]
    fn the_stack_proves_a_role() {
        let arbiter = ("Arbiter.run", "/v/gunicorn/arbiter.py");
        let fork = ("Arbiter.spawn_worker", "/v/gunicorn/arbiter.py");
        let dirty = ("run", "/v/gunicorn/dirty/arbiter.py");
        assert_eq!(role_from_stack([arbiter]), Some(Role::Master));
        assert_eq!(role_from_stack([arbiter, fork]), Some(Role::Worker));
        assert_eq!(role_from_stack([arbiter, dirty]), Some(Role::DirtyArbiter));
        assert_eq!(role_from_stack([("run", "app.py")]), None);
    }

    #[test]
    fn the_app_is_found_on_the_command_line() {
        let of = |argv: &[&str]| app(&facts(-10, -1, argv));
        assert_eq!(of(ARGV).as_deref(), Some("app:app"));
        assert_eq!(of(&["gunicorn: master [shop]"]).as_deref(), Some("shop"));
        assert_eq!(
            of(&["python", "-m", "gunicorn", "wsgi:make()", "-b", "localhost:80"]).as_deref(),
            Some("wsgi:make()")
        );
        assert_eq!(of(&["python", "gunicorn", "shop.wsgi"]).as_deref(), Some("shop.wsgi"));
        assert_eq!(of(&["python", "gunicorn", "-c", "conf.py"]), None);
        assert_eq!(of(&["python", "bot.py", "hunter2"]), None);
    }
}
