"""Forty threads asleep at the bottom of four hundred calls each: few processes have more to say in one sample."""

import threading


def deeper(calls, arrived):
    if calls > 0:
        deeper(calls - 1, arrived)
    arrived.release()
    threading.Event().wait()


arrived = threading.Semaphore(0)
for number in range(40):
    threading.Thread(name="sleeper-%d" % number, target=deeper, args=(400, arrived), daemon=True).start()
for number in range(40):
    arrived.acquire()
print("ready", flush=True)
threading.Event().wait()
