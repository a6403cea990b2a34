//! Sending the numbers of a run on while it goes on: the plugin `publish-metrics`.
//!
//! The ledger offers every window that it closes to an [`Outlet`], which never waits. A [`Publisher`] takes them on a thread of
//! its own and sends each to all destinations of the script at once, every one of which gets a few seconds. One that fails or
//! hangs disturbs neither the load nor the others: its failures are counted, and told once at the end.
//!
//! What the numbers are called is not known here; the publisher is given a function that names them. How they are written is in
//! one pure file for each kind of destination: [`prometheus`], [`statsd`], [`otlp`].

pub mod otlp;
pub mod prometheus;
mod protobuf;
mod sink;
pub mod statsd;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use futures_util::future::join_all;
use tokio::runtime::Runtime;

use self::sink::Sink;
use super::Broken;
use crate::clock::Clock;
use crate::recording::traffic::Window;
use crate::scenario::publish::{Publication, Selection};
use crate::stop::Stop;

/// Windows that may wait to be sent. They come every ten seconds, and none takes longer than that.
const WAITING: usize = 4;

/// The numbers of a window by the names under which they are published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// When the window began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What was counted in it.
    pub counters: BTreeMap<String, u64>,
    /// How often a second.
    pub rates: BTreeMap<String, u64>,
    /// Distributions by their fields, such as `p95`.
    pub summaries: BTreeMap<String, Vec<(&'static str, f64)>>,
}

/// One number of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its name; that of a distribution ends in its field: `http.response_time.p95`.
    pub name: String,
    /// Its value, which is finite.
    pub value: f64,
    /// What it is.
    pub kind: Kind,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How often something happened in the window.
    Counter,
    /// How something stood.
    Gauge,
}

impl Published {
    /// The numbers that a selection takes, one by one: counters, distributions, rates. A distribution is taken as a whole.
    #[must_use]
    pub fn points(&self, selection: &Selection) -> Vec<Point> {
        let of = |numbers: &BTreeMap<String, u64>, kind| {
            let taken = numbers.iter().filter(|(name, _)| selection.takes(name));
            taken.map(|(name, count)| Point { name: name.clone(), value: float(*count), kind }).collect::<Vec<_>>()
        };
        let mut points = of(&self.counters, Kind::Counter);
        for (name, fields) in self.summaries.iter().filter(|(name, _)| selection.takes(name)) {
            let finite = fields.iter().filter(|(_, value)| value.is_finite());
            points.extend(finite.map(|(field, value)| Point {
                name: format!("{name}.{field}"),
                value: *value,
                kind: Kind::Gauge,
            }));
        }
        points.extend(of(&self.rates, Kind::Gauge));
        points
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Where a ledger puts the windows that it closes.
#[derive(Clone, Debug)]
pub struct Outlet {
    windows: SyncSender<Window>,
    lost: Arc<AtomicU64>,
}

impl Outlet {
    /// Takes a window, or counts it as lost when too many are waiting.
    pub(super) fn offer(&self, window: &Window) {
        if self.windows.try_send(window.clone()).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Sends windows on.
#[derive(Debug)]
pub struct Publisher {
    thread: JoinHandle<Vec<Sink>>,
    lost: Arc<AtomicU64>,
}

impl Publisher {
    /// Starts to send what comes through the outlet to all destinations, under the names that `name` gives. Ends by itself once
    /// the outlet is gone; what is under way when `hurry` is asked for gets a moment only.
    ///
    /// # Errors
    ///
    /// When a certificate authority cannot be used, or there can be no thread.
    pub fn start(
        publications: &[Publication],
        clock: Clock,
        hurry: &Stop,
        name: impl Fn(&Window) -> Published + Send + 'static,
    ) -> Result<(Self, Outlet), Broken> {
        let sinks = publications.iter().map(|publication| Sink::new(publication, clock)).collect::<Result<_, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (windows, receiver) = sync_channel(WAITING);
        let lost = Arc::<AtomicU64>::default();
        let hurry = hurry.clone();
        let thread = std::thread::Builder::new()
            .name("publish".into())
            .spawn(move || publish(runtime, &receiver, sinks, &hurry, name))?;
        Ok((Self { thread, lost: lost.clone() }, Outlet { windows, lost }))
    }

    /// Waits until the last window is sent or given up, which takes some seconds at most, and tells what was not sent.
    #[must_use]
    pub fn finish(self) -> Vec<String> {
        let Ok(sinks) = self.thread.join() else {
            return vec!["publish-metrics broke off; what was not sent by then is not published".to_owned()];
        };
        let mut told: Vec<String> = sinks.iter().filter_map(Sink::told).collect();
        let lost = self.lost.load(Relaxed);
        if lost > 0 {
            told.push(format!("publish-metrics: {lost} windows were left out, as too many were waiting to be sent"));
        }
        told
    }
}

fn publish(
    runtime: Runtime,
    windows: &Receiver<Window>,
    mut sinks: Vec<Sink>,
    hurry: &Stop,
    name: impl Fn(&Window) -> Published,
) -> Vec<Sink> {
    for window in windows {
        let published = name(&window);
        runtime.block_on(join_all(sinks.iter_mut().map(|sink| sink.take(&published, hurry))));
    }
    // Look-ups of names that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    sinks
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::clock::Moment;
    use crate::recording::traffic::Numbers;
    use crate::scenario::publish::By;

    /// Ten seconds with one number of each kind.
    pub(super) fn sample() -> Published {
        let name = |text: &str| text.to_owned();
        Published {
            began: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            ended: UNIX_EPOCH + Duration::from_secs(1_700_000_010),
            counters: [(name("http.codes.200"), 12), (name("errors.Odd: a|b\n"), 1)].into(),
            rates: [(name("http.request_rate"), 3)].into(),
            summaries: [(name("http.response_time"), vec![("min", 1.0), ("p95", 30.1), ("mean", f64::NAN)])].into(),
        }
    }

    #[test]
    fn a_distribution_is_a_gauge_for_each_field() {
        let selection = Selection { except: vec!["errors".into()], by: By::Start, ..Selection::default() };
        let points: Vec<_> =
            sample().points(&selection).into_iter().map(|point| (point.name, point.value, point.kind)).collect();
        let expected = [
            ("http.codes.200", 12.0, Kind::Counter),
            ("http.response_time.min", 1.0, Kind::Gauge),
            ("http.response_time.p95", 30.1, Kind::Gauge),
            ("http.request_rate", 3.0, Kind::Gauge),
        ];
        assert_eq!(points, expected.map(|(name, value, kind)| (name.to_owned(), value, kind)));
    }

    #[test]
    fn an_outlet_never_waits() {
        let (windows, receiver) = sync_channel(1);
        let outlet = Outlet { windows, lost: Arc::default() };
        let window = Window { began: Moment::default(), ended: Moment::default(), numbers: Numbers::default() };
        outlet.offer(&window);
        outlet.offer(&window);
        drop(receiver);
        outlet.offer(&window);
        assert_eq!(outlet.lost.load(Relaxed), 2);
    }

    #[test]
    fn a_publisher_ends_with_its_outlet() {
        let (publisher, outlet) =
            Publisher::start(&[], Clock::start(), &Stop::default(), |_| sample()).expect("a thread");
        drop(outlet);
        assert!(publisher.finish().is_empty());
    }
}
