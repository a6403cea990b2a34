"""Threads that wait inside a request, each named after what it waits for; one that sleeps outside, and the idle main thread."""

import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

# The frame that stands around a request of werkzeug.
SCOPE = {}
exec(compile("def run_wsgi(work):\n    work()\n", "/srv/werkzeug/serving.py", "exec"), SCOPE)

server = socket.socket()
if os.environ.get("LOOPBACK_IS_DOWN"):
    # SIOCSIFFLAGS with IFF_UP and IFF_RUNNING, of netdevice(7).
    fcntl.ioctl(server, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
server.bind(("127.0.0.1", 0))
server.listen(8)
address = "127.0.0.1:%d" % server.getsockname()[1]
lock = threading.Lock()
lock.acquire()
reader, writer = os.pipe()
one, other = socket.socketpair()
epoll = select.epoll()
epoll.register(reader)


def connected(timeout):
    client = socket.create_connection(server.getsockname())
    client.settimeout(timeout)
    accepted.append(server.accept()[0])
    return client


accepted = []
plain, timed = connected(None), connected(3600)
# Up to 3.10 Python slept in select.
nap = "sleep" if sys.version_info >= (3, 11) else "select"
waits = {
    "recv " + address: lambda: plain.recv(1),
    "poll " + address: lambda: timed.recv(1),
    "recv client of " + address: lambda: accepted[0].recv(1),
    "recv unix socket": lambda: one.recv(1),
    "accept " + address: server.accept,
    "read pipe": lambda: os.read(reader, 1),
    "lock": lock.acquire,
    nap: lambda: time.sleep(3600),
    "epoll_wait": lambda: epoll.poll(3600),
}
for name, wait in waits.items():
    threading.Thread(name=name, target=SCOPE["run_wsgi"], args=(wait,)).start()
threading.Thread(name="idle", target=time.sleep, args=(3600,)).start()
print("ready", flush=True)
time.sleep(3600)
