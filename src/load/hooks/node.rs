//! The `node` child process.
use tokio::sync::mpsc::Receiver;

use super::desk::Order;
use super::processor::{Loaded, Start};
use super::settings::{Failed, HooksError};

pub(super) async fn run(
    _start: &Start,
    _orders: &mut Receiver<Order>,
    _loaded: &Loaded,
    lacking: Option<Failed>,
) -> Result<(), HooksError> {
    match lacking {
        Some(what) => Err(HooksError::NoNode(what)),
        None => Err(HooksError::Node("not yet".into())),
    }
}
