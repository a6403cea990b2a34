"""Four threads, each in a state of its own under a name of its own; the main thread waits for one that never ends."""

import threading
import time

from work import UNIT


def spin():
    while True:
        for number in UNIT:
            number * number


def nap():
    while True:
        time.sleep(0.05)


def wait_for_event():
    threading.Event().wait()


def wait_for_lock(lock):
    lock.acquire()


def main():
    lock = threading.Lock()
    lock.acquire()
    threads = [
        threading.Thread(name="spinner", target=spin),
        threading.Thread(name="napper", target=nap),
        threading.Thread(name="event-waiter", target=wait_for_event),
        threading.Thread(name="lock-waiter", target=wait_for_lock, args=(lock,)),
    ]
    for thread in threads:
        thread.daemon = True
        thread.start()
    print("ready", flush=True)
    threads[0].join()


main()
