//! Snapshots against py-spy without a stop, on code that changes while it is read: what a sample costs, and how often it shows
//! what cannot be. The functions' names hold their legal callers (`leaf__from_a_b`), so every impossible pair is seen.
//! `cargo bench --bench snapshot -- [SAMPLES] [PYTHON]…` (as root, or with `kernel.yama.ptrace_scope` at 0 or 1)
//!
//! A table of: samples, the share with an impossible caller, the share cut or failed, reads and system calls a sample, and
//! CPU time a sample. Adversarial: calls of tiny functions with frames of one size, and nothing else. Web-like: JSON, digests, sorting
//! with a key, generators, `__init__`. Asleep: 30 frames.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]
#![expect(clippy::print_stdout, reason = "the result of a bench")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pyperf::clock::Clock;
use pyperf::process::cpu;
use pyperf::recording::{Frame, Mode};
use pyperf::stack::pyspy::PySpyReader;
use pyperf::stack::snapshot::SnapshotReader;
use pyperf::stack::{By, Line, Options, StackReader};
use pyperf::stop::Stop;

use crate::table::Aims;

const ASLEEP: &str = "
import time
def deeper(levels):
    if levels:
        return deeper(levels - 1)
    print('ready', flush=True)
    time.sleep(3600)
deeper(28)
";

const ADVERSARIAL: &str = "
def leaf1__from_a_b(x): return x
def leaf2__from_b_c(x): return x
def leaf3__from_c_a(x): return x
def a__from_main(x):
    leaf1__from_a_b(x); return leaf3__from_c_a(x)
def b__from_main(x):
    leaf2__from_b_c(x); return leaf1__from_a_b(x)
def c__from_main(x):
    leaf3__from_c_a(x); return leaf2__from_b_c(x)
def main():
    print('ready', flush=True)
    while True:
        a__from_main(1); b__from_main(2); c__from_main(3)
main()
";

const WEB_LIKE: &str = "
import hashlib, json
class Row__init:
    def __init__(self, n):
        self.n = n
        self.key = key__from_init_order(n)
def key__from_init_order(n): return (n * 7919) % 101
def order__from_view(rows):
    return sorted(rows, key=lambda row: key__from_init_order(row.n))
def each__from_view(rows):
    for row in rows:
        yield digest__from_each(row)
def digest__from_each(row): return hashlib.sha1(str(row.n).encode()).hexdigest()
def body__from_view(rows): return json.dumps({'rows': [[row.n, row.key] for row in rows], 'more': list(range(20))}, indent=1)
def view__from_app(n):
    rows = order__from_view([Row__init(i) for i in range(n)])
    sum(len(text) for text in each__from_view(rows))
    return body__from_view(rows)
def app__from_serve(n): return view__from_app(n)
def serve__from_main():
    for n in range(5, 30): app__from_serve(n)
def deeper(levels):
    if levels: deeper(levels - 1)
    else: main()
def main():
    print('ready', flush=True)
    while True: serve__from_main()
deeper(12)
";

#[expect(dead_code, reason = "the rows are printed as they come")]
#[path = "shared/table.rs"]
mod table;

struct Program(Child);

