//! Every script under `tests/scenarios` through the built binary: what `check` says of it, and what happens when it runs.
//!
//! The list of scripts is read from the folders, so a new one is tested as soon as it is there. What `check` says is compared
//! with the file `NAME.expected` beside the script; `PYPERF_BLESS=1` writes those files anew. How a script is run stands in its
//! first line; see `tests/scenarios/README.md`.

use std::env;
use std::fs;
use std::iter;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::pyperf::{Finished, Pyperf};
use crate::support::python::Python;
use crate::support::temp_dir::TempDir;
use crate::support::web::WebServer;
use crate::support::web::tls::{Certificate, Client, Tls};

/// What is said of a script about which there is nothing to say.
const NOTHING: &str = "\
note: no `http.timeout`: an answer may take 120 s, as for Artillery 1
  Artillery 2 gives up after 10 s; `http.timeout` in seconds decides it
";

/// What the scripts have as their target: a place where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// One file of the corpus.
struct Script {
    /// Such as `runs/json-body.yaml`.
    file: String,
    first_line: String,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

impl Script {
    /// All scripts of a folder, without those that are only a part of another one.
    fn all(folder: &str) -> Vec<Script> {
        let entries = fs::read_dir(corpus().join(folder)).expect("the corpus is there");
        let names = entries.map(|entry| entry.expect("it can be listed").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("it is UTF-8")).collect();
        names.sort();
        let is_script = |name: &String| matches!(name.rsplit_once('.'), Some((_, "yaml" | "json")));
        let scripts = names.into_iter().filter(is_script).map(|name| Script::of(format!("{folder}/{name}")));
        let scripts: Vec<Script> = scripts.filter(|script| !script.first_line.contains("(part of ")).collect();
        assert!(!scripts.is_empty());
        scripts
    }

    fn of(file: String) -> Script {
        let bytes = fs::read(corpus().join(&file)).expect("it can be read");
        let first_line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        Script { file, first_line }
    }

    /// What its first line says in brackets after these words.
    fn remark(&self, words: &str) -> Option<&str> {
        let (_, rest) = self.first_line.split_once(&format!("({words}"))?;
        Some(rest.split_once(')').expect("the bracket is closed").0)
    }

    /// The number that its first line says after this word.
    fn number(&self, word: &str) -> Option<i64> {
        let (_, rest) = self.first_line.split_once(&format!("{word} "))?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }

    /// The script as an argument, with the flags and the environment that its first line asks for.
    fn pyperf(&self, command: &str, target: &str) -> Pyperf {
        let words = self.remark("run with ").map(words).unwrap_or_default();
        let (settings, flags): (Vec<String>, Vec<String>) =
            words.into_iter().map(|word| word.replace("URL", target)).partition(|word| is_setting(word));
        let arguments = iter::once(command.to_owned()).chain(flags).chain([self.file.clone()]);
        let settings = settings.iter().filter_map(|word| word.split_once('='));
        settings.fold(Pyperf::new(arguments).cwd(corpus()), |pyperf, (name, value)| pyperf.env(name, value))
    }

    /// Runs it against a server.
    fn run(&self, server: &WebServer, report: &Path) -> Finished {
        let run = self.pyperf("run", &server.url()).arguments(["--seed", "7", "-o"]).arguments([report]);
        let run = if self.has_its_target() { run } else { run.arguments(["-t", &server.url()]) };
        run.run()
    }

    /// Whether it finds its target by itself.
    fn has_its_target(&self) -> bool {
        self.first_line.contains("without -t") || self.remark("run with ").is_some_and(|words| words.contains("URL"))
    }
}

/// `A=b`, to be put into the environment.
fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

/// As a shell splits a line that has single quotes only.
fn words(line: &str) -> Vec<String> {
    let pieces = line.split('\'').enumerate();
    pieces
        .flat_map(|(place, piece)| match place % 2 {
            0 => piece.split_whitespace().map(str::to_owned).collect(),
            _ => vec![piece.to_owned()],
        })
        .collect()
}

/// Does it to all, several at a time, and panics with everything that went wrong.
fn each(scripts: &[Script], at_once: usize, act: impl Fn(&Script) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = panic::catch_unwind(panic::AssertUnwindSafe(|| act(script)));
            if let Err(why) = result {
                let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned());
                failed.lock().expect("nobody panics with it").push(format!("{}: {why}", script.file));
            }
        }
    };
    thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "{} of {} scripts:\n{}", failed.len(), scripts.len(), failed.join("\n\n"));
}

/// Whether what is said is taken for what is expected.
#[expect(clippy::disallowed_methods, reason = "the switch of this test")]
fn is_blessing() -> bool {
    env::var_os("PYPERF_BLESS").is_some()
}

/// Compares what was said with what is expected, which is `otherwise` where there is no file for it.
fn compare(script: &Script, said: &str, otherwise: Option<&str>) {
    let golden = corpus().join(&script.file).with_extension("expected");
    if is_blessing() {
        match otherwise {
            Some(otherwise) if otherwise == said => drop(fs::remove_file(golden)),
            _ => fs::write(golden, said).expect("it can be written"),
        }
        return;
    }
    let expected = fs::read_to_string(&golden).ok().or_else(|| otherwise.map(str::to_owned));
    let expected = expected.unwrap_or_else(|| panic!("there is no {}; PYPERF_BLESS=1 writes it", golden.display()));
    assert!(expected == said, "PYPERF_BLESS=1 takes what stands after +\n{}", difference(&expected, said));
}

