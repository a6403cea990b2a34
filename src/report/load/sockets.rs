//! What there is to say of sockets and of the processor's functions: counts that Artillery does not explain, and times that it
//! does not take.

use std::fmt::Write;

use super::LoadReport;
use super::figures::{clip, counted, decimals, short, wrap};
use crate::recording::traffic::named::{
    CONNECT_TIMES, EMIT_TIME, EMITTED, EVENTS, HOOK_TIME, RECEIVED, SEND_TIME, SENT,
};
use crate::recording::traffic::{Numbers, Summary};

/// Reasons, and functions, that are listed.
const MOST: usize = 8;

/// The sockets of the run, if there were any.
pub(super) fn text(report: &LoadReport<'_>) -> String {
    let numbers = &report.numbers;
    let mut out = String::new();
    let engines = [
        ("Socket.IO", "event", EMITTED, EVENTS, EMIT_TIME, CONNECT_TIMES[0], "socketio."),
        ("WebSocket", "message", SENT, RECEIVED, SEND_TIME, CONNECT_TIMES[1], "websocket."),
    ];
    for (engine, what, sent, received, took, connected, prefix) in engines {
        let count = |name: &str| numbers.counters.get(name).copied().unwrap_or(0);
        let connections = numbers.measures.get(connected);
        if connections.is_none() && count(sent[0]) == 0 {
            continue;
        }
        let mut sentences =
            format!("{engine}: {} sent, {} received", counted(count(sent[0]), what), counted(count(received[0]), what));
        if let Some(times) = connections {
            let _ = write!(sentences, "; {} made, {}", counted(times.count, "connection"), in_short(times));
        }
        if let Some(times) = numbers.measures.get(took) {
            let _ = write!(sentences, "; {} waited for, {}", counted(times.count, "answer"), in_short(times));
        }
        sentences.push('.');
        wrap(&mut out, &sentences);
        reasons(&mut out, numbers, prefix);
    }
    if let Some(messages) = numbers.messages {
        let sentence = format!(
            "The code 0 in the summary stands for {} that users sent over sockets: they have no status, and no time \
             of theirs is among the response times.",
            counted(messages.count, "message")
        );
        wrap(&mut out, &sentence);
    }
    out
}

/// Why sockets were lost or closed, and what else happened to them.
fn reasons(out: &mut String, numbers: &Numbers, prefix: &str) {
    let told = [EMITTED[0], SENT[0], EVENTS[0], RECEIVED[0]];
    let others = numbers.counters.iter().filter(|(name, _)| name.starts_with(prefix) && !told.contains(&name.as_str()));
    for (name, count) in others.take(MOST) {
        let _ = writeln!(out, "  {count} × {}", clip(name.strip_prefix(prefix).unwrap_or(name), 80));
    }
}

/// The functions that were called, if there were any: how long they took is in no latency.
pub(super) fn functions(report: &LoadReport<'_>) -> String {
    let called =
        report.numbers.measures.iter().filter_map(|(name, times)| Some((name.strip_prefix(HOOK_TIME)?, times)));
    let mut called: Vec<(&str, &Summary)> = called.collect();
    called.sort_by(|(_, one), (_, other)| whole(other).total_cmp(&whole(one)));
    let mut out = String::new();
    if called.is_empty() {
        return out;
    }
    let sum: f64 = called.iter().map(|(_, times)| whole(times)).sum();
    let sentence =
        format!("Functions of the processor took {} s in all, which is in no response time:", decimals(sum / 1e3, 2));
    wrap(&mut out, &sentence);
    for (name, times) in called.iter().take(MOST) {
        let _ = writeln!(out, "  {}: {}, {}", clip(name, 60), counted(times.count, "call"), in_short(times));
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "a count of calls")]
fn whole(times: &Summary) -> f64 {
    times.mean * times.count as f64
}

fn in_short(times: &Summary) -> String {
    let millis = |value: f64| if value < 0.95 { decimals(value, 2) } else { short(value) };
    format!("p50 {} ms, p95 {} ms, at most {} ms", millis(times.p50), millis(times.p95), millis(times.max))
}
