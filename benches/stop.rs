//! What Ctrl+C waits for: from the request to stop a sampler that holds one million samples to the SVG in its place. The
//! median of three runs; each first collects its samples, which takes most of the minute. `cargo bench --bench stop`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]
#![expect(clippy::print_stdout, reason = "the result of a bench")]

mod shared;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use pyperf::clock::Clock;
use pyperf::process::tree::{Follow, ProcessTree};
use pyperf::recording::{Run, State, ThreadStack};
use pyperf::report::{Format, Report};
use pyperf::sampler::{Options, Sampler};
use pyperf::stack::{ReadError, Reader, StackReader};
use pyperf::stop::{Stop, StopReason};
use shared::{SAMPLES, STACKS, frames, run, view};

/// A process of 100 running threads, which shows each of the distinct stacks once in 50 reads.
#[derive(Default)]
struct ManyThreads {
    reads: u32,
}

impl StackReader for ManyThreads {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.reads += 1;
        let thread = |ident: u32| ThreadStack {
            ident: ident.into(),
            stack: frames((self.reads * 100 + ident) % STACKS).into_iter().map(Arc::new).collect(),
            state: State::Running,
            gil: true,
            ..ThreadStack::default()
        };
        Ok((0..100).map(thread).collect())
    }
}

/// A Python for the sampler to follow; what it reads there is made up.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time from the request to stop until the SVG is in its place.
fn stop_to_file(file: &Path) -> Duration {
    let sleep = "import time; time.sleep(3600)";
    let sleeper = Sleeper(Command::new("python3").args(["-c", sleep]).spawn().expect("python3 starts"));
    let tree = ProcessTree::new(vec![sleeper.0.id().cast_signed()], Follow::RootsOnly);
    let opener = Box::new(|_| {
        Ok(Reader { stacks: Box::new(ManyThreads::default()), python: "3.11.7".into(), instead: None, names: None })
    });
    let (clock, stop) = (Clock::start(), Stop::default());
    let options = Options { run: Run { rate: 2000, ..run() }, duration: None, file: None };
    let sampler = Sampler::start(tree, opener, options, clock, &stop).expect("it starts");
    while sampler.progress().samples < u64::from(SAMPLES) {
        assert_eq!(stop.wait(Duration::from_millis(1)), None);
    }
    let asked = clock.now();
    stop.request(StopReason::Interrupted);
    let outcome = sampler.finish().expect("the recorder works");
    let mut to = BufWriter::new(File::create(file).expect("a file for temporary data"));
    Report::of(&outcome.recording, view()).write(Format::Flamegraph, &mut to).expect("the disk has room");
    to.flush().expect("the disk has room");
    clock.now().since(asked)
}

fn main() {
    let file = std::env::temp_dir().join(format!("pyperf-bench-{}.svg", std::process::id()));
    let mut times: Vec<Duration> = (0..3).map(|_| stop_to_file(&file)).collect();
    let _ = std::fs::remove_file(&file);
    times.sort_unstable();
    println!(
        "from the request to stop to the written flamegraph, one million samples: {times:.0?}, median {:.0?}",
        times[1]
    );
}
