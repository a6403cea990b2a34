//! The stacks of a moment, as text for a terminal or as JSON.
//!
//! The text is laid out as py-spy's dump, innermost frame first. The JSON is
//! `[{pid, role, python, threads: [{id, os_id, name, state, wait: {call, on}, gil, frames: [{function, file, short_file, line,
//! locals}]}]}]`. A thread that waits shows the system call that it is in, and the peer or file that the call is on.

use std::fmt::Write;

use serde::Serialize;

use crate::printable::printable;
use crate::profile::{FrameStyle, Label};
use crate::recording::{Frame, ProcessId, Role, ThreadStack, Wait};
use crate::redact;

/// The stacks of one process.
#[derive(Clone, Debug)]
pub struct DumpedProcess {
    /// Which process.
    pub id: ProcessId,
    /// What it does in its tree.
    pub role: Role,
    /// The version of its Python.
    pub python: String,
    /// Its threads.
    pub threads: Vec<ThreadStack>,
}

/// Text for a terminal.
#[must_use]
pub fn text(processes: &[DumpedProcess]) -> String {
    let mut out = String::new();
    for process in processes {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "Process {}: {}, Python {}", process.id, process.role, process.python);
        for thread in &process.threads {
            thread_text(&mut out, thread);
        }
    }
    out
}

fn thread_text(out: &mut String, thread: &ThreadStack) {
    let id = thread.os_id.map_or_else(|| format!("{:#x}", thread.ident), |id| id.to_string());
    let gil = if thread.gil { "+gil" } else { "" };
    let name = thread.name.as_ref().map(|name| format!(": \"{}\"", printable(name, 200))).unwrap_or_default();
    let wait = thread.wait.as_ref().map(wait_text).unwrap_or_default();
    let _ = writeln!(out, "Thread {id} ({}{gil}{wait}){name}", thread.state.name());
    let style = FrameStyle { lines: true, full_files: false };
    for (at, frame) in thread.stack.frames().into_iter().enumerate().rev() {
        let _ = writeln!(out, "    {}", Label::frame(frame, style).text);
        let locals = thread.locals.get(at).map(Vec::as_slice).unwrap_or_default();
        for (title, argument) in [("Arguments:", true), ("Locals:", false)] {
            let mut these = locals.iter().filter(|local| local.argument == argument).peekable();
            if these.peek().is_some() {
                let _ = writeln!(out, "        {title}");
            }
            for local in these {
                let value = printable(&redact::value(&local.name, &local.value), usize::MAX);
                let _ = writeln!(out, "            {}: {value}", printable(&local.name, 200));
            }
        }
    }
}

/// As in `: recv 127.0.0.1:5432`.
fn wait_text(wait: &Wait) -> String {
    let on = wait.on.as_ref().map(|on| format!(" {}", printable(on, 200))).unwrap_or_default();
    format!(": {}{on}", wait.call)
}

#[derive(Serialize)]
struct JsonProcess<'a> {
    pid: i32,
    role: &'static str,
    python: &'a str,
    threads: Vec<JsonThread<'a>>,
}

#[derive(Serialize)]
struct JsonThread<'a> {
    id: u64,
    os_id: Option<i32>,
    name: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<JsonWait<'a>>,
    gil: bool,
    frames: Vec<JsonFrame<'a>>,
}

#[derive(Serialize)]
struct JsonWait<'a> {
    call: &'a str,
    on: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonFrame<'a> {
    function: &'a str,
    file: &'a str,
    short_file: Option<&'a str>,
    line: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locals: Vec<JsonLocal<'a>>,
}

#[derive(Serialize)]
struct JsonLocal<'a> {
    name: &'a str,
    argument: bool,
    value: String,
}

/// One JSON document, innermost frames first.
#[must_use]
pub fn json(processes: &[DumpedProcess]) -> String {
    let processes: Vec<JsonProcess<'_>> = processes
        .iter()
        .map(|process| JsonProcess {
            pid: process.id.pid,
            role: process.role.name(),
            python: &process.python,
            threads: process.threads.iter().map(json_thread).collect(),
        })
        .collect();
    serde_json::to_string_pretty(&processes).unwrap_or_default()
}

fn json_thread(thread: &ThreadStack) -> JsonThread<'_> {
    let frames = thread.stack.frames().into_iter().enumerate().rev();
    JsonThread {
        id: thread.ident,
        os_id: thread.os_id,
        name: thread.name.as_deref(),
        state: thread.state.name(),
        wait: thread.wait.as_ref().map(|wait| JsonWait { call: &wait.call, on: wait.on.as_deref() }),
        gil: thread.gil,
        frames: frames.map(|(at, frame)| json_frame(thread, at, frame)).collect(),
    }
}

fn json_frame<'a>(thread: &'a ThreadStack, at: usize, frame: &'a Frame) -> JsonFrame<'a> {
    let locals = thread.locals.get(at).map(Vec::as_slice).unwrap_or_default();
    JsonFrame {
        function: &frame.function,
        file: &frame.file,
        short_file: frame.short_file.as_deref(),
        line: frame.line,
        locals: locals
            .iter()
            .map(|local| JsonLocal {
                name: &local.name,
                argument: local.argument,
                value: redact::value(&local.name, &local.value),
            })
            .collect(),
    }
}
