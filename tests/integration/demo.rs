//! `pyperf demo`: what it makes, what it leaves, and that nothing it started outlives it, whatever ends it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::{User, chown};

use crate::support::environment::{Environment, Packages};
use crate::support::http;
use crate::support::process::{self, is_alive};
use crate::support::pyperf::{Finished, Pyperf, Running};
use crate::support::python::Python;
use crate::support::say;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn it_runs_in_a_clean_home_and_leaves_only_its_results_and_its_environment() {
    let home = Home::new();
    let finished = home.demo(&["--short"]).run().succeeded().says(&["this time only", "a booking office answers at"]);
    assert!(finished.stdout.contains("report.json"), "{}", finished.stdout);
    home.assert_nothing_runs(&finished);
    assert_eq!(home.dir.names(), ["cache", "home", "results", "temporary"]);
    assert_eq!(names(&home.dir.join("home")), [""; 0]);
    let results = names(&home.dir.join("results"));
    for file in ["report.json", "report.txt", "run.pyperf", "server.log"] {
        assert!(results.contains(&file.to_owned()), "{file} is missing in {results:?}");
    }
    assert!(results.iter().any(|file| file.starts_with("profile-")), "{results:?}");
    assert_eq!(home.environments().len(), 1);

    // A recording is never written over.
    home.demo(&["--short"]).run().ended_with(1).says(&["results/run.pyperf exists already"]);
    fs::remove_dir_all(home.dir.join("results")).expect("the folder is ours");

    // No package index is needed the second time.
    let again = home.demo(&["--short", "-q"]).env("PIP_INDEX_URL", "http://127.0.0.1:9/").run().succeeded();
    assert_eq!(again.stderr, "");
    assert!(again.stdout.lines().all(|line| line.starts_with("results/")), "{}", again.stdout);
    assert_eq!(home.environments().len(), 1);
}

#[test]
fn it_cleans_up_when_the_load_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let home = Home::with_environment();
        let running = home.demo(&[]).start();
        running.stderr().wait_for("a booking office answers at");
        running.stderr().wait_for("users in");
        let started = process::children(running.pid());
        assert_eq!(started.len(), 1, "one gunicorn");
        let workers = process::children(started[0]);
        assert_eq!(workers.len(), 2);
        process::signal(running.pid(), signal);
        let finished = running.wait(PATIENCE).ended_with(if signal == Signal::SIGINT { 130 } else { 143 });
        assert!(started.iter().chain(&workers).all(|pid| !is_alive(*pid)), "the server has ended");
        home.assert_nothing_runs(&finished);
        let log = fs::read_to_string(home.dir.join("results/server.log")).expect("the log is there");
        assert!(log.contains("Shutting down: Master"), "it was not killed: {log}");
    }
}

#[test]
fn an_interrupted_first_start_leaves_nothing_half_done() {
    let home = Home::new();
    let running = home.demo(&["--short"]).start();
    running.stderr().wait_for("making a virtual environment");
    let maker = wait::until("a Python to make it", PATIENCE, || process::children(running.pid()).pop());
    running.interrupt();
    let finished = running.wait(PATIENCE).ended_with(130).says(&["interrupted"]);
    assert!(!is_alive(maker));
    home.assert_nothing_runs(&finished);
    assert_eq!(home.environments(), [""; 0]);
    home.demo(&["--short"]).run().succeeded();
}

#[test]
fn the_server_ends_with_a_pyperf_that_is_killed() {
    let home = Home::with_environment();
    let running = home.demo(&[]).start();
    running.stderr().wait_for("users in");
    let master = process::children(running.pid()).pop().expect("a gunicorn");
    let workers = process::children(master);
    running.kill();
    wait::until("the server to end", PATIENCE, || {
        workers.iter().chain([&master]).all(|pid| !is_alive(*pid)).then_some(())
    });
}

#[test]
fn under_sudo_all_that_it_makes_belongs_to_the_caller_and_ends_with_it() {
    let Some(nobody) = say::nobody_unless_not_root("the demo on behalf of the caller of sudo") else {
        return;
    };
    let home = Home::of(&nobody);
    let finished = home.demo_under_sudo(&nobody, &["--short"]).wait(PATIENCE).succeeded();
    home.assert_nothing_runs(&finished);
    assert_eq!(names(&home.dir.join("home/.cache/pyperf")).len(), 1, "the caller's cache, not root's");
    for made in ["home/.cache", "results"] {
        let strange = strangers(&home.dir.join(made), nobody.uid.as_raw());
        assert!(strange.is_empty(), "{strange:?}");
    }

    fs::remove_dir_all(home.dir.join("results")).expect("the folder is ours");
    let running = home.demo_under_sudo(&nobody, &[]);
    running.stderr().wait_for("users in");
    let master = process::children(running.pid()).pop().expect("a gunicorn");
    let workers = process::children(master);
    assert!(
        workers.iter().chain([&master]).all(|pid| owner(Path::new(&format!("/proc/{pid}"))) == nobody.uid.as_raw())
    );
    running.interrupt();
    let finished = running.wait(PATIENCE).ended_with(130);
    home.assert_nothing_runs(&finished);
}

