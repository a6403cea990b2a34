//! What the JavaScript of the embedded engine can ask of Rust: the `native` of `host/quickjs.js`.
//!
//! It stands alone because it is the whole of the boundary: plain values go in and out, nothing waits, and whatever a hook can reach
//! of the machine is in this list.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use rquickjs::context::EvalOptions;
use rquickjs::prelude::Func;
use rquickjs::{Ctx, IntoJs, Object, Result, TypedArray, Value};
use serde_json::json;

use super::desk::{Desk, Reply};
use super::fetch::Wanted;
use super::files::{Files, Kind, Purpose};
use super::processor::Start;
use super::settings::{Limits, Sink};
use super::timers::Timers;
use super::{address, crypto, failure};
use crate::clock::{Clock, Moment};

/// Requests of hooks that may be under way at a time.
const MOST_FETCHES: usize = 10_000;
/// The largest body of an answer to a hook, as a share of the heap.
const BODY_SHARE: usize = 4;

/// What Rust and JavaScript share. It holds no value of JavaScript's.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) sink: Sink,
    pub(super) desk: RefCell<Desk>,
    pub(super) timers: RefCell<Timers>,
    /// What `fetch` has asked for since the last look.
    pub(super) wanted: RefCell<Vec<(u32, Wanted, Bytes)>>,
    /// Whose answer is not waited for any more.
    pub(super) unwanted: RefCell<Vec<u32>>,
    pub(super) fetching: Cell<usize>,
    /// How loading went, once it is over: the exported functions, or the error.
    pub(super) loaded: RefCell<Option<std::result::Result<String, String>>>,
    /// Calls that have been broken off, which JavaScript has to hear of.
    pub(super) broken: RefCell<Vec<u32>>,
    /// When the JavaScript that is at work has to pause.
    pub(super) deadline: Cell<Option<Moment>>,
    /// Whether memory has run out since the last look.
    pub(super) starved: Cell<bool>,
    files: Files,
}

impl State {
    pub(super) fn new(start: &Start) -> Self {
        let folder = start.source.folder.as_path();
        Self {
            clock: start.clock,
            limits: start.limits,
            sink: start.sink.clone(),
            desk: RefCell::new(start.desk()),
            timers: RefCell::default(),
            wanted: RefCell::default(),
            unwanted: RefCell::default(),
            fetching: Cell::new(0),
            loaded: RefCell::default(),
            broken: RefCell::default(),
            deadline: Cell::new(None),
            starved: Cell::new(false),
            files: Files::new(folder, &start.source.file),
        }
    }

    /// What a message of the engine means: a code, and words for it.
    pub(super) fn limit(&self, message: &str) -> Option<[String; 2]> {
        let told = |code: &str, text: String| Some([code.to_owned(), text]);
        match message {
            "interrupted" => {
                told("ERR_HOOK_BUSY", format!("it ran for more than {:?} without a pause", self.limits.run))
            }
            "out of memory" => {
                self.starved.set(true);
                told("ERR_HOOK_MEMORY", format!("it needs more memory than {} bytes", self.limits.heap))
            }
            "Maximum call stack size exceeded" | "stack overflow" => told(
                "ERR_HOOK_STACK",
                format!("it calls itself without end: the stack of {} bytes is full", self.limits.stack),
            ),
            _ => None,
        }
    }

    fn settings(start: &Start) -> String {
        let cwd = std::env::current_dir().unwrap_or_default();
        json!({
            "file": start.source.file, "cwd": cwd, "environment": start.source.environment,
            "main": std::env::current_exe().unwrap_or_default(), "pid": std::process::id(),
            "arch": if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" },
            "version": env!("CARGO_PKG_VERSION"), "engine": "quickjs-ng", "testRunId": start.source.test_run_id,
        })
        .to_string()
    }
}

/// The object that is lent.
pub(super) fn object<'js>(ctx: &Ctx<'js>, state: &Rc<State>, start: &Start) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("settings", State::settings(start))?;
    calls(&native, state)?;
    saying(&native, state)?;
    waiting(&native, state)?;
    reading(&native, state)?;
    computing(&native, state)?;
    Ok(native)
}

type Text = Option<String>;

