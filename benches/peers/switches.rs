//! What an idle target notices: its voluntary context switches while it is sampled a thousand times.
//!
//! A program asleep in one long system call switches once, when it goes to sleep; every further switch was caused from outside.
//! py-spy's default stops the target for each sample, and is there to show that the count would see it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::profiler::{Profiler, Profilers};
use crate::service::Site;
use crate::support::process::{self, Process};
use crate::support::wait;
use crate::table::{Aims, Table};

const RATE: u32 = 200;
const SECONDS: u32 = 6;
/// The samples for which not a single switch may be caused.
const SAMPLES: u64 = 1000;

const ASLEEP: &str = "
import select
def deeper(levels):
    if levels:
        return deeper(levels - 1)
    select.select([], [], [], 3600)
deeper(28)
";

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let mut command = Command::new(site.python());
    command.args(["-c", ASLEEP]).stdin(Stdio::null());
    let target = Process::spawn(command);
    let pid = target.pid();
    wait::until("the target to sleep in select", Duration::from_secs(10), || asleep(pid).then_some(()));
    let mut table = Table::new(
        &format!("Voluntary context switches of an idle Python, {RATE} Hz for {SECONDS} s"),
        &["profiler", "samples", "switches", "by signals or stops"],
    );
    for profiler in [Profiler::Pyperf, Profiler::PySpy, Profiler::PySpyStopping] {
        let before = switches(pid);
        let samples = profilers.sample(profiler, pid, RATE, SECONDS, site).samples;
        let after = switches(pid);
        let [voluntary, other] = [0, 1].map(|kind| after[kind].saturating_sub(before[kind]));
        table.row([profiler.name().to_owned(), samples.to_string(), voluntary.to_string(), other.to_string()]);
        if profiler == Profiler::Pyperf {
            assert!(samples >= SAMPLES, "only {samples} samples in {SECONDS} s");
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            aims.at_most(&format!("switches caused by {samples} samples"), voluntary as f64, 0.0, "switches");
        }
    }
    table.print();
}

/// Whether the process sleeps in a `select` (the kernel's `pselect6` serves it as well).
fn asleep(pid: i32) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    process::is_alive(pid) && ["23 ", "270 "].iter().any(|number| call.starts_with(number))
}

/// The voluntary switches of all threads of a process, and the others.
fn switches(pid: i32) -> [u64; 2] {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the target lives").flatten();
    let texts: Vec<String> =
        threads.map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default()).collect();
    ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].map(|name| {
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).sum()
    })
}
