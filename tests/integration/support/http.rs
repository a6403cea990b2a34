//! The smallest HTTP client: one request, one answer, one connection.
//!
//! HTTP/1.0, so that the server closes the connection and the answer ends where the stream does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wait::PATIENCE;

/// The body of the answer to `GET path`. Panics on any status but 200 and when the server is silent for [`PATIENCE`].
pub fn get(server: SocketAddr, path: &str) -> String {
    let answer = exchange(server, path).unwrap_or_else(|error| panic!("GET {path}: {error}"));
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("GET {path}: no whole answer: {answer:?}"));
    let status = head.split(' ').nth(1);
    assert_eq!(status, Some("200"), "GET {path}: {answer}");
    body.to_owned()
}

fn exchange(server: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
