//! What a stack proves: that it serves a request, and which of gunicorn's processes it belongs to.
//!
//! A thread that sleeps inside a request is waiting; one that sleeps outside is idle. The line between the two is a frame of
//! the server that exists from the moment a request is taken up until its response is sent. The functions are those of
//! gunicorn 20 to 27, and of the servers that gunicorn's workers or other Python trees use in its place.

use std::ops::Deref;

use crate::process::{Role, gunicorn};
use crate::recording::{Frame, ThreadStack};

/// Function and end of file of the frames that stand around a request.
const SERVING: &[(&str, &str)] = &[
    // From accept on: a client that is slow to send its request keeps a sync worker as busy as the request itself.
    ("handle", "gunicorn/workers/sync.py"),
    ("handle", "gunicorn/workers/gthread.py"),
    ("handle_request", "gunicorn/workers/base_async.py"),
    ("handle_http2_request", "gunicorn/workers/base_async.py"),
    ("_handle_http_request", "gunicorn/asgi/protocol.py"),
    ("handle_one_response", "gevent/pywsgi.py"),
    ("handle_one_response", "eventlet/wsgi.py"),
    ("run_asgi", "uvicorn/protocols/http/h11_impl.py"),
    ("run_asgi", "uvicorn/protocols/http/httptools_impl.py"),
    ("run_wsgi", "werkzeug/serving.py"),
    ("service", "waitress/task.py"),
    ("run", "wsgiref/handlers.py"),
    ("trace_task", "celery/app/trace.py"),
];

/// Whether a stack, in any order, stands inside a request.
#[must_use]
pub fn is_serving<F: Deref<Target = Frame>>(frames: &[F]) -> bool {
    frames.iter().any(|frame| is_of_request(frame))
}

/// Whether a frame stands around a request.
#[must_use]
pub fn is_of_request(frame: &Frame) -> bool {
    // Python 3.11 and later know qualified names: `SyncWorker.handle`.
    let function = frame.function.rsplit('.').next().unwrap_or_default();
    SERVING.iter().any(|(serving, file)| *serving == function && frame.file.ends_with(file))
}

/// The role in a gunicorn tree that the stacks of a process prove, if any of them does.
#[must_use]
pub fn proven_role(stacks: &[ThreadStack]) -> Option<Role> {
    let of_thread = |thread: &ThreadStack| {
        let frames = thread.stack.frames().into_iter();
        gunicorn::role_from_stack(frames.map(|frame| (frame.function.as_str(), frame.file.as_str())))
    };
    stacks.iter().find_map(of_thread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn frame(function: &str, file: &str) -> Frame {
        Frame { function: function.into(), file: file.into(), ..Frame::default() }
    }

    #[test]
    fn a_request_is_known_with_and_without_qualified_names() {
        let sync = "/srv/venv/lib/python3.11/site-packages/gunicorn/workers/sync.py";
        assert!(is_serving(&[Arc::new(frame("SyncWorker.handle", sync)), Arc::new(frame("view", "app.py"))]));
        assert!(is_of_request(&frame("handle", sync)));
        assert!(!is_of_request(&frame("SyncWorker.wait", sync)));
        assert!(!is_of_request(&frame("handle", "/srv/app/sync.py")));
        assert!(!is_serving::<Arc<Frame>>(&[]));
    }
}
