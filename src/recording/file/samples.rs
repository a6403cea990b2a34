//! Reads samples, and what their threads waited for.
//!
//! Apart from the other tables because this one is long and has changed: before schema 5 a sample knew neither CPU time nor
//! what was waited for, and of the states the first three. As everywhere in this module, nothing is believed.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::super::{Detail, Recording, Sample, State, Wait};
use super::read::{Fault, damaged, moment};
use crate::interned::Id;

/// The first schema that has them all.
const FINE: i32 = 5;
/// How many states the schemas before it had.
const COARSE_STATES: usize = 3;
/// As much CPU time as samples may have used in all, in microseconds: centuries, and a sum that every reader can hold.
const MOST_CPU: u64 = 1 << 53;

/// Reads both tables; threads and stacks are there already.
pub(super) fn read(from: &Connection, schema: i32, recording: &mut Recording) -> Result<(), Fault> {
    recording.detail = if schema < FINE { Detail::Coarse } else { Detail::Fine };
    let (columns, states) = match recording.detail {
        Detail::Coarse => ("NULL, NULL", &State::ALL[..COARSE_STATES]),
        Detail::Fine => {
            read_waits(from, recording)?;
            ("wait, cpu", &State::ALL[..])
        }
    };
    let mut query =
        from.prepare(&format!("SELECT moment, thread, stack, state, gil, {columns} FROM sample ORDER BY rowid"))?;
    let mut rows = query.query([])?;
    let mut cpu = Duration::ZERO;
    while let Some(row) = rows.next()? {
        let sample = sample(row, states)?;
        cpu = cpu.saturating_add(sample.cpu);
        let known = recording.threads.get(sample.thread).is_some()
            && recording.stacks.stacks().get(sample.stack).is_some()
            && sample.wait.is_none_or(|wait| recording.waits.get(wait).is_some());
        if !known {
            return Err(damaged("a sample has no thread, no stack, or waits for what is not there"));
        }
        if cpu > Duration::from_micros(MOST_CPU) {
            return Err(damaged("its samples used more CPU time than there is"));
        }
        if !recording.samples.push(sample) {
            return Err(damaged("it holds more samples than fit"));
        }
    }
    Ok(())
}

fn sample(row: &Row<'_>, states: &[State]) -> Result<Sample, Fault> {
    let state = states.get(usize::from(row.get::<_, u8>(3)?)).copied();
    let state = state.ok_or_else(|| damaged("a sample has an unknown state"))?;
    let (wait, cpu): (Option<u32>, Option<i64>) = (row.get(5)?, row.get(6)?);
    if wait.is_some() && state != State::Waiting || cpu.is_some() && state != State::Running {
        return Err(damaged(format!("a sample that is {} waits for something or used CPU time", state.name())));
    }
    let cpu = u64::try_from(cpu.unwrap_or(0)).map_err(|_| damaged("a sample used less than no CPU time"))?;
    Ok(Sample {
        moment: moment(row.get(0)?),
        thread: Id::from_index(row.get(1)?),
        stack: Id::from_index(row.get(2)?),
        state,
        gil: row.get(4)?,
        wait: wait.map(Id::from_index),
        cpu: Duration::from_micros(cpu),
    })
}

fn read_waits(from: &Connection, recording: &mut Recording) -> Result<(), Fault> {
    let mut query = from.prepare("SELECT id, call, what FROM wait ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (id, call, on): (u32, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let wait = Wait { call: call.into(), on: on.map(Into::into) };
        if recording.waits.intern(wait).index() != id {
            return Err(damaged(format!("wait {id} has the wrong number")));
        }
    }
    Ok(())
}
