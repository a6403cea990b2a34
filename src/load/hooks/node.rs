//! The `node` child process: the same host, behind two pipes.
//!
//! It stands alone because a process can do what an engine within cannot: die, hang, print, outlive us. It is ended by closing its
//! input, then by its number; it ends itself when pyperf is gone. It is watched: while calls are under way it has to answer, and one
//! that does not is ended and started anew.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::Receiver;

use super::desk::{Desk, Order, Reply};
use super::failure::{self, Described, Failure};
use super::pipes::{Lines, PIECE, Pipes};
use super::processor::{Functions, Loaded, Start};
use super::settings::{Failed, HooksError, Runtime};
use crate::clock::Moment;

/// How often it is started in a run.
const MOST_STARTS: usize = 10;
/// Calls that are taken from the channel at a time.
const BATCH: usize = 64;
/// Bytes that may wait to be written before no more calls are taken.
const MOST_WAITING: usize = 16 << 20;
/// How long node may take beyond the time that a hook may run.
const GRACE: Duration = Duration::from_secs(1);
/// The sign before each line that is for us.
const SIGN: u8 = 1;

/// Runs a processor in node until nobody calls it any more. `lacking` is what the embedded engine lacks. An error means that it could
/// not be loaded, and nothing was told yet.
pub(super) async fn run(
    start: &Start,
    orders: &mut Receiver<Order>,
    loaded: &Loaded,
    lacking: Option<Failed>,
) -> Result<(), HooksError> {
    let Some(program) = find(start) else {
        return Err(match lacking {
            Some(what) => HooksError::NoNode(what),
            None => HooksError::Node("there is no `node` on the PATH".into()),
        });
    };
    if let Some(what) = lacking {
        start.sink.note(&format!("the processor runs in {}: {what}", program.display()));
    }
    let flags = flags(&program)?;
    let mut sidecar = Sidecar::start(start, &program, flags)?;
    let functions = sidecar.load().await?;
    if loaded.send(Ok((functions, Runtime::Node))).is_err() {
        return Ok(());
    }
    for _ in 0..MOST_STARTS {
        let failure = match sidecar.serve(start, orders).await {
            Ended::Closed => {
                sidecar.desk.fail_all(&Failure::new("ERR_HOOK_ENDED", "the run is over"));
                sidecar.close().await;
                return Ok(());
            }
            Ended::Stuck => {
                Failure::new("ERR_HOOK_BUSY", format!("{}, and node had to be ended", busy(start.limits.run)))
            }
            Ended::Died => sidecar.death().await,
        };
        sidecar.desk.fail_all(&failure);
        start.sink.note(&format!("node is started anew ({failure}): what the processor kept in its modules is lost"));
        sidecar.kill();
        let again = match Sidecar::start(start, &program, flags) {
            Ok(again) => {
                sidecar = again;
                sidecar.load().await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = again {
            start.sink.note(&format!("the processor could not be started anew: {error}"));
            return Ok(());
        }
    }
    start.sink.note("node was started anew too often: the processor has ended");
    Ok(())
}

/// The program that the run's `PATH` leads to.
fn find(start: &Start) -> Option<PathBuf> {
    let folders = std::env::split_paths(start.source.environment.get("PATH")?).collect::<Vec<_>>();
    folders.into_iter().map(|folder| folder.join("node")).find(|program| program.is_file())
}

/// What this version has to be told so that it takes ES modules in `.js`.
fn flags(program: &Path) -> Result<&'static [&'static str], HooksError> {
    let broken = |why: String| HooksError::Node(format!("{}: {why}", program.display()));
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| broken(error.to_string()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        (0..18, _) => Err(broken(format!("`{version}` is older than 18"))),
        (20, 10..) | (21, 1..) => Ok(&["--experimental-detect-module"]),
        _ => Ok(&[]),
    }
}

fn busy(run: Duration) -> String {
    format!("it ran for more than {run:?} without a pause")
}

/// Why it takes no more calls.
enum Ended {
    /// Nobody calls any more.
    Closed,
    /// It does not answer.
    Stuck,
    /// It is gone.
    Died,
}

struct Sidecar {
    desk: Desk,
    child: Child,
    input: Option<pipe::Sender>,
    output: Lines,
    errors: Lines,
    waiting: Vec<u8>,
    /// How loading went, once it is over.
    loaded: Option<Result<String, String>>,
    pinged: Option<Moment>,
    out_of_memory: bool,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Sidecar {
    fn start(start: &Start, program: &Path, flags: &[&str]) -> Result<Self, HooksError> {
        let limits = start.limits;
        let settings = json!({
            "file": start.source.file, "main": std::env::current_exe().unwrap_or_default(),
            "testRunId": start.source.test_run_id, "run": limits.run.as_secs_f64() * 1000.0, "busy": busy(limits.run),
            "deep": format!("it calls itself without end: the stack of {} bytes is full", limits.stack),
        });
        let (host, node) = (include_str!("host/host.js").trim(), include_str!("host/node.js").trim());
        let version = env!("CARGO_PKG_VERSION");
        let script = format!("{}(\n{},\n{version:?}, {settings})", bare(node), bare(host));
        let mut command = Command::new(program);
        command
            .arg(format!("--max-old-space-size={}", (limits.heap >> 20).max(16)))
            .arg(format!("--stack-size={}", (limits.stack >> 10).clamp(64, 900)))
            .arg("--no-warnings")
            .args(flags)
            .args(["-e", &script])
            .env_clear()
            .envs(&start.source.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl+C is for pyperf: users that may finish still need it.
            .process_group(0);
        if !start.settings.tls.verify {
            command.env("NODE_TLS_REJECT_UNAUTHORIZED", "0");
        }
        let mut child = command.spawn().map_err(|error| HooksError::Node(error.to_string()))?;
        match Pipes::of(&mut child) {
            Ok(Pipes { input, output, errors }) => Ok(Self {
                desk: start.desk(),
                child,
                input: Some(input),
                output: Lines::new(output, 8 * limits.text + PIECE),
                errors: Lines::new(errors, PIECE),
                waiting: Vec::new(),
                loaded: None,
                pinged: None,
                out_of_memory: false,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    async fn load(&mut self) -> Result<Functions, HooksError> {
        let give_up = self.desk.clock.now() + self.desk.limits.load;
        loop {
            let left = give_up.since(self.desk.clock.now());
            let heard = tokio::time::timeout(left, self.listen()).await;
            if let Some(loaded) = self.loaded.take() {
                return match loaded {
                    Ok(functions) => {
                        serde_json::from_str(&functions).map_err(|error| HooksError::Node(error.to_string()))
                    }
                    Err(described) => Err(HooksError::Failed(Described::read(&described).failed(&self.desk.folder))),
                };
            }
            match heard {
                Ok(true) => {}
                Ok(false) => return Err(HooksError::Node(self.death().await.message)),
                Err(_) => {
                    let message = format!("it is not loaded after {:?}", self.desk.limits.load);
                    return Err(HooksError::Failed(Failed { message, at: None }));
                }
            }
        }
    }

    async fn serve(&mut self, start: &Start, orders: &mut Receiver<Order>) -> Ended {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let may_take = self.waiting.len() < MOST_WAITING;
            let wait = self.until_next();
            tokio::select! {
                count = orders.recv_many(&mut batch, BATCH), if may_take => {
                    if count == 0 || start.shared.is_closing() {
                        return Ended::Closed;
                    }
                    for order in batch.drain(..) {
                        self.order(order);
                    }
                }
                heard = self.turn() => {
                    if !heard {
                        return Ended::Died;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            for user in start.shared.gone() {
                self.desk.forget(user);
                self.send(&json!(["f", user]));
            }
            for id in self.desk.expire() {
                self.send(&json!(["a", id]));
            }
            if self.is_stuck() {
                return Ended::Stuck;
            }
        }
    }

    /// Hands a call over.
    fn order(&mut self, order: Order) {
        let Some(out) = self.desk.admit(order) else { return };
        let variables = out.fresh.then(|| self.desk.variables(out.user));
        let person = out.fresh.then(|| self.desk.person(out.user)).flatten();
        let person = person.map(|person| json!({"uid": person.uid, "scenario": &*person.scenario}).to_string());
        self.send(&json!(["c", out.id, out.user, out.kind, out.index, out.arguments, out.fresh, variables, person]));
    }

    fn send(&mut self, message: &Value) {
        self.waiting.extend_from_slice(message.to_string().as_bytes());
        self.waiting.push(b'\n');
    }

    /// While calls are under way, it has to answer within the time that a hook may take.
    fn is_stuck(&mut self) -> bool {
        if self.desk.is_idle() {
            self.pinged = None;
            return false;
        }
        let now = self.desk.clock.now();
        match self.pinged {
            None => {
                self.pinged = Some(now);
                self.send(&json!(["p", 0]));
                false
            }
            Some(pinged) => now > pinged + self.patience(),
        }
    }

    fn patience(&self) -> Duration {
        self.desk.limits.run * 2 + GRACE
    }

    /// How long there is nothing to do but to listen.
    fn until_next(&self) -> Duration {
        let watch = self.pinged.map(|pinged| pinged + self.patience() + Duration::from_millis(1));
        let next = [watch, self.desk.next_due()].into_iter().flatten().min();
        next.map_or(Duration::from_secs(3600), |next| next.since(self.desk.clock.now()))
    }

    /// Writes or reads a piece; false when the other side is gone.
    async fn turn(&mut self) -> bool {
        if self.waiting.is_empty() {
            return self.listen().await;
        }
        let Self { input: Some(input), output, errors, waiting, .. } = self else { return false };
        tokio::select! {
            written = input.write(waiting) => match written {
                Ok(count) if count > 0 => {
                    waiting.drain(..count);
                    true
                }
                _ => false,
            },
            more = output.read() => {
                self.take();
                more
            }
            more = errors.read(), if !errors.ended => {
                errors.ended = !more;
                self.take();
                true
            }
        }
    }

    async fn listen(&mut self) -> bool {
        let Self { output, errors, .. } = self;
        let more = tokio::select! {
            more = output.read() => more,
            more = errors.read(), if !errors.ended => {
                errors.ended = !more;
                true
            }
        };
        self.take();
        more
    }

    /// Takes in the lines that have come.
    fn take(&mut self) {
        while let Some(line) = self.output.next() {
            match line.strip_prefix(&[SIGN]).and_then(|line| serde_json::from_slice::<Vec<Value>>(line).ok()) {
                Some(message) => self.heard(message),
                None => self.desk.sink.console(&String::from_utf8_lossy(&line)),
            }
        }
        while let Some(line) = self.errors.next() {
            let line = String::from_utf8_lossy(&line);
            self.out_of_memory |= line.contains("heap out of memory");
            self.desk.sink.console(&line);
        }
    }

    fn heard(&mut self, message: Vec<Value>) {
        let mut parts = message.into_iter();
        let kind = parts.next();
        let kind = kind.as_ref().and_then(Value::as_str);
        if kind == Some("r") {
            let id = parts.next().and_then(|id| u32::try_from(id.as_u64()?).ok());
            let failure = parts.next().and_then(text_of);
            let verdict = parts.next().and_then(|verdict| verdict.as_bool()).unwrap_or_default();
            let [variables, request, emitted] = std::array::from_fn(|_| parts.next().and_then(text_of));
            if let Some(id) = id {
                self.desk.reply(id, Reply { failure, verdict, variables, request, emitted });
            }
            return;
        }
        let mut text = || parts.next().and_then(text_of);
        match kind {
            Some("l") => {
                let failure = text();
                let functions = text();
                self.loaded = Some(failure.map_or_else(|| Ok(functions.unwrap_or_default()), Err));
            }
            Some("n") => self.desk.sink.note(&text().unwrap_or_default()),
            Some("s") => self.desk.sink.console(&text().unwrap_or_default()),
            Some("f") => {
                let (line, stack) = (text().unwrap_or_default(), text().unwrap_or_default());
                match failure::place(&stack, &self.desk.folder) {
                    Some(place) => self.desk.sink.note(&format!("{line} ({place})")),
                    None => self.desk.sink.note(&line),
                }
            }
            Some("p") => self.pinged = None,
            _ => {}
        }
    }

    /// What it died of.
    async fn death(&mut self) -> Failure {
        if self.out_of_memory {
            let message = format!("it needs more memory than {} bytes, and node has ended", self.desk.limits.heap);
            return Failure::new("ERR_HOOK_MEMORY", message);
        }
        // Its pipes close a moment before it is gone.
        let mut status = None;
        for _ in 0..100 {
            status = self.child.try_wait().ok().flatten();
            if status.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = status.map_or_else(String::new, |status| format!(": {status}"));
        Failure::new("ERR_HOOK_NODE", format!("node has ended{status}"))
    }

    /// Closes its input, which ends it, and waits for that for a moment.
    async fn close(&mut self) {
        self.input = None;
        let wait = async { while self.listen().await {} };
        let _ = tokio::time::timeout(GRACE, wait).await;
    }

    fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A script without its leading comment.
fn bare(script: &str) -> &str {
    script.find("(function").and_then(|start| script.get(start..)).unwrap_or(script)
}
