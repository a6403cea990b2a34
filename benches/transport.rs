//! The cost of one keep-alive GET of a small JSON body from a server that does nothing else: plain hyper, reqwest, and the
//! transport of the load engine, in the same run. Once by the clock, once by the CPU time of the client's thread.
//! `cargo bench --bench transport --no-run`, then the binary under `taskset -c 0`: on two cores the scheduler decides from
//! one series to the next whether a wake-up crosses them, and that costs more than any client.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::Builder;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use nix::time::{ClockId, clock_gettime};
use pyperf::clock::{Clock, Moment};
use pyperf::load::http::{Keep, Outgoing, Settings, Target, Transport};
use tokio::runtime::Runtime;

/// Answers every request with 200 bytes of JSON; one thread for each connection.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let accept = move || {
        for peer in listener.incoming().flatten() {
            Builder::new().spawn(move || answer(peer)).expect("a thread");
        }
    };
    Builder::new().spawn(accept).expect("a thread");
    port
}

fn answer(mut peer: TcpStream) {
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(189));
    let head = "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/json";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    peer.set_nodelay(true).expect("a socket");
    let mut request = [0; 4096];
    let mut length = 0;
    while let Ok(count) = peer.read(&mut request[length..]) {
        length += count;
        if count == 0 {
            return;
        }
        if request[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            if peer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// What time is measured by.
#[derive(Clone, Copy)]
enum By {
    Clock,
    Cpu,
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it").into()
}

/// Runs `one` again and again in a task of its own, as a virtual user is.
fn measure<S: Send + 'static>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    by: By,
    runtime: &Runtime,
    mut state: S,
    one: impl AsyncFn(&mut S) + Copy + 'static,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let (started, cpu_before) = (start(), cpu());
            runtime.block_on(async {
                for _ in 0..times {
                    one(&mut state).await;
                }
            });
            match by {
                By::Clock => started.elapsed(),
                By::Cpu => cpu().saturating_sub(cpu_before),
            }
        });
    });
}

#[expect(clippy::disallowed_methods, reason = "criterion wants a duration of its own")]
fn start() -> Instant {
    Instant::now()
}

fn get(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let port = server();
    for (title, by) in [("one GET by the clock", By::Clock), ("one GET by its CPU time", By::Cpu)] {
        let mut group = criterion.benchmark_group(title);
        plain(&mut group, by, &runtime, port);
        reqwest(&mut group, by, &runtime, port);
        ours(&mut group, by, &runtime, port, "transport, counting the body", Keep::Nothing);
        ours(&mut group, by, &runtime, port, "transport, keeping the body", Keep::Start(4096));
        group.finish();
    }
}

fn plain(group: &mut BenchmarkGroup<'_, WallTime>, by: By, runtime: &Runtime, port: u16) {
    let sender = runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a server");
        tcp.set_nodelay(true).expect("a socket");
        let (sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(tcp)).await.expect("HTTP");
        tokio::spawn(connection);
        sender
    });
    let host = format!("127.0.0.1:{port}");
    measure(group, "hyper", by, runtime, (sender, host), async |(sender, host)| {
        let request = Request::get("/").header("host", host.as_str()).header("accept", "*/*").body(Full::default());
        sender.ready().await.expect("open");
        let response = sender.send_request(request.expect("a request")).await.expect("a response");
        black_box(response.into_body().collect().await.expect("a body").to_bytes());
    });
}

fn reqwest(group: &mut BenchmarkGroup<'_, WallTime>, by: By, runtime: &Runtime, port: u16) {
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).timeout(Duration::from_secs(10));
    let client = client.build().expect("a client");
    let url = reqwest::Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL");
    measure(group, "reqwest", by, runtime, (client, url), async |(client, url)| {
        let response = client.get(url.clone()).send().await.expect("a response");
        black_box(response.bytes().await.expect("a body"));
    });
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, by: By, runtime: &Runtime, port: u16, name: &str, keep: Keep) {
    let transport = Transport::new(&Settings::default(), Clock::start()).expect("good settings");
    let connections = transport.connections();
    let mut headers = HeaderMap::new();
    headers.insert("accept", http::HeaderValue::from_static("*/*"));
    let outgoing = Outgoing {
        method: Method::GET,
        target: Target::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL"),
        headers,
        body: Bytes::new(),
        http2: false,
        keep,
        due: Moment::default(),
    };
    let state = (transport, connections, outgoing);
    measure(group, name, by, runtime, state, async |(transport, connections, outgoing)| {
        let exchange = transport.exchange(connections, outgoing.clone()).await;
        black_box(exchange.outcome.expect("a response"));
    });
}

criterion_group!(benches, get);
criterion_main!(benches);
