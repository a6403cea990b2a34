//! CPU time for each sample, of the whole program, over four busy workers and their master.
//!
//! The start of a program is not what a sample costs: each profiler runs for short and for long, and what counts is the
//! difference.

use crate::median;
use crate::profiler::{Beyond, Profiler, Profilers, Sampled};
use crate::service::{SYNC, Site};
use crate::table::{Aims, Table};

const ROUNDS: usize = 3;
/// Seconds of a short and of a long run.
const SECONDS: [u32; 2] = [1, 5];
/// The master and its workers.
const PROCESSES: f64 = 5.0;

const COMPARED: [(Profiler, u32); 12] = [
    (Profiler::Pyperf, 100),
    (Profiler::Calls, 100),
    (Profiler::PySpy, 100),
    (Profiler::Pyperf, 1000),
    (Profiler::Calls, 1000),
    (Profiler::PySpy, 1000),
    (Profiler::Austin3, 1000),
    (Profiler::Austin4, 1000),
    (Profiler::Pyperf, 10_000),
    (Profiler::Calls, 10_000),
    (Profiler::Austin3, 10_000),
    (Profiler::Austin4, 10_000),
];

/// What Austin 4 took of what 3.7 took when both were measured side by side, at 1 kHz (60 of 94 µs) and at 10 kHz (36 of 56 µs):
/// for where only 3.7 can be had.
const FOUR_OF_THREE: [(u32, f64); 2] = [(1000, 60.0 / 94.0), (10_000, 36.0 / 56.0)];

/// One figure of one profiler at one rate, a value for each round.
#[derive(Clone, Default)]
struct Figures {
    micros: Vec<f64>,
    reached: Vec<f64>,
    busy: Vec<f64>,
    peak: Vec<f64>,
}

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let service = site.start(SYNC);
    let _load = service.busy();
    let compared: Vec<(Profiler, u32)> =
        COMPARED.into_iter().filter(|(profiler, _)| profilers.has(*profiler)).collect();
    let mut figures = vec![Figures::default(); compared.len()];
    for _ in 0..ROUNDS {
        for ((profiler, rate), figures) in compared.iter().zip(&mut figures) {
            figures.round(|seconds| profilers.sample(*profiler, service.pid(), *rate, seconds, site));
        }
    }
    let micros: Vec<((Profiler, u32), f64)> =
        compared.iter().zip(&figures).map(|(key, figures)| (*key, median(figures.micros.clone()))).collect();
    print(&micros, &figures);
    aim(&micros, aims);
}

impl Figures {
    fn round(&mut self, sample: impl Fn(u32) -> Sampled) {
        let [short, long] = SECONDS.map(sample);
        let beyond = Beyond::of([&short, &long]);
        self.micros.push(beyond.micros_each());
        self.reached.push(beyond.rate() / PROCESSES);
        self.busy.push(beyond.of_a_core());
        self.peak.push(long.used.peak);
    }
}

fn print(micros: &[((Profiler, u32), f64)], figures: &[Figures]) {
    let mut table = Table::new(
        "CPU for each sample of a process, 4 busy sync workers and their master",
        &["profiler", "asked Hz", "reached", "of a core", "µs/sample", "lowest", "highest", "peak MiB"],
    );
    for (((profiler, rate), micros), figures) in micros.iter().zip(figures) {
        let [reached, busy, peak] =
            [&figures.reached, &figures.busy, &figures.peak].map(|values| median(values.clone()));
        let lowest = figures.micros.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = figures.micros.iter().copied().fold(0.0, f64::max);
        table.row([
            profiler.name().to_owned(),
            rate.to_string(),
            format!("{reached:.0}"),
            format!("{busy:.1} %"),
            format!("{micros:.1}"),
            format!("{lowest:.1}"),
            format!("{highest:.1}"),
            format!("{peak:.1}"),
        ]);
    }
    table.print();
}

fn aim(micros: &[((Profiler, u32), f64)], aims: &mut Aims) {
    let of = |profiler, rate| micros.iter().find(|(key, _)| *key == (profiler, rate)).map(|(_, micros)| *micros);
    for rate in [100, 1000, 10_000] {
        let Some(ours) = of(Profiler::Pyperf, rate) else { continue };
        if let Some(py_spy) = of(Profiler::PySpy, rate) {
            aims.at_most(&format!("CPU for each sample at {rate} Hz"), ours / py_spy, 0.033, "of py-spy's");
        }
        if let Some(austin) = of(Profiler::Austin4, rate) {
            aims.at_most(&format!("CPU for each sample at {rate} Hz"), ours / austin, 0.5, "of Austin 4's");
            continue;
        }
        let scale = FOUR_OF_THREE.iter().find(|(at, _)| *at == rate);
        if let (Some(austin), Some((_, scale))) = (of(Profiler::Austin3, rate), scale) {
            let what = format!("CPU for each sample at {rate} Hz, Austin 4 scaled from 3.7 by {scale:.2}");
            aims.at_most(&what, ours / (austin * scale), 0.5, "of Austin 4's");
        }
    }
}
