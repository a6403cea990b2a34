//! What 64 workers cost at 100 Hz, most of them asleep: all of them, and while four connections wake them up. Each new connection
//! wakes every sync worker that waits for one, so that beside the few at work there are always some that have just looked.

use crate::median;
use crate::profiler::{Beyond, Profiler, Profilers};
use crate::service::{MANY, Site};
use crate::table::{Aims, Table};

const RATE: u32 = 100;
const ROUNDS: usize = 3;
/// Seconds of a short and of a long run; what a second costs is the difference.
const SECONDS: [u32; 2] = [1, 6];

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let service = site.start(MANY);
    let mut table = Table::new(
        &format!("{} workers and their master at {RATE} Hz", service.workers().len()),
        &["workers are", "of a core", "lowest", "highest", "samples/s"],
    );
    for state in ["idle", "woken by 4 connections"] {
        let _load = (state != "idle").then(|| service.busy());
        let run = |seconds| profilers.sample(Profiler::Pyperf, service.pid(), RATE, seconds, site);
        let rounds: Vec<Beyond> = (0..ROUNDS).map(|_| Beyond::of(SECONDS.map(run).each_ref())).collect();
        let shares = || rounds.iter().map(Beyond::of_a_core);
        let share = median(shares().collect());
        let cells = [share, shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max)];
        let cells = cells.map(|share| format!("{share:.1} %"));
        let samples = format!("{:.0}", median(rounds.iter().map(Beyond::rate).collect()));
        table.row([state.to_owned()].into_iter().chain(cells).chain([samples]));
        aims.at_most(&format!("CPU for 64 workers at {RATE} Hz, {state}"), share, 5.0, "% of a core");
    }
    table.print();
}