/// The lines of both, those that only one has with a sign before them.
fn difference(expected: &str, said: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), said.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = old.iter().zip(&new).take_while(same).count();
    let rest = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take_while(same).count().min(rest);
    let parts = [
        (' ', &old[..before]),
        ('-', &old[before..old.len() - after]),
        ('+', &new[before..new.len() - after]),
        (' ', &old[old.len() - after..]),
    ];
    let marked = parts.iter().flat_map(|(sign, lines)| lines.iter().map(move |line| format!("{sign} {line}")));
    marked.collect::<Vec<_>>().join("\n")
}

/// What `check` said, without the line on what would be run.
fn findings(checked: &Finished) -> &str {
    let stdout = checked.stdout.trim_end_matches('\n');
    let end = stdout.rfind('\n').map_or(0, |end| end + 1);
    &checked.stdout[..end]
}

#[test]
fn a_script_that_cannot_run_is_refused_before_any_request() {
    each(&Script::all("refused"), 4, |script| {
        let checked = script.pyperf("check", NOBODY).run().ended_with(2);
        compare(script, &format!("{}{}", checked.stdout, checked.stderr), None);
        let server = WebServer::start();
        let dir = TempDir::new();
        let report = dir.join("report.json");
        let run = script.run(&server, &report).ended_with(2);
        assert!(!report.exists());
        assert!(run.stderr.contains("error: the script cannot run: "), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), server.connections()), ("", 0));
    });
}

#[test]
fn what_is_ignored_or_changed_is_said() {
    each(&Script::all("noticed"), 4, |script| {
        let checked = script.pyperf("check", NOBODY).run().succeeded();
        assert_ne!(findings(&checked), NOTHING, "there is nothing to notice");
        compare(script, &checked.stdout, None);
        assert_eq!(checked.stderr, "");
    });
}

#[test]
fn of_a_script_that_is_well_there_is_nothing_to_say() {
    each(&Script::all("runs"), 4, |script| {
        let checked = script.pyperf("check", NOBODY).run().succeeded();
        // A script that has a timeout is without that note, too.
        let said = Some(findings(&checked)).filter(|said| !said.is_empty());
        compare(script, said.unwrap_or(NOTHING), Some(NOTHING));
        assert_eq!(checked.stderr, "");
    });
}

/// How many users `check` says will come.
fn planned(checked: &Finished) -> i64 {
    let line =
        checked.stdout.lines().next_back().and_then(|line| line.rsplit_once("; ")).expect("it ends with the plan");
    line.1.split(' ').next().and_then(|count| count.parse().ok()).expect("it begins with the users")
}

#[test]
fn a_script_runs_and_counts_what_the_server_saw() {
    let mut scripts: Vec<Script> = ["runs", "noticed"].into_iter().flat_map(Script::all).collect();
    scripts.retain(|script| script.remark("checked only").is_none());
    // Most of the time they wait for users to arrive.
    each(&scripts, 16, |script| {
        let server = if script.first_line.contains("(run against TLS)") {
            WebServer::start_tls(Tls { certificate: Certificate::SelfSigned, client: Client::Anyone })
        } else {
            WebServer::start()
        };
        let dir = TempDir::new();
        let report = dir.join("report.json");
        let code = script.number("exit").unwrap_or(0);
        script.run(&server, &report).ended_with(i32::try_from(code).expect("a small number"));
        let report: Value = serde_json::from_slice(&fs::read(&report).expect("it is there")).expect("it is JSON");
        let counted = |name: &str| report["aggregate"]["counters"][name].as_i64().unwrap_or(0);

        let seen = i64::try_from(server.requests().len()).expect("few");
        let uncounted = script.number("uncounted").unwrap_or(0);
        assert_eq!(counted("http.requests") + uncounted, seen, "counted and seen: {}", report["aggregate"]["counters"]);
        let checked = script.pyperf("check", &server.url()).run().succeeded();
        let (created, skipped) = (counted("vusers.created"), counted("vusers.skipped"));
        let planned = if script.first_line.contains("by chance") { created } else { planned(&checked) };
        assert_eq!(created + skipped, planned, "created and skipped, and planned");
        assert_eq!(counted("vusers.completed") + counted("vusers.failed"), created, "each ends in one way");
        let should_fail = script.first_line.contains("(users fail)");
        assert_eq!(counted("vusers.failed") > 0, should_fail, "{}", report["aggregate"]["counters"]);
        assert!(server.requests().iter().all(|request| request.path() != "/never-reached"));
    });
}

/// Runs what is behind it and says what it cost: its exit code, KiB at the peak, milliseconds of CPU.
///
/// The peak is at least that of a small Python, whose place in memory the child has before it becomes pyperf.
const COST: &str = "
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_maxrss, round(1000 * (used.ru_utime + used.ru_stime)))";

#[test]
fn a_bomb_costs_no_more_than_another_script() {
    let python = Python::all().pop().expect("there is one");
    for bomb in ["alias-bomb", "merge-bomb", "text-bomb", "anchor-bomb", "too-deep", "own-alias"] {
        let script = corpus().join(format!("refused/{bomb}.yaml"));
        let mut command = Command::new(python.program());
        command.args(["-c", COST]).arg(Pyperf::PROGRAM).arg("check").arg(script);
        let output = command.output().expect("Python runs");
        let said = String::from_utf8(output.stdout).expect("it is text");
        let cost: Vec<u32> = said.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let [code, kib, millis] = cost[..] else { panic!("{bomb}: {}", String::from_utf8_lossy(&output.stderr)) };
        assert!(code == 2 && kib < 64 * 1024, "{bomb}: exit code {code}, {kib} KiB");
        // The aim is 200 ms of an optimised binary, which `benches/script.rs` measures.
        assert!(millis < 2000, "{bomb}: {millis} ms of CPU");
    }
}