impl Program {
    fn start(python: &str, code: &str) -> Self {
        let mut child = Command::new(python).args(["-c", code]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says that it is ready");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("pids fit")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Found {
    impossible: u64,
    failed: u64,
    cpu: Duration,
    /// What an impossible one showed.
    such_as: Option<String>,
}

/// Whether a function may be called from the one above it, by its name.
fn is_legal(above: &str, called: &Frame) -> bool {
    let Some((_, legal)) = called.function.split_once("__from_") else {
        return true;
    };
    let above = above.rsplit('.').find(|part| !part.starts_with('<')).unwrap_or(above);
    let above = above.trim_matches('_').split("__").next().unwrap_or_default();
    legal.split('_').any(|legal| above == legal)
}

fn watch(reader: &mut dyn StackReader, samples: u64, pause: &Stop) -> Found {
    let mut found = Found::default();
    for _ in 0..samples {
        let _ = pause.wait(Duration::from_micros(50));
        let before = cpu::used_here();
        let read = reader.read();
        found.cpu += cpu::used_here().saturating_sub(before);
        let Ok(stacks) = read else {
            found.failed += 1;
            continue;
        };
        let frames = stacks.first().expect("one thread").stack.frames();
        let whole = frames.first().is_some_and(|frame| frame.function == "<module>");
        found.failed += u64::from(!whole);
        // Between two of ours can be the standard library's, or a list's comprehension.
        let named: Vec<&Frame> = frames.iter().map(|frame| &***frame).filter(|frame| ours(frame)).collect();
        let wrong = named.windows(2).find(|pair| !is_legal(&pair[0].function, pair[1])).filter(|_| whole);
        found.impossible += u64::from(wrong.is_some());
        if let Some(pair) = wrong {
            let told = || pair.iter().map(|frame| format!("{}:{}", frame.function, frame.line)).collect::<Vec<_>>();
            found.such_as.get_or_insert_with(|| told().join(" calls "));
        }
    }
    found
}

fn ours(frame: &Frame) -> bool {
    frame.file == "<string>" && !frame.function.ends_with('>')
}

/// What was aimed at, of snapshots of code that changes.
fn aim(aims: &mut Aims, version: &str, code: &str, found: &Found, samples: u64, reads: f64) {
    let most_impossible = match code {
        "web-like" => 0.0,
        "adversarial" => 0.1,
        _ => return,
    };
    let aimed = format!("Python {version}, {code}, {samples} samples");
    aims.at_most(&format!("{aimed}: impossible"), percent(found.impossible, samples), most_impossible, "%");
    if code == "web-like" {
        aims.at_most(&format!("{aimed}: cut or failed"), percent(found.failed, samples), 1.0, "%");
        aims.at_most(&format!("{aimed}: reads for a sample"), reads, 3.0, "reads");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn percent(count: u64, of: u64) -> f64 {
    count as f64 * 100.0 / of as f64
}

fn row(name: &str, samples: u64, found: &Found, effort: &str) {
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
    let micros = found.cpu.as_secs_f64() * 1e6 / samples as f64;
    println!(
        "{name:<44} {samples:>8} {:>9.4} % {:>9.3} % {effort:>24} {micros:>8.1} µs",
        percent(found.impossible, samples),
        percent(found.failed, samples),
    );
    if let Some(such_as) = &found.such_as {
        println!("{:<44} {such_as}", "  such as");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let samples = arguments.first().and_then(|word| word.parse().ok()).unwrap_or(20_000);
    let mut pythons: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if pythons.is_empty() {
        pythons.push("python3");
    }
    let pause = Stop::default();
    let mut aims = Aims::default();
    println!(
        "{:<44} {:>8} {:>11} {:>11} {:>24} {:>11}",
        "", "samples", "impossible", "cut, failed", "reads, calls, torn", "CPU"
    );
    for python in pythons {
        for (name, code) in [("asleep", ASLEEP), ("web-like", WEB_LIKE), ("adversarial", ADVERSARIAL)] {
            let program = Program::start(python, code);
            let options = Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by: By::Snapshot };
            let clock = Clock::start();
            let spy = || PySpyReader::attach(program.pid(), options, clock).expect("readable");
            let Ok((mut ours, _)) = SnapshotReader::attach(program.pid(), spy(), options, clock)
                .map_err(|refused| println!("{}", refused.why))
            else {
                continue;
            };
            let version = ours.version();
            let before = ours.effort();
            let found = watch(&mut ours, samples, &pause);
            let effort = ours.effort();
            let each = |now: u64, then: u64| {
                #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
                let each = (now - then) as f64 / samples as f64;
                each
            };
            let told = format!(
                "{:.2}, {:.2}, {:.2} %",
                each(effort.reads, before.reads),
                each(effort.calls, before.calls),
                each(effort.torn + effort.lost, before.torn + before.lost) * 100.0
            );
            row(&format!("{version} {name}, snapshots"), samples, &found, &told);
            aim(&mut aims, &version, name, &found, samples, each(effort.reads, before.reads));
            let samples = (samples / 10).min(10_000);
            row(&format!("{version} {name}, py-spy"), samples, &watch(&mut spy(), samples, &pause), "");
        }
    }
    aims.print();
}
