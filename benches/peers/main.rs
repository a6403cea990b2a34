//! What sampling a gunicorn tree costs, beside py-spy and Austin: `cargo bench --bench peers`, or a part of it by name:
//! `cargo bench --bench peers -- cost rate throughput switches start many memory`. As root, or where `kernel.yama.ptrace_scope` is 0.
//! All of it takes some 25 minutes.
//!
//! Every profiler is a whole program on the same busy tree: four sync workers of gunicorn (for throughput also threads), a
//! request of 10 ms through 22 frames, wrk on loopback. They take turns in every round, and a figure is the median of the
//! rounds: what else the machine does hits all of them alike. Beside them stand the bare system calls of a
//! sample, which show what is left to be saved ([`calls`]). Python, gunicorn, py-spy and both Austins come with pip into
//! `target/python-envs`. Austin 4 wants a newer C library than Debian 12 has; see [`austin`].
//!
//! CPython 3.15's own `profiling.sampling` is left out: it reads no other Python than its own, and the target is a 3.11.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures, looks for its peers, and says that it cannot run by failing"
)]

mod austin;
mod calls;
#[path = "../shared/child.rs"]
mod child;
mod cost;
mod many;
mod memory;
mod profiler;
mod rate;
mod service;
mod session;
mod start;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/integration/support/mod.rs"]
mod support;
mod switches;
#[path = "../shared/table.rs"]
mod table;
mod throughput;

use crate::profiler::Profilers;
use crate::service::Site;
use crate::support::cores;
use crate::table::Aims;

/// A part of the bench.
type Measure = fn(&Site, &Profilers, &mut Aims);

const PARTS: [(&str, Measure); 7] = [
    ("cost", cost::measure),
    ("rate", rate::measure),
    ("throughput", throughput::measure),
    ("switches", switches::measure),
    ("start", start::measure),
    ("many", many::measure),
    ("memory", memory::measure),
];

fn main() {
    if calls::serve(&std::env::args().skip(1).collect::<Vec<_>>()) {
        return;
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let unknown = asked.iter().find(|word| PARTS.iter().all(|(name, _)| name != word));
    assert!(unknown.is_none(), "there is no part {unknown:?}");
    session::lead();
    let (site, profilers) = (Site::prepare(), Profilers::install());
    let mut aims = Aims::default();
    for (name, measure) in PARTS {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            measure(&site, &profilers, &mut aims);
        }
    }
    aims.print();
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
