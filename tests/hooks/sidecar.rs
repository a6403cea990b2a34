//! The `node` child: it ends with its processor, with a crash of its own the calls fail and the run goes on, and it does not outlive us.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pyperf::load::hooks::{Runtime, What};
use serde_json::json;

use super::packages::with_modules;
use super::support::{Subject, block_on, call, limits, source};

const CODE: &str = "
exports.pid = (context, ee, next) => { context.vars.pid = process.pid; next(); };
exports.dies = () => { process.kill(process.pid, 'SIGKILL'); };
exports.prints = (context, ee, next) => { process.stdout.write('raw\\n{\"not\": \"ours\"}'); next(); };
exports.loops = async () => { console.log('looping'); await new Promise((done) => setTimeout(done, 20)); for (;;) {} };
";

fn subject(test: &str) -> Subject {
    let folder = with_modules(test);
    fs::write(folder.join("own.js"), CODE).expect("ours");
    Subject::load(&source(&folder.join("own.js"), Runtime::Node), limits()).unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until no such process is there; a zombie is none.
fn ends(pid: u64) -> bool {
    let stat = format!("/proc/{pid}/stat");
    (0..300).any(|_| {
        let gone = fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        if !gone {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        gone
    })
}

#[test]
fn it_ends_with_its_processor() {
    let subject = subject("ends");
    let pid = subject.step("pid", json!({}))["pid"].as_u64().expect("a number");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    drop(subject);
    assert!(ends(pid));
}

#[test]
fn ctrl_c_is_not_for_it() {
    let subject = subject("group");
    let pid = subject.step("pid", json!({}))["pid"].as_u64().expect("a number");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    // Behind the name: the state, the parent, the group.
    let group = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(2));
    assert_eq!(group, Some(pid.to_string().as_str()), "{stat}");
}

#[test]
fn what_kills_it_fails_its_calls_and_no_others() {
    let subject = subject("dies");
    let first = subject.step("pid", json!({}))["pid"].as_u64();
    let failure = subject.call("dies", What::Function, json!({})).outcome.expect_err("it is dead");
    assert_eq!(failure.code, "ERR_HOOK_NODE");
    assert!(failure.message.contains("signal: 9"), "{failure}");
    let second = subject.step("pid", json!({}))["pid"].as_u64();
    assert_ne!(first, second);
    subject.step("prints", json!({}));
    subject.step("pid", json!({}));
    let heard = subject.heard();
    assert!(heard.iter().any(|line| line.contains("node is started anew")), "{heard:?}");
    assert!(heard.contains(&"console: raw\n{\"not\": \"ours\"}".to_owned()), "{heard:?}");
}

/// What [`it_does_not_outlive_us`] runs in a process of its own, which is killed.
#[test]
#[ignore = "it is the other half of it_does_not_outlive_us, which runs it"]
fn a_process_with_a_processor() {
    let subject = subject("outlived");
    let pid = subject.step("pid", json!({}))["pid"].as_u64().expect("a number");
    let looping = async {
        while !subject.heard().contains(&"console: looping".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        #[expect(clippy::print_stdout, reason = "the other process reads it")]
        {
            println!("\nchild {pid}");
        }
    };
    let looped = subject.processor.call(call(1, "loops", What::Function, json!({})));
    block_on(async { tokio::join!(looping, looped) });
}

#[test]
fn it_does_not_outlive_us() {
    let program = std::env::current_exe().expect("this one");
    let mut process = Command::new(program)
        .args(["--exact", "sidecar::a_process_with_a_processor", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is there");
    let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let pid =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("child ")?.parse().ok()).expect("its number");
    process.kill().expect("ours");
    process.wait().expect("ours");
    assert!(ends(pid), "{pid} is still there");
}
