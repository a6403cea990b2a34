//! What a virtual user and the task that attends its connection tell each other.
//!
//! It stands alone because both kinds of sockets need it, and because of its size: two channels of tokio hold 7 KB for a user
//! that says nothing, this holds 300 bytes. Both directions are bounded; what the user does not fetch in time is dropped, and
//! counted. It knows neither what is asked for nor what is told.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Orders that may wait for the task.
const MOST_ORDERS: usize = 256;
/// Events that may wait for the user.
const MOST_EVENTS: usize = 1024;
/// Events beyond these that may wait when they are announced.
const MOST_ANNOUNCED: usize = 256;
/// How much events may weigh together, in bytes.
const HEAVIEST: usize = 1 << 20;

/// Orders from the user to the task, events from the task to the user.
pub(super) struct Mailbox<O, E> {
    state: Mutex<State<O, E>>,
    task: Notify,
    user: Notify,
    room: Notify,
}

struct State<O, E> {
    orders: VecDeque<O>,
    events: VecDeque<(E, usize)>,
    weight: usize,
    lost: u64,
    over: bool,
}

impl<O, E> Default for Mailbox<O, E> {
    fn default() -> Self {
        let state = State { orders: VecDeque::new(), events: VecDeque::new(), weight: 0, lost: 0, over: false };
        Self { state: Mutex::new(state), task: Notify::new(), user: Notify::new(), room: Notify::new() }
    }
}

impl<O, E> Debug for Mailbox<O, E> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let (orders, events) = (state.orders.len(), state.events.len());
        to.debug_struct("Mailbox").field("orders", &orders).field("events", &events).finish_non_exhaustive()
    }
}

/// The task has ended: nobody takes orders any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over;

impl<O, E> Mailbox<O, E> {
    fn state(&self) -> MutexGuard<'_, State<O, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an order, as soon as there is room for one.
    pub(super) async fn order(&self, order: O) -> Result<(), Over> {
        let mut order = Some(order);
        loop {
            {
                let mut state = self.state();
                if state.over {
                    return Err(Over);
                }
                if state.orders.len() < MOST_ORDERS {
                    state.orders.extend(order.take());
                    drop(state);
                    self.task.notify_one();
                    return Ok(());
                }
            }
            self.room.notified().await;
        }
    }

    /// Waits until there may be an order.
    pub(super) async fn ordered(&self) {
        self.task.notified().await;
    }

    /// The next order.
    pub(super) fn take(&self) -> Option<O> {
        let order = self.state().orders.pop_front();
        if order.is_some() {
            self.room.notify_one();
        }
        order
    }

    /// Tells the user something that weighs so many bytes; what does not fit is lost.
    pub(super) fn tell(&self, event: E, weight: usize) {
        let mut state = self.state();
        if state.events.len() >= MOST_EVENTS || state.weight.saturating_add(weight) > HEAVIEST {
            // One that is too heavy by itself fits into an empty box.
            if !state.events.is_empty() {
                state.lost += 1;
                return;
            }
        }
        state.weight = state.weight.saturating_add(weight);
        state.events.push_back((event, weight));
        drop(state);
        self.user.notify_one();
    }

    /// Tells the user something that must not be lost to a flood of other things; it may be, when it is a flood itself.
    pub(super) fn announce(&self, event: E) {
        let mut state = self.state();
        if state.events.len() >= MOST_EVENTS + MOST_ANNOUNCED {
            state.lost += 1;
            return;
        }
        state.events.push_back((event, 0));
        drop(state);
        self.user.notify_one();
    }

    /// Tells the last that there is to tell, whether there is room or not.
    pub(super) fn end(&self, event: Option<E>) {
        let mut state = self.state();
        if !state.over {
            state.over = true;
            state.orders = VecDeque::new();
            state.events.extend(event.map(|event| (event, 0)));
        }
        drop(state);
        self.user.notify_one();
        self.room.notify_one();
    }

    /// What has been told and not been fetched, without waiting.
    pub(super) fn fetch(&self) -> Option<E> {
        let mut state = self.state();
        let (event, weight) = state.events.pop_front()?;
        state.weight = state.weight.saturating_sub(weight);
        if state.events.is_empty() {
            state.events = VecDeque::new();
        }
        Some(event)
    }

    /// The next event; nothing once the task has ended and all is fetched.
    pub(super) async fn next(&self) -> Option<E> {
        loop {
            if let Some(event) = self.fetch() {
                return Some(event);
            }
            if self.is_over() {
                return None;
            }
            self.user.notified().await;
        }
    }

    /// Waits for the end of the task.
    pub(super) async fn ended(&self) {
        while !self.is_over() {
            self.user.notified().await;
        }
    }

    /// Whether the task has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// Events that were dropped because nobody fetched those before them.
    pub(super) fn lost(&self) -> u64 {
        self.state().lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_fetched_is_lost_and_counted() {
        let mailbox = Mailbox::<(), usize>::default();
        for number in 0..MOST_EVENTS + 5 {
            mailbox.tell(number, 1);
        }
        assert_eq!(mailbox.lost(), 5);
        assert_eq!(mailbox.fetch(), Some(0));
        mailbox.tell(7, HEAVIEST);
        assert_eq!(mailbox.lost(), 6);
        while mailbox.fetch().is_some() {}
        mailbox.tell(8, 2 * HEAVIEST);
        mailbox.tell(7, 1);
        mailbox.announce(10);
        mailbox.end(Some(9));
        let fetched: Vec<usize> = std::iter::from_fn(|| mailbox.fetch()).collect();
        assert_eq!((fetched, mailbox.lost()), (vec![8, 10, 9], 7));
        for number in 0..=MOST_EVENTS + MOST_ANNOUNCED {
            mailbox.announce(number);
        }
        assert_eq!(mailbox.lost(), 8);
        assert!(mailbox.is_over());
    }

    #[test]
    fn who_orders_too_much_waits() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mailbox = Mailbox::<usize, ()>::default();
            let ordering = async {
                for number in 0..2 * MOST_ORDERS {
                    mailbox.order(number).await.expect("taken");
                }
            };
            let taking = async {
                let mut taken = 0;
                while taken < 2 * MOST_ORDERS {
                    mailbox.ordered().await;
                    while let Some(order) = mailbox.take() {
                        assert_eq!(order, taken);
                        taken += 1;
                    }
                }
            };
            tokio::join!(ordering, taking);
            mailbox.end(None);
            assert_eq!(mailbox.order(1).await, Err(Over));
            assert_eq!(mailbox.next().await, None);
        });
    }
}
