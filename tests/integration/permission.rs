//! Who may read what, and whose the written files are.
//!
//! Most of it takes two users, which only root can be; without root the tests say aloud what was left out.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, symlink};

use nix::unistd::{Uid, User};

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Configuration, Gunicorn};
use crate::support::namespace::Namespace;
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::say;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

const OUTPUTS: [&str; 6] = ["-d", "0.3", "-o", "graph.svg", "--recording", "run.pyperf"];

#[test]
fn another_user_is_refused_and_told_why() {
    let Some(nobody) = say::nobody_unless_not_root("a gunicorn of root is not readable for nobody") else {
        // This much everybody can try: process 1 is root's.
        Pyperf::attach(1, []).run().ended_with(4).says(&["cannot read process 1", "it runs as user 0"]);
        return;
    };
    let gunicorn = shared().start();
    for command in ["attach", "dump"] {
        let pid = gunicorn.pid().to_string();
        let refused = Pyperf::new([command, "--pid", &pid]).user(&nobody).run().ended_with(4).says(&[
            &format!("cannot read process {pid}"),
            "because: its memory may not be opened: Permission denied",
            &format!("it runs as user 0 and pyperf as user {}, without the capability SYS_PTRACE", nobody.uid),
            &format!("sudo pyperf {command} --pid {pid}"),
        ]);
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn a_process_that_changed_its_user_is_protected_even_from_that_user() {
    let Some(nobody) = say::nobody_unless_not_root("gunicorn --user nobody is not readable for nobody") else {
        return;
    };
    let gunicorn = shared().arguments(["--user", "nobody"]).start();
    let worker = gunicorn.workers()[0];
    assert_eq!(owner(format!("/proc/{worker}/stat")), 0, "it is not dumpable");
    let said = ["it changed its user after it started (gunicorn --user)", "sudo pyperf attach"];
    Pyperf::attach(worker, []).user(&nobody).run().ended_with(4).says(&said);

    let dir = TempDir::new();
    drop(gunicorn.hold(&dir.join("gate")));
    Pyperf::attach(gunicorn.pid(), OUTPUTS).cwd(&dir).run().succeeded();
    Pyperf::new(["dump", "--pid", &worker.to_string()]).user(&nobody).sudo_of(&nobody).run().ended_with(4);
}

#[test]
fn ones_own_gunicorn_needs_no_root() {
    let me = User::from_uid(Uid::effective()).expect("the user database is readable").expect("we are in it");
    let user = say::nobody_unless_not_root("another user's own gunicorn (but the own one is)").unwrap_or(me);
    let gunicorn = shared().user(user.clone()).start();
    let dir = TempDir::of(&user);
    drop(gunicorn.hold(&dir.join("gate")));
    Pyperf::attach(gunicorn.pid(), OUTPUTS).cwd(&dir).user(&user).run().succeeded();
    assert_eq!(dir.names(), ["graph.svg", "run.pyperf"]);
    assert_eq!(owner(dir.join("graph.svg")), user.uid.as_raw());
}

#[test]
fn what_sudo_writes_belongs_to_its_caller() {
    let Some(nobody) = say::nobody_unless_not_root("files belong to the caller of sudo") else {
        return;
    };
    let (gunicorn, dir) = (shared().start(), TempDir::of(&nobody));
    drop(gunicorn.hold(&TempDir::new().join("gate")));
    Pyperf::attach(gunicorn.pid(), OUTPUTS).cwd(&dir).sudo_of(&nobody).run().succeeded();
    Pyperf::new(["report", "run.pyperf"]).cwd(&dir).sudo_of(&nobody).run().succeeded();
    for name in ["graph.svg", "run.pyperf", "run.svg"] {
        let file = fs::metadata(dir.join(name)).expect("it was written");
        assert_eq!((file.uid(), file.gid()), (nobody.uid.as_raw(), nobody.gid.as_raw()), "{name}");
    }
    assert_eq!(dir.names(), ["graph.svg", "run.pyperf", "run.svg"]);
    Pyperf::new(["dump", "--pid", &gunicorn.pid().to_string()]).sudo_of(&nobody).run().succeeded();
}

#[test]
fn under_sudo_a_blocking_read_works_too() {
    let Some(nobody) = say::nobody_unless_not_root("blocking reads on behalf of the caller of sudo") else {
        return;
    };
    let (gunicorn, dir) = (shared().start(), TempDir::of(&nobody));
    drop(gunicorn.hold(&TempDir::new().join("gate")));
    let blocking = OUTPUTS.into_iter().chain(["--blocking"]);
    Pyperf::attach(gunicorn.pid(), blocking).cwd(&dir).sudo_of(&nobody).run().succeeded();
}

#[test]
fn the_thread_that_takes_snapshots_comes_first_under_sudo_too() {
    let Some(nobody) = say::nobody_unless_not_root("the sampling thread gets a core before others") else {
        return;
    };
    let (gunicorn, dir) = (shared().start(), TempDir::of(&nobody));
    for caller in [None, Some(&nobody)] {
        let attach = Pyperf::attach(gunicorn.pid(), ["-o", "graph.svg"]).cwd(&dir);
        let running = match caller {
            Some(caller) => attach.sudo_of(caller),
            None => attach,
        }
        .start();
        wait::until("the sampling thread to come before all others", PATIENCE, || {
            let threads = threads(running.pid());
            // The others have the priority that pyperf was started with.
            let usual = threads.iter().map(|(_, nice)| *nice).max()?;
            let first = threads.iter().filter(|(_, nice)| *nice < usual);
            (first.map(|(name, _)| name.as_str()).collect::<Vec<_>>() == ["sampling"]).then_some(())
        });
        running.kill();
        running.wait(PATIENCE);
    }
}

/// Name and nice value of each thread of a process.
fn threads(pid: i32) -> Vec<(String, i64)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    let told = |stat: String| {
        // Field 19, counted from 1; the second is the name, in parentheses (proc_pid_stat(5)).
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
        Some((name.to_owned(), fields.split_whitespace().nth(16)?.parse().ok()?))
    };
    stats.filter_map(told).collect()
}

#[test]
fn a_symlink_in_the_place_of_the_graph_is_replaced_and_not_followed() {
    let me = User::from_uid(Uid::effective()).expect("the user database is readable").expect("we are in it");
    let caller =
        say::nobody_unless_not_root("a symlink that the caller of sudo points at a file of root").unwrap_or(me);
    let (gunicorn, roots, dir) = (shared().start(), TempDir::new(), TempDir::of(&caller));
    drop(gunicorn.hold(&roots.join("gate")));
    fs::write(roots.join("precious"), "precious").expect("the directory is ours");
    symlink(roots.join("precious"), dir.join("graph.svg")).expect("the directory is ours");
    Pyperf::attach(gunicorn.pid(), OUTPUTS).cwd(&dir).sudo_of(&caller).run().succeeded();
    assert_eq!(fs::read_to_string(roots.join("precious")).expect("it is still there"), "precious");
    let graph = fs::symlink_metadata(dir.join("graph.svg")).expect("it was written");
    assert!(graph.is_file());
    assert_eq!(graph.uid(), caller.uid.as_raw());
}

#[test]
fn a_symlink_in_the_place_of_the_recording_is_refused() {
    let (gunicorn, dir) = (shared().start(), TempDir::new());
    for target in ["precious", "not-there"] {
        fs::write(dir.join("precious"), "precious").expect("the directory is ours");
        symlink(dir.join(target), dir.join("run.pyperf")).expect("the directory is ours");
        // Without -d it would sample for ever.
        let arguments = ["--recording", "run.pyperf"];
        Pyperf::attach(gunicorn.pid(), arguments).cwd(&dir).run().ended_with(1).says(&["run.pyperf exists already"]);
        assert_eq!(dir.names(), ["precious", "run.pyperf"]);
        assert_eq!(fs::read_to_string(dir.join("precious")).expect("it is still there"), "precious");
        fs::remove_file(dir.join("run.pyperf")).expect("the directory is ours");
    }
}

#[test]
fn a_folder_that_the_caller_of_sudo_may_not_write_to_is_refused_before_sampling() {
    let Some(nobody) = say::nobody_unless_not_root("folders that only root may write to are refused under sudo") else {
        return;
    };
    let (gunicorn, roots) = (shared().start(), TempDir::new());
    // Without -d it would sample for ever.
    let graph = Pyperf::attach(gunicorn.pid(), ["-o", "graph.svg"]).cwd(&roots).sudo_of(&nobody).run();
    graph.ended_with(1).says(&["cannot write graph.svg", "Permission denied", "-o FILE"]);
    let arguments = ["-o", "-", "--recording", "run.pyperf"];
    let recording = Pyperf::attach(gunicorn.pid(), arguments).cwd(&roots).sudo_of(&nobody).run();
    recording.ended_with(1).says(&["cannot create the recording run.pyperf"]);
    assert!(roots.names().is_empty());
}

#[test]
fn no_load_is_sent_to_a_gunicorn_that_may_not_be_read() {
    let Some(nobody) = say::nobody_unless_not_root("run-with-load refuses another user's gunicorn before it sends")
    else {
        return;
    };
    let (gunicorn, dir) = (talkative(), TempDir::of(&nobody));
    let pid = gunicorn.pid().to_string();
    let named = load_on(gunicorn.address(), &dir).arguments(["--pid", &pid]).user(&nobody).run().ended_with(4);
    named.says(&[
        &format!("cannot read process {pid}"),
        &format!("it runs as user 0 and pyperf as user {}, without the capability SYS_PTRACE", nobody.uid),
        "sudo pyperf run-with-load",
    ]);
    // Whose socket it is can be told, but not which process has it.
    let found = load_on(gunicorn.address(), &dir).user(&nobody).run().ended_with(4);
    found.says(&[&format!("a process of user 0 listens on {}, and pyperf may not see which one", gunicorn.address())]);
    assert_eq!(dir.names(), ["script.yaml"], "nothing is left of a run that did not begin");
    assert_untouched(&gunicorn);
}

#[test]
fn no_load_is_sent_to_a_gunicorn_that_cannot_be_seen() {
    if !say::is_root("run-with-load refuses a gunicorn outside its own namespace before it sends") {
        return;
    }
    let (gunicorn, dir, namespace) = (talkative(), TempDir::new(), Namespace::new());
    let said = ["but no process that can be seen from here", "name its process with --name or --pid"];
    loading(Pyperf::inside(&namespace, ["run-with-load"]), gunicorn.address(), &dir).run().ended_with(3).says(&said);
    assert_eq!(dir.names(), ["script.yaml"], "nothing is left of a run that did not begin");
    assert_untouched(&gunicorn);
}

#[test]
fn under_sudo_a_load_finds_another_users_gunicorn_and_its_results_belong_to_the_caller() {
    let Some(nobody) = say::nobody_unless_not_root("run-with-load on behalf of the caller of sudo") else {
        return;
    };
    let (gunicorn, dir) = (talkative(), TempDir::of(&nobody));
    load_on(gunicorn.address(), &dir).sudo_of(&nobody).run().succeeded();
    let results = fs::read_dir(dir.join("out")).expect("the results are there").flatten().map(|entry| entry.path());
    let results: Vec<_> = results.chain([dir.join("out")]).collect();
    assert!(results.len() >= 4, "{results:?}");
    for path in results {
        assert_eq!(owner(&path), nobody.uid.as_raw(), "{}", path.display());
    }
    gunicorn.log().wait_for("GET /burn");
}

/// A gunicorn that logs each of its requests.
fn talkative() -> Gunicorn {
    shared().arguments(["--access-logfile", "-"]).start()
}

/// `run-with-load` in this directory.
fn load_on(address: SocketAddr, dir: &TempDir) -> Pyperf {
    loading(Pyperf::new(["run-with-load"]), address, dir)
}

/// Gives it a script that sends two requests.
fn loading(pyperf: Pyperf, address: SocketAddr, dir: &TempDir) -> Pyperf {
    let script = format!(
        "config:\n  target: http://{address}\n  phases: [{{ duration: 1, arrivalCount: 2 }}]\n\
         scenarios:\n  - flow: [{{ get: {{ url: \"/burn?s=0.2\" }} }}]\n"
    );
    fs::write(dir.join("script.yaml"), script).expect("the directory is ours");
    let [script, out] = ["script.yaml", "out"].map(|name| dir.join(name).display().to_string());
    let pyperf = pyperf.arguments([&script, "--out", &out, "--lead", "0.2"]);
    // The proxies of the session are not those of a test.
    let plain = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
    plain.into_iter().fold(pyperf.cwd(dir), |pyperf, name| pyperf.env(name, ""))
}

/// Panics unless our own request is the first that it was sent.
fn assert_untouched(gunicorn: &Gunicorn) {
    gunicorn.get("/fast");
    gunicorn.log().wait_for("GET /fast");
    assert!(!gunicorn.log().text().contains("/burn"), "{}", gunicorn.log().text());
}

/// A gunicorn whose Python every user may run.
fn shared() -> Configuration<'static> {
    Gunicorn::of(&Environment::new(&Python::shared(), Packages::Web))
}

fn owner(path: impl AsRef<std::path::Path>) -> u32 {
    fs::metadata(path).expect("it is there").uid()
}
