//! What sampling takes from the requests of a busy service: wrk with and without a profiler, in turns.
//!
//! A pair is one slice without and one with, next to each other, and the order changes from pair to pair. Both cores are busy,
//! so what the profiler uses is missing elsewhere; on a shared machine a single pair is off by several per cent, so the median of
//! many counts, and the middle half of them is shown as the spread. The last column is what cannot be disputed: the share of
//! the machine that the profiler itself used.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use pyperf::process::cpu;

use crate::median;
use crate::profiler::{Profiler, Profilers};
use crate::service::{GTHREAD, SYNC, Service, Site};
use crate::support::process::{self, Process};
use crate::support::temp_dir::TempDir;
use crate::table::{Aims, Table};

const PAIRS: usize = 12;
/// Seconds of each half of a pair.
const SLICE: u32 = 2;
/// What a profiler may take until it samples: py-spy needs 75 ms, all of them less than this on a busy machine.
const SETTLED: Duration = Duration::from_millis(500);

/// Who samples how often, and the share of the requests that may be missing (%); the others are only shown.
const SAMPLED: [(Profiler, u32, Option<f64>); 4] = [
    (Profiler::Pyperf, 100, Some(1.0)),
    (Profiler::Pyperf, 1000, Some(3.0)),
    (Profiler::Calls, 1000, None),
    (Profiler::PySpy, 100, None),
];

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    for shape in [SYNC, GTHREAD] {
        let service = site.start(shape);
        service.spread();
        let mut table = Table::new(
            &format!("{}: requests answered while sampled, {PAIRS} pairs of 2 × {SLICE} s", shape.name),
            &["profiler", "Hz", "requests/s without", "ratio", "middle half", "of the machine"],
        );
        for (profiler, rate, most) in SAMPLED {
            let mut pairs: Vec<Pair> = (0..PAIRS)
                .map(|number| pair(&service, number % 2 == 0, || Sampler::start(profilers, profiler, rate, &service)))
                .collect();
            pairs.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
            let of = |value: fn(&Pair) -> f64| median(pairs.iter().map(value).collect());
            let ratio = of(|pair| pair.ratio);
            table.row([
                profiler.name().to_owned(),
                rate.to_string(),
                format!("{:.0}", of(|pair| pair.plain)),
                format!("{ratio:.3}"),
                format!("{:.3}–{:.3}", pairs[PAIRS / 4].ratio, pairs[PAIRS * 3 / 4].ratio),
                format!("{:.2} %", of(|pair| pair.taken)),
            ]);
            if let Some(most) = most {
                let what = format!("requests lost, {} at {rate} Hz", shape.name);
                aims.at_most(&what, (1.0 - ratio) * 100.0, most, "%");
            }
        }
        table.print();
    }
}

/// Two slices side by side.
struct Pair {
    /// Requests in a second without a profiler.
    plain: f64,
    ratio: f64,
    /// What the profiler used of all cores, in %.
    taken: f64,
}

fn pair(service: &Service<'_>, plain_first: bool, start: impl Fn() -> Sampler) -> Pair {
    let plain = || f64::from(service.requests(SLICE));
    let sampled = || {
        let sampler = start();
        let before = sampler.used();
        let answered = f64::from(service.requests(SLICE));
        (answered, sampler.used().saturating_sub(before))
    };
    let (plain, (sampled, used)) = if plain_first {
        let plain = plain();
        (plain, sampled())
    } else {
        let sampled = sampled();
        (plain(), sampled)
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    #[expect(clippy::cast_precision_loss, reason = "the cores of a machine")]
    let capacity = cores as f64 * f64::from(SLICE);
    Pair { plain: plain / f64::from(SLICE), ratio: sampled / plain, taken: used.as_secs_f64() * 100.0 / capacity }
}

/// A profiler under way, interrupted on drop.
struct Sampler {
    process: Process,
    _folder: TempDir,
}

impl Sampler {
    fn start(profilers: &Profilers, profiler: Profiler, rate: u32, service: &Service<'_>) -> Self {
        let folder = TempDir::new();
        let process = Process::spawn(profilers.command(profiler, service.pid(), rate, None, &folder.join("samples")));
        sleep(SETTLED);
        assert!(process::is_alive(process.pid()), "{} at {rate} Hz has ended by itself", profiler.name());
        Self { process, _folder: folder }
    }

    /// CPU time so far.
    fn used(&self) -> Duration {
        cpu::used_by(self.process.pid()).unwrap_or_default()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // It writes its file within the patience; the next slice begins without it.
        if process::is_alive(self.process.pid()) {
            process::signal(self.process.pid(), Signal::SIGINT);
        }
        let _ = self.process.wait(Duration::from_secs(30));
    }
}
