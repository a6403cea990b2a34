"""How the booking office is served: two plain workers on a free port of this machine alone."""

import ctypes
import signal

import booking

bind = "127.0.0.1:0"
workers = 2
worker_class = "sync"
graceful_timeout = 2
control_socket_disable = True
wsgi_app = "booking:app"

# Should pyperf be killed before it can end this server, the kernel does (PR_SET_PDEATHSIG of linux/prctl.h).
ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
# pyperf has blocked the signals that it waits for, and who blocks them hands that down.
signal.pthread_sigmask(signal.SIG_SETMASK, [])


def on_starting(_server):
    booking.seed()