#[test]
fn a_caller_of_sudo_without_a_home_is_told_that_the_demo_needs_no_root() {
    let Some(nobody) = say::nobody_unless_not_root("the demo under sudo of a user who has no home") else {
        return;
    };
    let home = Home::of(&nobody);
    let path = format!("{}:/usr/bin:/bin", pythons_of_all());
    let finished = home.demo(&["--short"]).sudo_of(&nobody).env("PATH", &path).run().ended_with(1);
    finished.says(&["cannot make /nonexistent/.cache/pyperf", "the demo needs no root"]);
}

#[test]
fn what_is_missing_is_named() {
    let home = Home::new();
    let nowhere = home.demo(&[]).env("PATH", "/nonexistent").run().ended_with(1);
    nowhere.says(&["the demo needs Python 3.8", "no `python3` on the path", "apt install python3"]);

    home.put_python("echo 'The virtual environment was not created: ensurepip is not available.'; exit 1");
    let without_venv = home.demo(&[]).env("PATH", &home.path()).run().ended_with(1);
    without_venv.says(&["cannot make a virtual environment", "ensurepip is not available", "apt install python3-venv"]);
    assert_eq!(home.environments(), [""; 0]);

    fs::remove_dir_all(home.dir.join("cache")).expect("it is ours");
    fs::write(home.dir.join("cache"), "no folder").expect("the directory is ours");
    home.demo(&[]).run().ended_with(1).says(&["cannot make", "set XDG_CACHE_HOME"]);
}

#[test]
fn a_package_index_out_of_reach_is_said_to_be() {
    let home = Home::new();
    let offline = home.demo(&["--short"]).env("PIP_INDEX_URL", "http://127.0.0.1:9/").env("PIP_RETRIES", "0");
    let offline = offline.env("PIP_NO_INDEX", "0").env("PIP_FIND_LINKS", "").env("PIP_EXTRA_INDEX_URL", "");
    let finished = offline.run().ended_with(1).says(&["cannot install gunicorn and Flask", "PIP_INDEX_URL"]);
    home.assert_nothing_runs(&finished);
    assert_eq!(home.environments(), [""; 0]);
}

#[test]
fn the_office_answers_and_is_slow_where_it_says() {
    let home = Home::with_environment();
    let running = home.demo(&[]).start();
    let address = address(&running);
    for (path, part) in [
        ("/health", "ok"),
        ("/categories", "Vehicles"),
        ("/services", "Passport"),
        ("/services/1/slots", "starts_at"),
        ("/appointments", "ahead"),
    ] {
        let answer = http::get(address, path);
        assert!(answer.contains(part), "{path}: {answer}");
    }
    running.interrupt();
    running.wait(PATIENCE);

    // Without a server: how often lines of Python run, and how much SQLite does, for a day twice as full.
    let python = Environment::new(&Python::default(), Packages::Web).python();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command/demo");
    let mut command = std::process::Command::new(python);
    command.args(["-c", COUNT]).env("PYTHONPATH", app).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&home.dir);
    let output = command.output().expect("a Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts: Vec<u64> = said.split_whitespace().map(|count| count.parse().expect("a count")).collect();
    let [few, many, statements, small, large] = counts[..] else { panic!("{said}") };
    assert!(many > 3 * few, "twice the appointments, {few} and {many} calls");
    assert_eq!(statements, 32, "a query for each slot");
    assert!(large > small * 3 / 2, "twice the rows, {small} and {large} steps of SQLite");
}

/// Calls of `serialize_appointments` for 40 and 80 appointments, statements of `find_free_slots`, and steps of SQLite's machine
/// (in hundreds) before and after the table has doubled.
const COUNT: &str = r"
import sys, booking
booking.seed()
with booking.app.app_context():
    database = booking.database()
    rows = database.execute('SELECT * FROM appointment WHERE starts_at >= ?', ('2030-03-04',)).fetchall()
    def calls(rows):
        count = 0
        def seen(frame, event, argument):
            nonlocal count
            count += event == 'call'
        sys.setprofile(seen)
        booking.serialize_appointments(rows)
        sys.setprofile(None)
        return count
    def work():
        statements, steps = [], 0
        def step():
            nonlocal steps
            steps += 1
        database.set_trace_callback(statements.append)
        database.set_progress_handler(step, 100)
        booking.find_free_slots(1)
        database.set_trace_callback(None)
        database.set_progress_handler(None, 0)
        return len(statements), steps
    few, many = calls(rows), calls(rows + rows)
    statements, small = work()
    database.execute('''INSERT INTO appointment
                        SELECT id || '+', service_id, citizen_id, starts_at, comment FROM appointment''')
    print(few, many, statements, small, work()[1])
