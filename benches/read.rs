//! The cost of one sample: a sleeping Python, 30 frames deep, read by pyperf and by the py-spy library in the same run.
//! `cargo bench --bench read` (needs a `python3`; as root, or with `kernel.yama.ptrace_scope` at 0 or 1: it is our child)

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use py_spy::config::LockingStrategy;
use pyperf::clock::Clock;
use pyperf::recording::Mode;
use pyperf::stack::pyspy::PySpyReader;
use pyperf::stack::{By, Line, Options, StackReader};

const SLEEPER: &str = "
import time
def deeper(levels):
    if levels:
        return deeper(levels - 1)
    print('ready', flush=True)
    time.sleep(3600)
deeper(28)
";

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut child =
            Command::new("python3").args(["-c", SLEEPER]).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says that it is ready");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("pids fit")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(criterion: &mut Criterion) {
    let sleeper = Sleeper::start();
    let mut group = criterion.benchmark_group("read 30 frames");
    for (name, mode, blocking) in [
        ("non-blocking", Mode::NonBlocking, LockingStrategy::NonBlocking),
        ("blocking", Mode::Blocking, LockingStrategy::Lock),
    ] {
        let options = Options { mode, line: Line::Current, locals: 0, by: By::PySpy };
        let mut ours = PySpyReader::attach(sleeper.pid(), options, Clock::start()).expect("readable");
        group.bench_function(format!("pyperf, {name}"), |bencher| {
            bencher.iter(|| black_box(ours.read().expect("readable")));
        });
        let config = py_spy::Config { blocking, ..py_spy::Config::default() };
        let mut peer = py_spy::PythonSpy::new(sleeper.pid(), &config).expect("readable");
        group.bench_function(format!("py-spy, {name}"), |bencher| {
            bencher.iter(|| black_box(peer.get_stack_traces().expect("readable")));
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
