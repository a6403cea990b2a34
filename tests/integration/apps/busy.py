"""A single thread that never rests, on the first core that it may use."""

import os

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
print("ready", flush=True)
number = 0
while True:
    number += 1
