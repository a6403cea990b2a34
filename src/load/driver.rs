//! The thread that drives a run: it releases users on their due times, closes the windows, and knows when all is over.
//!
//! A runtime of one thread: users are cheap, and what they share needs no fight. The driver waits on a timer of its own, exact to
//! some ten microseconds, and looks every few milliseconds whether somebody wants it to end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::task::JoinSet;

use super::books::End;
use super::plan::{Arrival, Plan};
use super::shared::Shared;
use super::timer::Timer;
use super::user::{Place, User};
use super::{Broken, Stops};
use crate::clock::Moment;
use crate::random::Random;
use crate::recording::traffic::Traffic;
use crate::recording::traffic::log::{UserRow, UserState};

/// The longest the driver goes without looking whether it is to end.
const LOOK: Duration = Duration::from_millis(25);
/// Users released in a row before the others get their turn.
const BATCH: usize = 32;

/// Windows that may wait for whoever watches the run to sum them up.
const MOST_WAITING: usize = 3;
/// What the allocator may keep for later; in bytes.
const KEPT: usize = 16 << 20;

/// Runs a script from `before` to `after`.
pub(super) fn drive(shared: &Arc<Shared>, plan: &Plan, stops: &Stops) -> Result<Traffic, Broken> {
    keep_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(16).build()?;
    let traffic = runtime.block_on(async {
        before(shared, stops).await?;
        let mut run = Run { shared, plan, stops, users: JoinSet::new(), timer: Timer::new()?, ends: None };
        let cpu = thread_cpu();
        let began = shared.now();
        shared.ledger().begin(&shared.script, plan, began);
        let whole = run.arrivals(began).await?;
        run.drain().await?;
        let abandoned = shared.active.load(Relaxed);
        run.users.shutdown().await;
        let ended = shared.now();
        let driver_cpu = thread_cpu().saturating_sub(cpu);
        let traffic = shared.finish(End { began, ended, cut_short: !whole, abandoned, driver_cpu });
        after(shared, stops).await;
        Ok::<Traffic, Broken>(traffic)
    })?;
    // Look-ups of names that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    Ok(traffic)
}

/// Lets the allocator keep the memory that requests give back, as the next ones ask for it at once.
///
/// glibc hands the free end of a heap back to the system from 128 KiB on, and 100 users at a time go above and below that
/// without end: nearly every request then took a page fault. Once a block that was mapped by itself is freed, glibc takes its
/// size for usual, and twice its size as the bound (mallopt(3), `M_MMAP_THRESHOLD`). The block is never touched.
fn keep_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    let micros = usage.map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Does what is to be done before the first user, and lets all users know what came of it.
async fn before(shared: &Arc<Shared>, stops: &Stops) -> Result<(), Broken> {
    let Some(scenario) = &shared.script.before else { return Ok(()) };
    let user = User::unseen(shared);
    let acted = tokio::select! {
        acted = user.play(scenario, shared.now()) => acted,
        () = told(&stops.arrivals) => return Ok(()),
    };
    acted.map_err(|failed| Broken::Before(user.shown(&format!("{}: {}", failed.code, failed.detail))))?;
    shared.share(&user.mind().variables);
    Ok(())
}

/// Does what is to be done after the last user. That it failed is said, and changes nothing.
async fn after(shared: &Arc<Shared>, stops: &Stops) {
    let Some(scenario) = &shared.script.after else { return };
    let user = User::unseen(shared);
    let failed = tokio::select! {
        acted = user.play(scenario, shared.now()) => {
            acted.err().map(|failed| format!("{}: {}", failed.code, failed.detail))
        }
        () = told(&stops.users) => Some("interrupted".to_owned()),
    };
    if let Some(why) = failed {
        shared.lines.say(&format!("`after` failed: {}", user.shown(&why)));
    }
}

/// Waits until somebody wants the end.
async fn told(stop: &crate::stop::Stop) {
    while stop.reason().is_none() {
        tokio::time::sleep(LOOK).await;
    }
}

struct Run<'a> {
    shared: &'a Arc<Shared>,
    plan: &'a Plan,
    stops: &'a Stops,
    users: JoinSet<()>,
    timer: Timer,
    /// When users are sent home, once somebody wants the end.
    ends: Option<Moment>,
}

impl Run<'_> {
    /// Releases every user on its due time, until the plan is over or somebody wants the end; tells whether it is over.
    async fn arrivals(&mut self, began: Moment) -> Result<bool, Broken> {
        let plan = self.plan;
        // The first one too waits for a look whether there is to be any.
        let mut in_a_row = BATCH;
        for arrival in plan.arrivals() {
            let due = began + arrival.due;
            if due > self.shared.now() || in_a_row == BATCH {
                in_a_row = 0;
                if !self.until(due).await? {
                    return Ok(false);
                }
            }
            in_a_row += 1;
            self.release(arrival, due);
        }
        // The last phase may go on without arrivals.
        self.until(began + plan.length()).await
    }

    /// Waits for a moment, keeping the books meanwhile; tells whether nobody wanted the end.
    async fn until(&mut self, moment: Moment) -> Result<bool, Broken> {
        loop {
            self.keep_books();
            if self.wants_end() {
                return Ok(false);
            }
            let left = moment.since(self.shared.now());
            if left.is_zero() {
                tokio::task::yield_now().await;
                return Ok(true);
            }
            self.timer.wait(left.min(LOOK)).await?;
        }
    }

    fn wants_end(&mut self) -> bool {
        let wants = self.stops.arrivals.reason().is_some() || self.stops.users.reason().is_some();
        if wants {
            let ends = *self.ends.get_or_insert(self.shared.now() + self.shared.grace);
            self.shared.ends.store(ends.as_nanos(), Relaxed);
        }
        wants
    }

    fn keep_books(&mut self) {
        while self.users.try_join_next().is_some() {}
        let waiting = self.shared.ledger().roll(self.shared.now());
        if waiting > MOST_WAITING {
            self.shared.settle();
        }
    }

    fn release(&mut self, arrival: Arrival, due: Moment) {
        let shared = self.shared;
        let phase = u16::try_from(arrival.phase).unwrap_or(u16::MAX);
        let most = shared.script.phases.get(arrival.phase).and_then(|phase| phase.most_users);
        if most.is_some_and(|most| shared.active.load(Relaxed) >= most) {
            let mut ledger = shared.ledger();
            ledger.tally().touch(due);
            ledger.tally().users_of(phase).skipped += 1;
            let row = Place { number: arrival.number, phase, scenario: 0 }.row(due);
            ledger.user(UserRow { scenario: None, ended: Some(due), state: UserState::Skipped, ..row });
            return;
        }
        let mut random = Random::stream(shared.seed, arrival.number);
        let scenario = u16::try_from(shared.scenario(&mut random)).unwrap_or(u16::MAX);
        shared.active.fetch_add(1, Relaxed);
        let user = User::arriving(shared, Place { number: arrival.number, phase, scenario }, random);
        self.users.spawn(user.live(due));
    }

    /// Waits until the last user is done; after an interruption for a moment only, and not at all once users are to end.
    async fn drain(&mut self) -> Result<(), Broken> {
        loop {
            self.keep_books();
            if self.shared.active.load(Relaxed) == 0 || self.stops.users.reason().is_some() {
                return Ok(());
            }
            self.wants_end();
            if self.ends.is_some_and(|ends| self.shared.now() >= ends) {
                return Ok(());
            }
            tokio::select! {
                _ = self.users.join_next() => {}
                waited = self.timer.wait(LOOK) => waited?,
            }
        }
    }
}
