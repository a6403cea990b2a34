//! A reader of recordings, to look into one while pyperf still writes it, and to count states afterwards.
//!
//! Written from the documentation of the tables and without pyperf's own reader, so that the documentation is tested too.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// One thread of one process at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub pid: i32,
    pub role: String,
    pub state: State,
    /// What it waited for, where that is known: the call, and what it was on.
    pub wait: Option<(String, Option<String>)>,
    /// CPU time since it was last seen running.
    pub cpu: Duration,
    /// The last parts of the functions' names, outermost first.
    pub functions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Waiting,
    Idle,
    Runnable,
    GilWait,
}

/// By their numbers.
const STATES: [State; 5] = [State::Running, State::Waiting, State::Idle, State::Runnable, State::GilWait];

impl Sample {
    /// Whether the function is anywhere on the stack.
    pub fn is_inside(&self, function: &str) -> bool {
        self.functions.iter().any(|found| found == function)
    }
}

/// What the CPU clock of a process said.
#[derive(Clone, Copy, Debug)]
pub struct CpuReading {
    pub pid: i32,
    pub used: Duration,
}

/// All samples of a recording, and what they cost.
#[derive(Debug)]
pub struct Recording {
    pub samples: Vec<Sample>,
    /// In the order of time.
    pub cpu: Vec<CpuReading>,
    pub length: Duration,
    pub sampler_cpu: Duration,
}

impl Recording {
    /// Reads all of it; panics if it is not what the documentation says.
    pub fn read(path: &Path) -> Recording {
        let connection = open(path).expect("the recording opens");
        let stacks = stacks(&connection).expect("the stacks are readable");
        let mut query = connection
            .prepare(
                "SELECT pid, role, state, stack, call, what, sample.cpu FROM sample JOIN thread ON thread.id = thread
                 JOIN process ON process.id = process LEFT JOIN wait ON wait.id = wait",
            )
            .expect("the tables are there");
        let rows = query.query_map([], |row| {
            let stack: i64 = row.get(3)?;
            let state = STATES[usize::from(row.get::<_, u8>(2)?)];
            let (call, what): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
            Ok(Sample {
                pid: row.get(0)?,
                role: row.get(1)?,
                state,
                wait: call.map(|call| (call, what)),
                cpu: Duration::from_micros(u64::from(row.get::<_, Option<u32>>(6)?.unwrap_or(0))),
                functions: stacks[&stack].clone(),
            })
        });
        let samples = rows.and_then(Iterator::collect).expect("the samples are readable");
        let cpu = cpu(&connection).expect("the CPU times are readable");
        let [length, sampler_cpu] = ["length", "sampler_cpu"].map(|column| {
            let asked = connection.query_row(&format!("SELECT {column} FROM run"), [], |row| row.get(0));
            nanos(asked.expect("the run is described"))
        });
        Recording { samples, cpu, length, sampler_cpu }
    }

    /// The share, 0 to 1, of the samples that belong which are in this state. Panics if none belongs.
    pub fn share(&self, state: State, belongs: impl Fn(&Sample) -> bool) -> f64 {
        self.share_in(&[state], belongs)
    }

    /// As [`Recording::share`], of the samples that were on a core or ready for one: how many got one depends on the machine.
    pub fn share_at_work(&self, belongs: impl Fn(&Sample) -> bool) -> f64 {
        self.share_in(&[State::Running, State::Runnable], belongs)
    }

    fn share_in(&self, states: &[State], belongs: impl Fn(&Sample) -> bool) -> f64 {
        let belonging: Vec<&Sample> = self.samples.iter().filter(|sample| belongs(sample)).collect();
        assert!(!belonging.is_empty(), "there are no such samples");
        let part = belonging.iter().filter(|sample| states.contains(&sample.state)).count();
        let [part, all] =
            [part, belonging.len()].map(|count| f64::from(u32::try_from(count).expect("a test is short")));
        part / all
    }
}

/// The answer of a recording that may still be growing to a question for one number; `None` as long as there is none.
pub fn ask(path: &Path, question: &str) -> Option<i64> {
    // Before the first second is over there may be no file, or no table in it.
    open(path).ok()?.query_row(question, [], |row| row.get(0)).ok()
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn cpu(connection: &Connection) -> rusqlite::Result<Vec<CpuReading>> {
    let mut query =
        connection.prepare("SELECT pid, used FROM cpu JOIN process ON process.id = process ORDER BY moment")?;
    let rows = query.query_map([], |row| Ok(CpuReading { pid: row.get(0)?, used: nanos(row.get(1)?) }))?;
    rows.collect()
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.try_into().expect("no length is negative"))
}

fn stacks(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Vec<String>>> {
    let mut stacks = BTreeMap::from([(0, Vec::new())]);
    let mut query = connection
        .prepare("SELECT stack.id, caller, function FROM stack JOIN frame ON frame.id = frame ORDER BY stack.id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (id, caller, function): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // From Python 3.11 on names are qualified, as in `SyncWorker.handle`.
        let name = function.rsplit('.').next().unwrap_or_default().to_owned();
        let functions = stacks[&caller].iter().cloned().chain([name]).collect();
        stacks.insert(id, functions);
    }
    Ok(stacks)
}
