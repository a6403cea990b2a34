//! Reads when requests were under way and users active: the few columns that the analysis puts beside samples.
//!
//! Apart from the replay, which sums rows up and keeps none: these are kept, within bounds. As everywhere in this module,
//! nothing is believed.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::super::traffic::flights::{Flight, Flights};
use super::FileError;
use super::read::{Fault, damaged, moment, open, unsigned};
use super::replay::read_endpoints;

/// The code of a request that waited as long as it may.
const TIMED_OUT: &str = "ETIMEDOUT";

/// Reads the requests and users of a recording; `None` when no load was recorded in it.
///
/// # Errors
///
/// When the file is missing, is no recording, comes from another version, or contradicts itself.
pub fn read_flights(path: &Path) -> Result<Option<Flights>, FileError> {
    let (connection, schema) = open(path)?;
    if schema < 3 {
        return Ok(None);
    }
    read(&connection, Flights::MOST).map_err(|fault| fault.of(path))
}

fn read(from: &Connection, most: usize) -> Result<Option<Flights>, Fault> {
    let mut query = from.prepare("SELECT lost, ended FROM load")?;
    let mut rows = query.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (mut missing, over) = (unsigned(row.get(0)?), row.get::<_, i64>(1)?);
    let endpoints = read_endpoints(from)?;
    let query = "SELECT done, sent, due + queued, endpoint, status, error FROM request ORDER BY rowid";
    let (requests, beyond) = bounded(from, query, most, |row| request(row, endpoints.len()))?;
    missing = missing.saturating_add(beyond);
    // Who was skipped was never active; who was active when the writing ended was so until then.
    let query = "SELECT began, ended FROM user WHERE state <> 'skipped' ORDER BY began";
    let (users, beyond) = bounded(from, query, most, |row| {
        Ok((moment(row.get(0)?), moment(row.get::<_, Option<i64>>(1)?.unwrap_or(over))))
    })?;
    missing = missing.saturating_add(beyond);
    Ok(Some(Flights { requests, users, endpoints, missing }))
}

/// So many rows at most, and how many there are beyond them.
fn bounded<T>(
    from: &Connection,
    query: &str,
    most: usize,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<(Vec<T>, u64), Fault> {
    let mut query = from.prepare(query)?;
    let mut rows = query.query([])?;
    let (mut all, mut beyond) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if all.len() < most { all.push(read(row)?) } else { beyond += 1 }
    }
    Ok((all, beyond))
}

fn request(row: &Row<'_>, endpoints: usize) -> Result<Flight, Fault> {
    let (done, sent) = (moment(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(moment));
    let (endpoint, status): (u32, Option<u16>) = (row.get(3)?, row.get(4)?);
    let error: Option<String> = row.get(5)?;
    if endpoint as usize >= endpoints || sent.is_some_and(|sent| sent > done) {
        return Err(damaged("a request has no endpoint, or ended before it was sent"));
    }
    // Who timed out while connecting waited too.
    let tried = || (error.as_deref() == Some(TIMED_OUT)).then_some(row.get::<_, i64>(2));
    let began = match (sent, tried().transpose()?) {
        (Some(sent), _) => sent,
        (None, Some(tried)) => moment(tried).min(done),
        (None, None) => done,
    };
    let failed = error.is_some() || status.is_none_or(|status| status >= 400);
    Ok(Flight { began, done, endpoint, sent: sent.is_some(), failed })
}
