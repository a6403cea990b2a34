"""A single thread that works for some milliseconds at a time, and sleeps in between."""

import time

print("ready", flush=True)
while True:
    end = time.process_time() + 0.004
    while time.process_time() < end:
        pass
    for _ in range(8):
        time.sleep(0.001)
