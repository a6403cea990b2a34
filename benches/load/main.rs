//! What a load costs the machine that sends it, beside wrk and oha: `cargo bench --bench load`, or a part of it by name:
//! `cargo bench --bench load -- cost first arrivals memory`.
//!
//! The server has CPU 0 and the driver CPU 1, so a driver is measured alone and never takes the server's time. Every driver has
//! its turn in every round, and a figure is the median of three rounds: what else the machine does hits all of them alike. Run it
//! as root on a machine that others use: server and drivers then come before them (real-time priority).
//! Nothing is installed: a peer that is missing is named with the command that installs it.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its figures, looks for its peers, and says that it cannot run by failing"
)]

mod arrivals;
#[path = "../shared/child.rs"]
mod child;
#[path = "../../tests/integration/support/cores.rs"]
mod cores;
mod cost;
mod driver;
mod first;
mod memory;
mod server;
#[path = "../shared/table.rs"]
mod table;

use std::path::PathBuf;

use crate::child::tool;

/// Rounds; a figure is the median of so many.
const ROUNDS: usize = 3;
/// The connections that a driver and its server may hold.
const OPEN_FILES: u64 = 12_000;

/// The programs that are compared.
struct Peers {
    pyperf: PathBuf,
    oha: PathBuf,
    wrk: PathBuf,
    nginx: PathBuf,
}

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let peers = Peers {
        pyperf: PathBuf::from(env!("CARGO_BIN_EXE_pyperf")),
        oha: tool("oha", "cargo install oha --locked --no-default-features --features rustls"),
        wrk: tool("wrk", "apt-get install wrk"),
        nginx: tool("nginx", "apt-get install nginx-light"),
    };
    driver::prepare(OPEN_FILES);
    let mut aims = table::Aims::default();
    if wanted("cost") {
        cost::measure(&peers, &mut aims);
    }
    if wanted("first") {
        first::measure(&peers, &mut aims);
    }
    if wanted("arrivals") {
        arrivals::measure(&peers, &mut aims);
    }
    if wanted("memory") {
        memory::measure(&peers, &mut aims);
    }
    aims.print();
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