fn calls(native: &Object<'_>, state: &Rc<State>) -> Result<()> {
    let at = state.clone();
    let reply = move |id: u32, failure: Text, verdict: bool, variables: Text, request: Text, emitted: Text| {
        at.desk.borrow_mut().reply(id, Reply { failure, verdict, variables, request, emitted });
    };
    native.set("reply", Func::from(reply))?;
    let at = state.clone();
    native.set("working", Func::from(move |id: u32| at.desk.borrow_mut().working(id)))?;
    let at = state.clone();
    native.set("variables", Func::from(move |user: f64| at.desk.borrow().variables(number(user))))?;
    let at = state.clone();
    let person = move |user: f64| {
        let person = at.desk.borrow().person(number(user))?;
        Some(json!({"uid": person.uid, "scenario": &*person.scenario}).to_string())
    };
    native.set("person", Func::from(person))?;
    let at = state.clone();
    let loaded = move |failure: Text, functions: Text| {
        *at.loaded.borrow_mut() = Some(failure.map_or_else(|| Ok(functions.unwrap_or_default()), Err));
    };
    native.set("loaded", Func::from(loaded))
}

fn saying(native: &Object<'_>, state: &Rc<State>) -> Result<()> {
    let at = state.clone();
    native.set("say", Func::from(move |line: String| at.sink.console(&line)))?;
    let at = state.clone();
    native.set("note", Func::from(move |line: String| at.sink.note(&line)))?;
    let at = state.clone();
    let fault = move |line: String, stack: String| match failure::place(&stack, &at.desk.borrow().folder) {
        Some(place) => at.sink.note(&format!("{line} ({place})")),
        None => at.sink.note(&line),
    };
    native.set("fault", Func::from(fault))?;
    let at = state.clone();
    native.set("limit", Func::from(move |message: String| at.limit(&message).map(Vec::from)))?;
    let at = state.clone();
    native.set("now", Func::from(move || at.clock.now().since(Moment::default()).as_secs_f64() * 1000.0))
}

fn waiting(native: &Object<'_>, state: &Rc<State>) -> Result<()> {
    let at = state.clone();
    let timer = move |number: u32, delay: f64| {
        let length = std::time::Duration::try_from_secs_f64(delay / 1000.0).unwrap_or_default();
        at.timers.borrow_mut().set(number, at.clock.now() + length)
    };
    native.set("timer", Func::from(timer))?;
    let at = state.clone();
    native.set("untimer", Func::from(move |number: u32| at.timers.borrow_mut().clear(number)))?;
    let at = state.clone();
    let fetch = move |number: u32, wanted: String, body: Text| {
        let Ok(mut wanted) = serde_json::from_str::<Wanted>(&wanted) else { return false };
        if at.fetching.get() >= MOST_FETCHES {
            return false;
        }
        wanted.keep_at_most(at.limits.heap / BODY_SHARE);
        at.fetching.set(at.fetching.get() + 1);
        at.wanted.borrow_mut().push((number, wanted, bytes(&body.unwrap_or_default()).into()));
        true
    };
    native.set("fetch", Func::from(fetch))?;
    let at = state.clone();
    native.set("unfetch", Func::from(move |number: u32| at.unwanted.borrow_mut().push(number)))
}

