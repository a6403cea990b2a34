//! Windows of a recording: what was counted and measured in each, and has no rows of its own.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::super::super::traffic::log::WindowRow;
use super::super::super::traffic::{Latency, Named, Rate, Tally};
use super::super::read::{Fault, damaged, moment, nanos};
use super::{Limits, count, numbered};

pub(super) fn read_windows(from: &Connection) -> Result<Vec<WindowRow>, Fault> {
    let mut query = from.prepare(
        "SELECT id, began, ended, first, last, requests, first_request, last_request FROM window ORDER BY id",
    )?;
    let windows = numbered(query.query([])?, "window", |row| {
        let [first, last] = [row.get::<_, Option<i64>>(6)?, row.get(7)?].map(|known| known.map(moment));
        Ok(WindowRow {
            number: row.get(0)?,
            began: moment(row.get(1)?),
            ended: moment(row.get(2)?),
            span: (moment(row.get(3)?), moment(row.get(4)?)),
            requests: count(row.get(5)?)?,
            requested: first.zip(last),
            errors: [].into(),
            endpoint_errors: [].into(),
            named: Named::default(),
        })
    })?;
    let is_sorted = windows.is_sorted_by_key(|window| window.began);
    if !is_sorted || windows.iter().any(|window| window.ended < window.began) {
        return Err(damaged("its windows are not in the order of time"));
    }
    Ok(windows)
}

pub(super) fn read_counters(from: &Connection, mut window: WindowRow, limits: Limits) -> Result<WindowRow, Fault> {
    let mut query = from.prepare_cached("SELECT kind, endpoint, name, count FROM counter WHERE window = ?1")?;
    let mut rows = query.query([window.number])?;
    let mut sums = Tally::default();
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(2)?);
        let count = count(row.get(3)?)?;
        match kind.as_str() {
            "error" => *sums.errors.entry(name).or_default() = count,
            "plugin" => *sums.named.counters.entry(name).or_default() = count,
            "endpoint error" => {
                let endpoint: u32 = row.get(1)?;
                limits.check(0, None, Some(endpoint), "an error")?;
                *sums.endpoint_errors.entry((endpoint, name)).or_default() = count;
            }
            other => return Err(damaged(format!("no counter is of the kind {other:?}"))),
        }
    }
    if limits.named {
        sums.named.rates = read_rates(from, window.number)?;
        sums.named.measures = read_measures(from, window.number)?;
    }
    // Added to an empty one, so that the bounds of a tally hold here as well.
    let mut bounded = Tally::default();
    bounded.add(&sums);
    (window.errors, window.endpoint_errors, window.named) = (bounded.errors, bounded.endpoint_errors, bounded.named);
    Ok(window)
}

fn read_rates(from: &Connection, window: u32) -> Result<BTreeMap<String, Rate>, Fault> {
    let mut query = from.prepare_cached("SELECT name, count, first, last FROM rate WHERE window = ?1")?;
    let mut rows = query.query([window])?;
    let mut rates = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let rate = Rate { count: count(row.get(1)?)?, first: moment(row.get(2)?), last: moment(row.get(3)?) };
        rates.insert(row.get(0)?, rate);
    }
    Ok(rates)
}

fn read_measures(from: &Connection, window: u32) -> Result<BTreeMap<String, Latency>, Fault> {
    let mut query = from.prepare_cached("SELECT name, shortest, longest, counts FROM measure WHERE window = ?1")?;
    let mut rows = query.query([window])?;
    let mut measures = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (name, counts): (String, String) = (row.get(0)?, row.get(3)?);
        let values: Option<Vec<(u64, u64)>> = serde_json::from_str(&counts).ok();
        let values = values.filter(|values| values.iter().all(|(_, count)| u32::try_from(*count).is_ok()));
        let latency = values.and_then(|values| {
            let [shortest, longest] = [row.get(1).ok()?, row.get(2).ok()?].map(nanos);
            Latency::of_values(&values, shortest, longest)
        });
        measures.insert(name, latency.ok_or_else(|| damaged("a distribution is none"))?);
    }
    Ok(measures)
}