";

/// A home directory that nobody has used.
struct Home {
    dir: TempDir,
    cache: PathBuf,
}

impl Home {
    fn new() -> Home {
        let dir = TempDir::new();
        for name in ["home", "cache", "temporary"] {
            fs::create_dir(dir.join(name)).expect("the directory is ours");
        }
        let cache = dir.join("cache");
        Home { dir, cache }
    }

    /// One that belongs to another user.
    fn of(user: &User) -> Home {
        let home = Home::new();
        for name in ["", "home", "cache", "temporary"] {
            chown(&home.dir.join(name), Some(user.uid), Some(user.gid)).expect("root may give its files away");
        }
        home
    }

    /// One whose cache is kept with the other environments: the first demo fills it for all.
    fn with_environment() -> Home {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo puts it into the target directory");
        Home { cache: target.join("python-envs"), ..Home::new() }
    }

    fn demo(&self, arguments: &[&str]) -> Pyperf {
        let demo = Pyperf::new(["demo", "--out", "results"].iter().chain(arguments).copied()).cwd(&self.dir);
        let place = |name: &str| self.dir.join(name).display().to_string();
        let cache = self.cache.display().to_string();
        demo.env("HOME", &place("home")).env("XDG_CACHE_HOME", &cache).env("TMPDIR", &place("temporary"))
    }

    /// The demo as sudo runs it for a user whose home this is: what the database of users says counts, not the environment.
    fn demo_under_sudo(&self, user: &User, arguments: &[&str]) -> Running {
        let users = self.dir.join("passwd");
        let (uid, gid, place) = (user.uid, user.gid, self.dir.join("home"));
        fs::write(
            &users,
            format!("root:x:0:0::/root:/bin/sh\n{}:x:{uid}:{gid}::{}:/bin/sh\n", user.name, place.display()),
        )
        .expect("the directory is ours");
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/passwd && exec \"$@\""]).arg(users);
        command.args([Pyperf::PROGRAM, "demo", "--out", "results"]).args(arguments).current_dir(&self.dir);
        command.env("SUDO_UID", uid.to_string()).env("SUDO_GID", gid.to_string());
        command.env("TMPDIR", self.dir.join("temporary")).env("HOME", "/root");
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", pythons_of_all()));
        Running::of(command)
    }

    fn environments(&self) -> Vec<String> {
        let made = self.cache.join("pyperf");
        if made.exists() { names(&made) } else { Vec::new() }
    }

    /// A `python3` that knows what it is and fails at everything else.
    fn put_python(&self, otherwise: &str) {
        let bin = self.dir.join("bin");
        fs::create_dir(&bin).expect("the directory is ours");
        let program = bin.join("python3");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *version_info*) echo '{} 3 11 0 final 0' ;; *) {otherwise} ;; esac\n",
            program.display()
        );
        fs::write(&program, script).expect("the directory is ours");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    }

    fn path(&self) -> String {
        self.dir.join("bin").display().to_string()
    }

    /// No process works in this home any more, and no temporary file is left.
    fn assert_nothing_runs(&self, finished: &Finished) {
        let own = self.dir.as_ref();
        let inside = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(own));
        let left: Vec<i32> = process::all().into_iter().filter(inside).collect();
        assert_eq!(left, [0; 0], "{finished:?}");
        assert_eq!(names(&self.dir.join("temporary")), [""; 0], "{finished:?}");
    }
}

/// Where a `python3` is that every user may run.
fn pythons_of_all() -> String {
    let python = Python::shared();
    python.program().parent().expect("a program is in a folder").display().to_string()
}

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").uid()
}

/// What there is in a folder, itself included, that does not belong to this user.
fn strangers(folder: &Path, user: u32) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Some(folder.to_owned()).filter(|path| owner(path) != user).into_iter().collect();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(strangers(&path, user));
        } else if owner(&path) != user {
            found.push(path);
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    entries.map(|entry| entry.file_name().display().to_string()).collect()
}

/// Where the office of this demo answers.
fn address(running: &Running) -> SocketAddr {
    let line = running.stderr().wait_for("a booking office answers at http://");
    let (_, rest) = line.split_once("http://").expect("the line has an address");
    rest.split([',', ' ']).next().and_then(|address| address.parse().ok()).expect("an address")
}
