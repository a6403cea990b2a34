//! How long it takes from the start of the program to the first sample of every process of a tree, read from pyperf's recording,
//! which is therefore written too. Under load the tree leaves it no free core.
//!
//! py-spy and Austin write no moments, so they are not beside it: seen from outside they take 59 to 75 ms and 15 ms.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};

use crate::child::run;
use crate::median;
use crate::profiler::{Profiler, Profilers};
use crate::service::{SYNC, Service, Site};
use crate::support::temp_dir::TempDir;
use crate::table::{Aims, Table};

const ROUNDS: usize = 10;
const RATE: u32 = 100;

/// The moment (ns) of the first sample of each worker on the wall clock (since 1970).
const FIRST: &str = "SELECT run.started + min(sample.moment) FROM run, sample JOIN thread ON thread.id = sample.thread
    JOIN process ON process.id = thread.process WHERE process.role = 'worker' GROUP BY process.id ORDER BY 1";

pub fn measure(site: &Site, profilers: &Profilers, aims: &mut Aims) {
    let service = site.start(SYNC);
    let mut table = Table::new(
        "From the start of pyperf to its first samples, 4 sync workers, ms",
        &["workers are", "first worker", "last worker", "worst"],
    );
    for state in ["idle", "busy"] {
        let _load = (state == "busy").then(|| service.busy());
        let rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| once(&service, profilers, site)).collect();
        let [first, last] = [0, 1].map(|which| median(rounds.iter().map(|round| round[which]).collect()));
        let worst = rounds.iter().map(|round| round[1]).fold(0.0, f64::max);
        let cells = [first, last, worst].map(|millis| format!("{millis:.1}"));
        table.row([state.to_owned()].into_iter().chain(cells));
        aims.at_most(&format!("from the start to a sample of each of 4 {state} workers"), last, 60.0, "ms");
    }
    table.print();
}

/// Milliseconds until the first worker, and until the last one, was sampled.
fn once(service: &Service<'_>, profilers: &Profilers, site: &Site) -> [f64; 2] {
    let folder = TempDir::new();
    let recording = folder.join("run.pyperf");
    let mut command = profilers.command(Profiler::Pyperf, service.pid(), RATE, Some(1), &folder.join("samples"));
    command.arg("--recording").arg(&recording);
    let spawned = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    run(&mut command, site.clock);
    let firsts = firsts(&recording).expect("a recording");
    assert_eq!(firsts.len(), service.workers().len(), "not every worker was sampled");
    [firsts[0], firsts[firsts.len() - 1]].map(|first| first.saturating_sub(spawned).as_secs_f64() * 1e3)
}

fn firsts(recording: &Path) -> rusqlite::Result<Vec<Duration>> {
    let connection = Connection::open_with_flags(recording, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut query = connection.prepare(FIRST)?;
    let rows = query.query_map([], |row| row.get::<_, i64>(0))?;
    rows.map(|nanos| Ok(Duration::from_nanos(nanos?.cast_unsigned()))).collect()
}
