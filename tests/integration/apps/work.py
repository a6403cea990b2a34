"""The work that the sample applications do: each kind in a function of its own, so that a test knows which name to look for.

Runs on Python 3.6 and later.
"""

import os
import sys
import time

UNIT = range(1000)


def slow_query(seconds):
    """Waits off the CPU, as for a database."""
    time.sleep(seconds)


def burn_cpu(seconds):
    """Keeps the CPU busy in pure Python, with no call inside the loop but the clock's."""
    end = time.time() + seconds
    while time.time() < end:
        for number in UNIT:
            number * number


def seventy():
    """Seven units of work: the same loop as in `thirty`, so 7:3 holds by construction and needs no clock."""
    for _ in range(7):
        for number in UNIT:
            number * number


def thirty():
    """Three units of work."""
    for _ in range(3):
        for number in UNIT:
            number * number


def mix(rounds):
    """70 % of the CPU time in `seventy` and 30 % in `thirty`, interleaved every fraction of a millisecond."""
    for _ in range(rounds):
        seventy()
        thirty()


def held_request(gate):
    """Says on the log that it is held, and returns once the file `gate` exists."""
    sys.stderr.write("held by {}\n".format(gate))
    sys.stderr.flush()
    while not os.path.exists(gate):
        time.sleep(0.05)
