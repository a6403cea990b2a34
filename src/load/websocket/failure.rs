//! What went wrong on a WebSocket, as npm `ws` 7 calls it.
//!
//! It stands alone because tungstenite names its errors otherwise. It only translates.

use std::io;

use tungstenite::error::{CapacityError, Error, ProtocolError};

use super::Ended;
use crate::load::http::{Failure, Stage};

/// The failure of a connection that was open.
pub(super) fn of(error: &Error) -> Failure {
    match error {
        Error::Io(error) => Failure::of_io(Stage::ReceivingBody, error),
        other => Failure::new(Stage::ReceivingBody, code(other), &other.to_string()),
    }
}

/// The end of a connection that takes nothing any more.
pub(super) fn unsent(error: &io::Error) -> Ended {
    Ended::Failed(Failure::of_io(Stage::Sending, error))
}

/// `ws` 7.5, `lib/receiver.js`: each breach of the protocol has a code.
fn code(error: &Error) -> &'static str {
    use ProtocolError as Protocol;
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
        Error::Utf8(_) => "WS_ERR_INVALID_UTF8",
        Error::Protocol(Protocol::MaskedFrameFromServer) => "WS_ERR_UNEXPECTED_MASK",
        // The first of the three is the one of compression, which is the only one that is ever seen.
        Error::Protocol(Protocol::NonZeroReservedBits) => "WS_ERR_UNEXPECTED_RSV_1",
        Error::Protocol(Protocol::FragmentedControlFrame) => "WS_ERR_EXPECTED_FIN",
        Error::Protocol(Protocol::ControlFrameTooBig | Protocol::InvalidCloseSequence) => {
            "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH"
        }
        Error::Protocol(
            Protocol::UnexpectedContinueFrame
            | Protocol::ExpectedFragment(_)
            | Protocol::UnknownControlFrameType(_)
            | Protocol::UnknownDataFrameType(_)
            | Protocol::InvalidOpcode(_),
        ) => "WS_ERR_INVALID_OPCODE",
        Error::WriteBufferFull(_) => "ENOBUFS",
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(Protocol::SendAfterClosing) => "EPIPE",
        _ => "EPROTO",
    }
}
