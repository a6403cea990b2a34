"""Two threads that never rest, so that one of them waits for the GIL at any moment."""

import threading


def spin():
    number = 0
    while True:
        number += 1


threading.Thread(name="rival", target=spin).start()
print("ready", flush=True)
spin()