fn reading<'js>(native: &Object<'js>, state: &Rc<State>) -> Result<()> {
    let kind = |kind: Kind| match kind {
        Kind::Nothing => 0,
        Kind::File => 1,
        Kind::Folder => 2,
    };
    let at = state.clone();
    native.set("kind", Func::from(move |path: String| kind(at.files.kind(&path, Purpose::Module))))?;
    let at = state.clone();
    native.set("dataKind", Func::from(move |path: String| kind(at.files.kind(&path, Purpose::Data))))?;
    let at = state.clone();
    let real = move |path: String| Some(at.files.real(&path, Purpose::Module)?.display().to_string());
    native.set("real", Func::from(real))?;
    let at = state.clone();
    let text = move |path: String| {
        let bytes = at.files.read(&path, Purpose::Module).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    native.set("text", Func::from(text))?;
    let at = state.clone();
    let contents = move |ctx: Ctx<'js>, path: String| -> Result<Value<'js>> {
        match at.files.read(&path, Purpose::Data) {
            Ok(bytes) => TypedArray::<u8>::new(ctx.clone(), bytes)?.into_js(&ctx),
            Err(error) => json!(error).to_string().into_js(&ctx),
        }
    };
    native.set("read", Func::from(contents))?;
    native.set("builtin", Func::from(|name: String| builtin(&name)))?;
    native.set("compile", Func::from(|ctx: Ctx<'js>, source: String, file: String| compile(&ctx, source, file)))
}

fn computing<'js>(native: &Object<'js>, state: &Rc<State>) -> Result<()> {
    type Array<'js> = TypedArray<'js, u8>;
    let array = |ctx: Ctx<'js>, bytes: Option<Vec<u8>>| bytes.map(|bytes| Array::new(ctx, bytes)).transpose();
    let digest =
        move |ctx: Ctx<'js>, algorithm: String, data: String| array(ctx, crypto::digest(&algorithm, &bytes(&data)));
    native.set("digest", Func::from(digest))?;
    let hmac = move |ctx: Ctx<'js>, algorithm: String, key: String, data: String| {
        array(ctx, crypto::keyed_digest(&algorithm, &bytes(&key), &bytes(&data)))
    };
    native.set("hmac", Func::from(hmac))?;
    let most = state.limits.heap;
    let noise = move |ctx: Ctx<'js>, length: u32| array(ctx, crypto::noise((length as usize).min(most)));
    native.set("noise", Func::from(noise))?;
    let encode = |data: String, encoding: String| crypto::encode(&bytes(&data), &encoding);
    native.set("encode", Func::from(encode))?;
    let decode = move |ctx: Ctx<'js>, text: String, encoding: String| array(ctx, crypto::decode(&text, &encoding));
    native.set("decode", Func::from(decode))?;
    native.set("url", Func::from(|text: String, base: Text| address::parts(&text, base.as_deref())))?;
    let set = |href: String, part: String, value: String| address::with(&href, &part, &value);
    native.set("setUrl", Func::from(set))
}

/// Code as a function of the user's file, in sloppy mode, as CommonJS is.
fn compile<'js>(ctx: &Ctx<'js>, source: String, file: String) -> Result<Value<'js>> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(file);
    ctx.eval_with_options(source, options)
}

/// The number of a user, which JavaScript holds as any number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a whole number when it was lent")]
fn number(user: f64) -> u64 {
    user as u64
}

/// The bytes that JavaScript has put into a text, one to a character: there is no safe way to look into its arrays.
fn bytes(binary: &str) -> Vec<u8> {
    binary.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap_or_default()).collect()
}

/// The source of a module of ours.
fn builtin(name: &str) -> Option<&'static str> {
    Some(match name {
        "assert" => include_str!("host/modules/assert.js"),
        "buffer" => include_str!("host/modules/buffer.js"),
        "crypto" => include_str!("host/modules/crypto.js"),
        "events" => include_str!("host/modules/events.js"),
        "fs" => include_str!("host/modules/fs.js"),
        "internal/fetch" => include_str!("host/modules/fetch.js"),
        "node-fetch" => include_str!("host/modules/node-fetch.js"),
        "os" => include_str!("host/modules/os.js"),
        "path" => include_str!("host/modules/path.js"),
        "querystring" => include_str!("host/modules/querystring.js"),
        "string_decoder" => include_str!("host/modules/string_decoder.js"),
        "timers" => include_str!("host/modules/timers.js"),
        "url" => include_str!("host/modules/url.js"),
        "util" => include_str!("host/modules/util.js"),
        "assert/strict" => "(function (exports, require, module) { module.exports = require('assert'); })",
        "console" => "(function (exports, require, module) { module.exports = console; })",
        "fs/promises" => "(function (exports, require, module) { module.exports = require('fs').promises; })",
        "path/posix" => "(function (exports, require, module) { module.exports = require('path'); })",
        "perf_hooks" => "(function (exports) { exports.performance = performance; })",
        "process" => "(function (exports, require, module) { module.exports = process; })",
        "timers/promises" => "(function (exports, require, module) { module.exports = require('timers').promises; })",
        "util/types" => "(function (exports, require, module) { module.exports = require('util').types; })",
        _ => return None,
    })
}
