//! The memory of pyperf over ten million samples of a busy tree.
//!
//! A short run tells how many samples a second there are and what pyperf holds anyway; a long one is then as long as ten million
//! take, three to five minutes. What it holds most of is its log, with the peak at the end, when it is drawn.

use crate::profiler::{Profiler, Profilers, Sampled};
use crate::service::{SYNC, Site};
use crate::table::{Aims, Table};

const SAMPLES: f64 = 1e7;
/// The highest that `--rate` takes: as many samples as the machine gives.
const RATE: u32 = 20_000;
const SHORT: u32 = 10;
/// The longest that the long run may take, in seconds; what is missing of the ten million is then extrapolated.
const LONGEST: u32 = 480;

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let service = site.start(SYNC);
    let _load = service.busy();
    let sample = |seconds| profilers.sample(Profiler::Pyperf, service.pid(), RATE, seconds, site);
    let short = sample(SHORT);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a bench")]
    let seconds = (SAMPLES * f64::from(SHORT) / count(&short)).ceil() as u32;
    let long = sample(seconds.min(LONGEST));
    let each = (long.used.peak - short.used.peak) / (count(&long) - count(&short));
    let mut table = Table::new(
        "Memory of pyperf, 4 busy sync workers and their master",
        &["samples", "seconds", "peak MiB", "bytes a sample"],
    );
    for (sampled, bytes) in [(&short, String::new()), (&long, format!("{:.1}", each * 1024.0 * 1024.0))] {
        let took = format!("{:.1}", sampled.used.elapsed.as_secs_f64());
        table.row([sampled.samples.to_string(), took, format!("{:.1}", sampled.used.peak), bytes]);
    }
    table.print();
    let peak = long.used.peak + each * (SAMPLES - count(&long));
    aims.at_most("memory of pyperf over ten million samples", peak, 64.0, "MiB");
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
fn count(sampled: &Sampled) -> f64 {
    sampled.samples as f64
}
