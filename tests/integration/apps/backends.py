"""A WSGI application whose view opens a new connection to a slow server for each request, with a timeout or without."""

import socket
import threading
import time

slow = socket.socket()
slow.bind(("127.0.0.1", 0))
slow.listen(8)


def serve():
    while True:
        peer = slow.accept()[0]
        time.sleep(0.03)
        peer.sendall(b"x")
        peer.close()


def ask_backend(timeout):
    with socket.create_connection(slow.getsockname()) as backend:
        backend.settimeout(timeout)
        backend.recv(1)


def application(environ, start_response):
    """Asks the backend twice, and answers with its address."""
    for timeout in (None, 60):
        ask_backend(timeout)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s:%d" % (slow.getsockname()[0].encode(), slow.getsockname()[1])]


threading.Thread(target=serve, daemon=True).start()
