//! How long it takes from the start of the program to its first request.

use std::process::Stdio;
use std::time::Duration;

use pyperf::clock::Clock;

use crate::driver::{Scratch, command};
use crate::server::Notary;
use crate::table::{Aims, Table};
use crate::{Peers, ROUNDS, median};

/// The first user arrives one interval after the start, so the interval is short.
const PHASE: &str = "{ duration: 1, arrivalRate: 1000 }";

pub fn measure(peers: &Peers, aims: &mut Aims) {
    let clock = Clock::start();
    let names = ["wrk", "oha", "pyperf"];
    let mut millis = vec![Vec::new(); names.len()];
    for _ in 0..3 * ROUNDS {
        for (name, millis) in names.iter().zip(&mut millis) {
            millis.push(once(peers, name, clock).as_secs_f64() * 1e3);
        }
    }
    let mut table =
        Table::new("From the start of the program to its first request", &["driver", "median ms", "worst ms"]);
    for (name, millis) in names.iter().zip(&millis) {
        let worst = millis.iter().copied().fold(0.0, f64::max);
        table.row([(*name).to_owned(), format!("{:.1}", median(millis.clone())), format!("{worst:.1}")]);
    }
    table.print();
    aims.at_most("first request of pyperf", median(millis[2].clone()), 50.0, "ms");
}

fn once(peers: &Peers, name: &str, clock: Clock) -> Duration {
    let notary = Notary::start(clock);
    let target = notary.target();
    let script = Scratch::new("first.yaml", &script(&target));
    let mut command = match name {
        "wrk" => command(&peers.wrk, ["-t1", "-c1", "-d1s", &target]),
        "oha" => command(&peers.oha, ["--no-tui", "-n", "1", "-c", "1", &target]),
        _ => command(&peers.pyperf, ["run".as_ref(), "--quiet".as_ref(), script.path().as_os_str()]),
    };
    let began = clock.now();
    let mut child = command.stdout(Stdio::null()).spawn().expect("taskset");
    let asked = notary.request(Duration::from_secs(5));
    let _ = child.kill();
    let _ = child.wait();
    asked.unwrap_or_else(|| panic!("{name} has sent no request")).since(began)
}

fn script(target: &str) -> String {
    format!("config:\n  target: {target}\n  phases: [{PHASE}]\nscenarios:\n  - flow:\n      - get: {{ url: / }}\n")
}
