//! How late users arrive, while a core is free: as pyperf itself says, and as a server sees it.
//!
//! The server knows neither the plan nor the driver's clock. It compares the moments at which connections came with a grid of
//! the rate's spacing, laid so that the earliest one is on time; what it adds of its own (a wake-up, an accept) is in its figure.

use std::fs;
use std::time::Duration;

use pyperf::clock::{Clock, Moment};
use serde_json::Value;

use crate::child::run;
use crate::driver::{Scratch, command};
use crate::server::Notary;
use crate::table::{Aims, Table};
use crate::{Peers, ROUNDS, median};

const RATES: [u64; 3] = [50, 1000, 5000];
const SECONDS: u64 = 4;

pub fn measure(peers: &Peers, aims: &mut Aims) {
    let mut table = Table::new(
        "Lateness of users, each one GET on a connection of its own",
        &["users/s", "p50 µs", "p99 µs", "max µs", "server: p50 µs", "p99 µs", "max µs", "others ran ms"],
    );
    for rate in RATES {
        let mut columns = vec![Vec::new(); 7];
        for _ in 0..ROUNDS {
            for (column, value) in columns.iter_mut().zip(once(peers, rate)) {
                column.push(value);
            }
        }
        let medians: Vec<f64> = columns.into_iter().map(median).collect();
        table.row([rate.to_string()].into_iter().chain(medians.iter().map(|value| format!("{value:.0}"))));
        aims.at_most(&format!("lateness p99 at {rate} users/s, by pyperf"), medians[1] / 1e3, 1.0, "ms");
        aims.at_most(&format!("lateness p99 at {rate} users/s, by the server"), medians[4] / 1e3, 1.0, "ms");
    }
    table.print();
}

/// Median, p99 and maximum in microseconds, by pyperf and by the server; and for how many milliseconds others ran on its CPU.
fn once(peers: &Peers, rate: u64) -> [f64; 7] {
    let clock = Clock::start();
    let notary = Notary::start(clock);
    let script = Scratch::new("arrivals.yaml", &script(&notary.target(), rate));
    let json = Scratch::new("arrivals.json", "");
    let (script, output) = (script.path().as_os_str(), json.path().as_os_str());
    let arguments =
        ["run".as_ref(), "--quiet".as_ref(), "--fail-on-errors".as_ref(), "--output".as_ref(), output, script];
    let used = run(&mut command(&peers.pyperf, arguments), clock);
    let told: Value = serde_json::from_slice(&fs::read(json.path()).expect("a file")).expect("JSON");
    let summary = &told["pyperf"]["lateness"]["summary"];
    let micros = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("no {key} in {summary}")) * 1e3;
    let seen = lateness(&notary.accepted(), rate);
    let seen_at = |quantile: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((seen.len() - 1) as f64 * quantile) as usize;
        seen[index]
    };
    [
        micros("p50"),
        micros("p99"),
        micros("max"),
        seen_at(0.5),
        seen_at(0.99),
        seen_at(1.0),
        used.waited.as_secs_f64() * 1e3,
    ]
}

/// How late each connection came, in microseconds, in order of lateness.
fn lateness(moments: &[Moment], rate: u64) -> Vec<f64> {
    assert_eq!(moments.len() as u64, rate * SECONDS, "connections that the server has seen");
    let places = (0..).zip(moments);
    let behind: Vec<i64> =
        places.map(|(place, at)| nanos(at.as_nanos()) - place * nanos(1_000_000_000 / rate)).collect();
    let earliest = behind.iter().copied().min().unwrap_or_default();
    let mut late: Vec<f64> =
        behind.iter().map(|behind| Duration::from_nanos(behind.abs_diff(earliest)).as_secs_f64() * 1e6).collect();
    late.sort_by(f64::total_cmp);
    late
}

fn nanos(count: u64) -> i64 {
    i64::try_from(count).expect("less than 292 years")
}

fn script(target: &str, rate: u64) -> String {
    format!(
        "config:\n  target: {target}\n  phases: [{{ duration: {SECONDS}, arrivalRate: {rate} }}]\n\
         scenarios:\n  - flow:\n      - get: {{ url: / }}\n"
    )
}
