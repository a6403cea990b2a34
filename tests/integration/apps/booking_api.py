"""A booking API: HTTP behind a token, Socket.IO behind a cookie, and an identity provider, in one application.

SOCKETIO_MODE is the worker's. Every request and event is said in one line.
"""

import json
import os
import sys

import socketio

server = socketio.Server(async_mode=os.environ["SOCKETIO_MODE"], cors_allowed_origins="*")


def say(*words):
    # In one piece: greenlets take turns.
    sys.stderr.write(" ".join(map(str, words)) + "\n")
    sys.stderr.flush()


@server.on("connect")
def connect(sid, environ, auth=None):
    say("connect:", environ.get("HTTP_COOKIE"))


@server.on("joinRoom")
def join_room(sid, data=None):
    say("joinRoom:", data)
    server.emit("joinRoomSuccess", to=sid)


def http(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    token = environ.get("HTTP_AUTHORIZATION", "")
    say("request:", method, path, token)
    if path == "/auth/token":
        status, answer = "200 OK", {"access_token": "a-token-of-the-provider", "expires_in": 300}
    elif token != "Bearer a-token-of-the-provider":
        status, answer = "401 Unauthorized", {"message": "no token"}
    elif path.startswith("/api/v1/appointments/undefined"):
        status, answer = "404 Not Found", {"message": "no such appointment"}
    elif method == "POST":
        # There is no id in it: whoever wants to go on must not mind.
        status, answer = "201 Created", {"appointment": {}}
    elif method == "DELETE":
        status, answer = "204 No Content", None
    else:
        status, answer = "200 OK", {"items": [1, 2, 3]}
    body = b"" if answer is None else json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


application = socketio.WSGIApp(server, http)
