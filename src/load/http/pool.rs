//! The sockets of one virtual user, or of all, and the queue for them.
//!
//! It stands alone because the order of waiting is part of what is measured: first come, first served, and whoever gives
//! up hands its turn on. It opens and closes nothing itself; a connection that is dropped is closed.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Origin;
use super::connection::Connection;

/// Origins whose resting connections are kept; scripts may make up hosts without end.
const MOST_LANES: usize = 32;
/// Origins that a connection may be kept ready for; whoever goes round among more has small ones.
const MOST_READY: usize = 4;

/// The keep-alive connections of a user, or of all users together. A clone is the same pool.
#[derive(Clone)]
pub struct Connections(Arc<Pool>);

impl Debug for Connections {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.debug_struct("Connections").field("limit", &self.0.limit).finish_non_exhaustive()
    }
}

struct Pool {
    limit: usize,
    lanes: Mutex<Vec<Lane>>,
}

/// The sockets of one origin.
struct Lane {
    origin: Arc<Origin>,
    busy: usize,
    /// The one that was used last is at the end, and is used first.
    resting: Vec<Connection>,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl Lane {
    /// Makes what rests small. A connection that was small stays below those that were used after it.
    fn reduce(&mut self) {
        let ready = self.resting.iter().rposition(|resting| matches!(resting, Connection::Bare(_)));
        let ready = self.resting.split_off(ready.map_or(0, |last| last + 1));
        self.resting.extend(ready.into_iter().filter_map(Connection::reduced));
    }

    fn is_asleep(&self) -> bool {
        self.busy == 0 && self.waiting.is_empty()
    }
}

/// The right to use one socket of an origin; given back when dropped.
pub(super) struct Slot {
    /// Nothing when the right was taken back.
    pool: Option<Arc<Pool>>,
    origin: Arc<Origin>,
    /// The connection of whoever had the socket before, handed over with it.
    connection: Option<Connection>,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Pool { limit: limit.max(1), lanes: Mutex::default() }))
    }

    /// A free socket at once, or the place in the queue for one.
    pub(super) fn slot(&self, origin: &Arc<Origin>) -> Result<Slot, oneshot::Receiver<Slot>> {
        let mut lanes = self.0.lanes();
        let lane = lane(&mut lanes, origin);
        if lane.busy < self.0.limit {
            lane.busy += 1;
            return Ok(Slot { pool: Some(Arc::clone(&self.0)), origin: Arc::clone(origin), connection: None });
        }
        let (turn, place) = oneshot::channel();
        lane.waiting.push_back(turn);
        Err(place)
    }

    /// Makes all connections that rest small, for a user that waits.
    pub(in crate::load) fn reduce(&self) {
        self.0.lanes().iter_mut().for_each(Lane::reduce);
    }

    /// How many connections rest, and how many of them are small.
    #[cfg(test)]
    pub(super) fn resting(&self) -> (usize, usize) {
        let lanes = self.0.lanes();
        let resting = || lanes.iter().flat_map(|lane| &lane.resting);
        (resting().count(), resting().filter(|resting| matches!(resting, Connection::Bare(_))).count())
    }
}

impl Pool {
    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next who waits and is still there gets the socket, and the connection with it; without one it rests.
    fn release(self: &Arc<Self>, origin: &Arc<Origin>, mut connection: Option<Connection>) {
        loop {
            let turn = {
                let mut lanes = self.lanes();
                let lane = lane(&mut lanes, origin);
                let Some(turn) = lane.waiting.pop_front() else {
                    lane.busy = lane.busy.saturating_sub(1);
                    lane.resting.extend(connection);
                    if lanes.len() > MOST_READY {
                        lanes.iter_mut().for_each(Lane::reduce);
                    }
                    prune(&mut lanes);
                    return;
                };
                turn
            };
            let slot = Slot { pool: Some(Arc::clone(self)), origin: Arc::clone(origin), connection };
            let Err(mut unwanted) = turn.send(slot) else { return };
            unwanted.pool = None;
            connection = unwanted.connection.take();
        }
    }
}

fn lane<'a>(lanes: &'a mut Vec<Lane>, origin: &Arc<Origin>) -> &'a mut Lane {
    let found = lanes.iter().position(|lane| Arc::ptr_eq(&lane.origin, origin) || lane.origin == *origin);
    let index = found.unwrap_or_else(|| {
        lanes.push(Lane { origin: Arc::clone(origin), busy: 0, resting: Vec::new(), waiting: VecDeque::new() });
        lanes.len() - 1
    });
    &mut lanes[index]
}

fn prune(lanes: &mut Vec<Lane>) {
    if lanes.len() > MOST_LANES
        && let Some(oldest) = lanes.iter().position(Lane::is_asleep)
    {
        lanes.remove(oldest);
    }
}

impl Slot {
    /// A resting connection that a request can be sent on. Those that turn out to be closed are dropped.
    pub(super) fn resting(&mut self, offer_http2: bool) -> Option<Connection> {
        if let Some(mut connection) = self.connection.take()
            && connection.offered_http2() == offer_http2
            && connection.is_usable()
        {
            return Some(connection);
        }
        let pool = self.pool.as_ref()?;
        let mut lanes = pool.lanes();
        let lane = lane(&mut lanes, &self.origin);
        let mut usable = None;
        while let Some(index) = lane.resting.iter().rposition(|resting| resting.offered_http2() == offer_http2) {
            let mut connection = lane.resting.remove(index);
            if connection.is_usable() {
                usable = Some(connection);
                break;
            }
        }
        // Those of the other offer count as well.
        while lane.resting.len() + lane.busy > pool.limit && !lane.resting.is_empty() {
            lane.resting.remove(0);
        }
        usable
    }

    /// Gives the socket back with a connection that can be used again.
    pub(super) fn rest(mut self, connection: Connection) {
        self.connection = Some(connection);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.release(&self.origin, self.connection.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::http::Target;

    fn origin(url: &str) -> Arc<Origin> {
        Arc::clone(Target::parse(url).expect("a URL").origin())
    }

    #[test]
    fn who_came_first_is_served_first_and_who_gave_up_is_passed_over() {
        let connections = Connections::new(1);
        let here = origin("http://here/");
        let slot = connections.slot(&here).ok().expect("free");
        let place = || connections.slot(&origin("http://here/a")).err().expect("a queue");
        let (gone, mut second, mut third) = (place(), place(), place());
        assert!(connections.slot(&origin("http://there/")).is_ok(), "each origin has its own");
        drop(gone);
        drop(slot);
        let slot = second.try_recv().expect("its turn");
        assert!(third.try_recv().is_err());
        drop(slot);
        // Nobody looks at the turn that was handed over: it comes back all the same.
        drop(third);
        assert!(connections.slot(&here).is_ok());
    }

    #[test]
    fn a_shared_pool_has_so_many_and_no_more() {
        let connections = Connections::new(3);
        let here = origin("http://here/");
        let held: Vec<_> = (0..3).map(|_| connections.slot(&here).ok().expect("free")).collect();
        assert!(connections.clone().slot(&here).is_err());
        drop(held);
        assert!(connections.slot(&here).is_ok());
    }

    #[test]
    fn hosts_without_end_leave_no_trace() {
        let connections = Connections::new(1);
        for number in 0..200 {
            drop(connections.slot(&origin(&format!("http://host{number}/"))));
        }
        assert!(connections.0.lanes().len() <= MOST_LANES + 1);
    }
}
