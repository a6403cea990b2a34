//! Everything a server can do wrong after it has read a request. Each is bounded, also when the client reads for ever.

use std::io::{self, Write};
use std::time::Duration;

use super::Stage;
use super::answer::Answer;
use super::request::Received;
use super::routes::DOCUMENT;
use super::wire::Wire;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Close,
}

/// A way to break the rules.
pub type Fault = fn(&Received, &Stage, &mut Wire) -> io::Result<After>;

/// Where an endless answer ends if the client never closes.
const ENOUGH: u64 = 16 * 1024 * 1024 * 1024;

const BLOCK: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// The fault of a path.
pub fn of(path: &str) -> Option<Fault> {
    Some(match path {
        "/empty" => |_, _, _| Ok(After::Close),
        "/reset" => |_, _, wire| reset_after(wire, b""),
        "/reset-mid-head" => |_, _, wire| reset_after(wire, b"HTTP/1.1 200 OK\r\nContent-Ty"),
        "/reset-mid-body" => {
            |_, _, wire| reset_after(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly the beginn")
        }
        "/short" => |_, _, wire| close_after(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly the beginning"),
        "/short-chunks" => {
            |_, _, wire| close_after(wire, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nonly")
        }
        "/long" => |_, _, wire| keep_after(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour and more"),
        "/bad-status-line" => |_, _, wire| close_after(wire, b"HTTP/1.1 two hundred\r\nContent-Length: 0\r\n\r\n"),
        "/bad-header" => {
            |_, _, wire| close_after(wire, b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")
        }
        "/not-http" => |_, _, wire| close_after(wire, &[0, 255, 17, 3, 1, 0, 128, 10, 13, 10, 200, 7]),
        "/short-sizes" => {
            |_, _, wire| close_after(wire, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        }
        "/bad-chunk" => |_, _, wire| {
            close_after(wire, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a size\r\n")
        },
        "/two-lengths" => {
            |_, _, wire| close_after(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nfour")
        }
        "/informational" => |request, _, wire| {
            wire.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")?;
            Answer::of("application/json", DOCUMENT).write(&request.method, wire).map(|()| After::Keep)
        },
        // It says that the connection stays, and does not mean it.
        "/close-idle" => |request, _, wire| {
            Answer::of("application/json", DOCUMENT).write(&request.method, wire).map(|()| After::Close)
        },
        "/huge-header" => |_, _, wire| {
            let value = "x".repeat(1024 * 1024);
            keep_after(wire, format!("HTTP/1.1 200 OK\r\nX-Huge: {value}\r\nContent-Length: 0\r\n\r\n").as_bytes())
        },
        "/never-ending" => |_, _, wire| never_ending(wire),
        "/never-ending-head" => |_, _, wire| never_ending_head(wire),
        "/big" => |request, _, wire| big(u64::from(request.number("bytes", 1024 * 1024)), wire),
        "/slow-drip" => slow_drip,
        _ => return None,
    })
}

fn close_after(wire: &mut Wire, bytes: &[u8]) -> io::Result<After> {
    wire.write_all(bytes).map(|()| After::Close)
}

fn keep_after(wire: &mut Wire, bytes: &[u8]) -> io::Result<After> {
    wire.write_all(bytes).map(|()| After::Keep)
}

fn reset_after(wire: &mut Wire, bytes: &[u8]) -> io::Result<After> {
    wire.write_all(bytes)?;
    wire.flush()?;
    wire.reset_on_close()?;
    // An error, so that not even a goodbye is said.
    Err(io::ErrorKind::ConnectionReset.into())
}

/// As fast as the client reads.
fn never_ending(wire: &mut Wire) -> io::Result<After> {
    wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for _ in 0..ENOUGH / BLOCK.len() as u64 {
        wire.write_all(b"4000\r\n")?;
        wire.write_all(&BLOCK)?;
        wire.write_all(b"\r\n")?;
    }
    Ok(After::Close)
}

fn never_ending_head(wire: &mut Wire) -> io::Result<After> {
    wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
    let lines = "X-Header: another one\r\n".repeat(512);
    for _ in 0..ENOUGH / lines.len() as u64 {
        wire.write_all(lines.as_bytes())?;
    }
    Ok(After::Close)
}

fn big(length: u64, wire: &mut Wire) -> io::Result<After> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    wire.write_all(head.as_bytes())?;
    let mut left = length;
    while left > 0 {
        let block = &BLOCK[..usize::try_from(left).map_or(BLOCK.len(), |left| left.min(BLOCK.len()))];
        wire.write_all(block)?;
        left -= block.len() as u64;
    }
    Ok(After::Keep)
}

/// Of a body of `bytes` one every `ms`, each in a packet of its own.
fn slow_drip(request: &Received, stage: &Stage, wire: &mut Wire) -> io::Result<After> {
    let length = request.number("bytes", 10).min(10_000);
    let pause = Duration::from_millis(u64::from(request.number("ms", 1)).min(1000));
    wire.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    for _ in 0..length {
        wire.write_all(b".")?;
        wire.flush()?;
        if stage.end.pass_within(pause) {
            return Ok(After::Close);
        }
    }
    Ok(After::Keep)
}
