"""A Socket.IO server for python-socketio 4 (Engine.IO 3) and 5 (Engine.IO 4), as its environment has it.

SOCKETIO_MODE is the worker's: eventlet or gevent. SOCKETIO_PING is the interval of pings in seconds. What happens is said in one line each, so that a test can wait for it.
"""

import os
import sys

import socketio

# With Engine.IO 3 a request waits as long as the timeout, which must be longer than the interval.
pings = float(os.environ.get("SOCKETIO_PING", "25"))
server = socketio.Server(
    async_mode=os.environ["SOCKETIO_MODE"],
    cors_allowed_origins="*",
    ping_interval=pings,
    ping_timeout=2 * pings,
)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


@server.on("connect")
def connect(sid, environ, auth=None):
    say("connect:", environ.get("HTTP_COOKIE"), environ["QUERY_STRING"], auth)
    if "HTTP_X_REFUSE" in environ:
        raise socketio.exceptions.ConnectionRefusedError("not you")
    server.emit("welcome", {"n": 1}, room=sid)


@server.on("disconnect")
def disconnect(sid, reason=None):
    say("server: disconnect")


@server.on("echo")
def echo(sid, *data):
    return data


@server.on("joinRoom")
def join_room(sid, data):
    server.emit("joinRoomSuccess", data, room=sid)


@server.on("many")
def many(sid, count):
    for number in range(count):
        server.emit("one", number, room=sid)


@server.on("leave")
def leave(sid):
    server.disconnect(sid)


@server.on("silent")
def silent(sid):
    server.start_background_task(lambda: server.emit("question", "?", room=sid, callback=lambda *answer: say("answer:", *answer)))


@server.on("bytes")
def reversed_bytes(sid, data):
    server.emit("bytes", (data["piece"][::-1], {"length": len(data["piece"])}), room=sid)
    return b"ok"


@server.on("connect", namespace="/chat")
def connect_chat(sid, environ, auth=None):
    say("chat:", auth)


@server.on("echo", namespace="/chat")
def echo_chat(sid, data):
    return "chat", data


@server.on("connect", namespace="/closed")
def connect_closed(sid, environ, auth=None):
    raise socketio.exceptions.ConnectionRefusedError("no such room")


application = socketio.WSGIApp(server)
