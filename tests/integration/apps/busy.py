"""As many threads as are asked for that never rest, all on one core."""

import os
import threading


def spin():
    number = 0
    while True:
        number += 1


os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
threading.Thread(target=spin).start() if os.environ.get("BUSY_THREADS") == "2" else None
print("ready", flush=True)
spin()
