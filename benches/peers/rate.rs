//! The rate that is sustained over four busy workers, and what it takes of a core.

use crate::median;
use crate::profiler::{Profiler, Profilers, collapsed};
use crate::service::{SYNC, Site};
use crate::table::{Aims, Table};

const ROUNDS: usize = 3;
const SECONDS: u32 = 10;
const RATE: u32 = 10_000;

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let service = site.start(SYNC);
    let _load = service.busy();
    let (mut lowest, mut busy, mut starved) = (Vec::new(), Vec::new(), Vec::new());
    let mut rates = vec![Vec::new(); service.workers().len()];
    for _ in 0..ROUNDS {
        let run = profilers.sample(Profiler::Pyperf, service.pid(), RATE, SECONDS, site);
        let of = |pid: &i32| {
            let frame = format!("worker {pid};");
            let samples = collapsed(run.text.lines().filter(|line| line.contains(&frame)));
            #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
            let rate = samples as f64 / f64::from(SECONDS);
            rate
        };
        let reached: Vec<f64> = service.workers().iter().map(of).collect();
        lowest.push(reached.iter().copied().fold(f64::INFINITY, f64::min));
        rates.iter_mut().zip(reached).for_each(|(rates, reached)| rates.push(reached));
        let of_a_core = |time: std::time::Duration| time.as_secs_f64() * 100.0 / f64::from(SECONDS);
        busy.push(of_a_core(run.used.cpu));
        starved.push(of_a_core(run.used.waited));
    }
    let (lowest, busy) = (median(lowest), median(busy));
    let mut table = Table::new(
        &format!("{RATE} Hz asked of pyperf over 4 busy sync workers for {SECONDS} s"),
        &["", "worker 1", "worker 2", "worker 3", "worker 4", "CPU of a core", "waited for one"],
    );
    let cells = rates.into_iter().map(|rates| format!("{:.0} Hz", median(rates)));
    let taken = [busy, median(starved)].map(|share| format!("{share:.0} %"));
    table.row(["median".to_owned()].into_iter().chain(cells).chain(taken));
    table.print();
    let missing = 100.0 - lowest * 100.0 / f64::from(RATE);
    aims.at_most(&format!("samples missing of {RATE} Hz"), missing, 1.0, "%");
    aims.at_most(&format!("CPU of pyperf at {RATE} Hz"), busy, 25.0, "% of a core");
}
