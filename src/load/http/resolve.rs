//! Names to addresses: one lookup at a time for each name, shared by all who wait for it and used for a second.
//!
//! It stands alone because ten thousand users that start at once must not send ten thousand questions. A failure is
//! shared the same way. IP addresses never come here. It knows nothing of ports and connections.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::failure::{Failure, Stage};
use crate::clock::{Clock, Moment};

/// How long an answer is used. Load balancers by DNS shift within seconds.
const FRESH: Duration = Duration::from_secs(1);

/// Names that are remembered; a script may make up names without end.
const MOST_NAMES: usize = 256;

type Found = Result<Arc<[IpAddr]>, Failure>;

/// What was found, and when.
type Entry = AsyncMutex<Option<(Moment, Found)>>;

/// The names that were looked up lately.
#[derive(Debug)]
pub(super) struct Names {
    clock: Clock,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

impl Names {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    /// The addresses of a name, in the system's order of preference.
    pub(super) async fn resolve(&self, name: &str) -> Found {
        self.resolve_by(name, || async {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
        .await
    }

    async fn resolve_by<F, L>(&self, name: &str, lookup: L) -> Found
    where
        L: FnOnce() -> F,
        F: Future<Output = io::Result<Vec<IpAddr>>>,
    {
        let entry = self.entry(name);
        // Whoever holds the entry asks; the others wait here and find the answer. One that is given up lets the next ask.
        let mut held = entry.lock().await;
        if let Some((when, found)) = &*held
            && self.clock.now().since(*when) < FRESH
        {
            return found.clone();
        }
        let found = match lookup().await {
            Ok(addresses) if addresses.is_empty() => Err(Failure::new(Stage::Resolving, "ENOTFOUND", name)),
            Ok(addresses) => Ok(Arc::from(addresses)),
            Err(error) => Err(refused(name, &error)),
        };
        *held = Some((self.clock.now(), found.clone()));
        found
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(name) {
            return Arc::clone(entry);
        }
        if entries.len() >= MOST_NAMES {
            entries.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        Arc::clone(entries.entry(name.to_owned()).or_default())
    }
}

/// The standard library keeps `gai_strerror`'s text alone, not the number.
fn refused(name: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let code = if error.raw_os_error().is_some() {
        return Failure::of_io(Stage::Resolving, error);
    } else if text.contains("emporary failure") || text.contains("ry again") {
        "EAI_AGAIN"
    } else {
        "ENOTFOUND"
    };
    Failure::new(Stage::Resolving, code, &format!("{name}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::http::loopback::run;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_who_wait_share_one_lookup() {
        run(async {
            let names = Arc::new(Names::new(Clock::start()));
            let asked = Arc::new(AtomicUsize::new(0));
            let ask = || {
                let (names, asked) = (Arc::clone(&names), Arc::clone(&asked));
                async move {
                    let lookup = || async {
                        asked.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
                    };
                    names.resolve_by("host", lookup).await
                }
            };
            let waiting = [(); 5].map(|()| tokio::spawn(ask()));
            for one in waiting {
                assert!(one.await.expect("no panic").is_ok());
            }
            assert!(ask().await.is_ok());
            assert_eq!(asked.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn a_failure_is_shared_and_told_in_nodes_words() {
        run(async {
            let names = Names::new(Clock::start());
            let text = "failed to lookup address information: Name or service not known";
            let first = names.resolve_by("host", || async { Err(io::Error::other(text)) }).await;
            assert_eq!(first.expect_err("no such host").code, "ENOTFOUND");
            let second = names.resolve_by("host", || async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }).await;
            assert!(second.is_err(), "the answer of a moment ago is used");
            let text = "failed to lookup address information: Temporary failure in name resolution";
            let other = names.resolve_by("other", || async { Err(io::Error::other(text)) }).await;
            assert_eq!(other.expect_err("no server").code, "EAI_AGAIN");
        });
    }

    #[test]
    fn names_without_end_are_not_remembered_without_end() {
        run(async {
            let names = Names::new(Clock::start());
            for number in 0..2 * MOST_NAMES {
                let name = format!("host{number}");
                assert!(names.resolve_by(&name, || async { Ok(Vec::new()) }).await.is_err());
            }
            assert!(names.entries.lock().expect("sound").len() <= MOST_NAMES);
        });
    }
}
