//! A lost connection is made again, as often and as late as the options say.
//!
//! It stands alone because it is the one part of the task that waits on purpose; what the user wants meanwhile is kept.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::attend::{Attendance, Order, connected};
use super::dial::Opening;
use super::event::{Connected, Refused, What};
use super::packet::Decoder;

impl Attendance {
    /// Makes the connection again. An error says why it is over; nothing, when it was not even tried.
    pub(super) async fn reconnect(&mut self) -> Result<(), Option<&'static str>> {
        let Some(reconnection) = self.options.reconnection else { return Err(None) };
        for attempt in 0..reconnection.attempts {
            let began = self.clock.now();
            let delay = reconnection.delay(attempt, self.random.unit());
            let opening = self.redial(delay).await.map_err(Some)?;
            let connected = match opening {
                Ok(opening) => self.resume(opening).await,
                Err(refused) => Err(refused),
            };
            let now = self.clock.now();
            match connected {
                Ok(connected) => {
                    let took = now.since(began + delay);
                    let connected = Connected { took, generation: self.session.generation(), ..connected };
                    self.line.tell(now, What::Reconnected { attempts: attempt + 1, connected });
                    return Ok(());
                }
                Err(refused) => {
                    self.rooms.interrupt();
                    let refused = Box::new(refused);
                    self.line.tell(now, What::NotReconnected { attempt: attempt.saturating_add(1), refused });
                }
            }
        }
        Err(Some("reconnect_failed"))
    }

    /// Waits, and dials; meanwhile events that are to be sent are kept. An error when the user wants no more.
    async fn redial(&mut self, delay: Duration) -> Result<Result<Opening, Refused>, &'static str> {
        let (dialer, options) = (self.dialer.clone(), Arc::clone(&self.options));
        let mut dialing = pin!(async move {
            sleep(delay).await;
            let dialled = timeout(options.timeout, dialer.dial(&options)).await;
            dialled.unwrap_or_else(|_| Err(Refused::new("timeout")))
        });
        loop {
            tokio::select! {
                dialled = &mut dialing => return Ok(dialled),
                () = self.line.post.ordered() => {
                    while let Some(order) = self.line.post.take() {
                        match order {
                            Order::Close => return Err("io client disconnect"),
                            // Namespaces are asked for when there is somebody to ask.
                            Order::Join(namespace) => drop(self.rooms.want(&namespace)),
                            Order::Emit(emission) => {
                                self.rooms.want(&emission.namespace);
                                self.emit(emission);
                            }
                            // Whoever asked for it is gone.
                            Order::Acknowledge(..) => (),
                        }
                    }
                }
            }
        }
    }

    async fn resume(&mut self, opening: Opening) -> Result<Connected, Refused> {
        let connected = connected(&opening);
        let certain = opening.certain;
        self.session = opening.session;
        self.decoder = Decoder::new(self.options.limits);
        let options = Arc::clone(&self.options);
        timeout(options.timeout, self.enter(certain)).await.unwrap_or_else(|_| Err(Refused::new("timeout")))?;
        Ok(connected)
    }
}
