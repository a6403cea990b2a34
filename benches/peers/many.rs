//! What 64 workers cost at 100 Hz, most of them asleep: all of them, and while four connections wake them up. Each new connection
//! wakes every sync worker that waits for one, so that beside the few at work there are always some that have just looked.

use crate::median;
use crate::profiler::{Profiler, Profilers};
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
        let rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| {
                let run = |seconds| profilers.sample(Profiler::Pyperf, service.pid(), RATE, seconds, site);
                let [short, long] = SECONDS.map(run);
                let elapsed = long.used.elapsed.saturating_sub(short.used.elapsed).as_secs_f64();
                let cpu = long.used.cpu.saturating_sub(short.used.cpu).as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
                let samples = long.samples.saturating_sub(short.samples) as f64;
                [cpu * 100.0 / elapsed, samples / elapsed]
            })
            .collect();
        let of = |which: usize| rounds.iter().map(move |round| round[which]);
        let share = median(of(0).collect());
        let (lowest, highest) = (of(0).fold(f64::INFINITY, f64::min), of(0).fold(0.0, f64::max));
        let cells = [share, lowest, highest].map(|share| format!("{share:.1} %"));
        let samples = format!("{:.0}", median(of(1).collect()));
        table.row([state.to_owned()].into_iter().chain(cells).chain([samples]));
        aims.at_most(&format!("CPU for 64 workers at {RATE} Hz, {state}"), share, 5.0, "% of a core");
    }
    table.print();
}
