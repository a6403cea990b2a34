"""Shapes of stacks, one after the other: at each it says "at NAME" and stands still until a line comes in.

Every shape is one that a reader of stacks must not get wrong: frames in generators and coroutines, C code between frames, more
frames than one chunk of the data stack holds, code that is compiled anew again and again, names in any script.
"""

import asyncio
import functools
import os
import sys
import threading
import time


def stand(name):
    print("at", name, flush=True)
    sys.stdin.readline()


def recursion(depth):
    if depth:
        return recursion(depth - 1)
    stand("recursion")


def through_c(depth):
    if depth:
        return sorted([depth], key=lambda level: through_c(level - 1))
    stand("through c")


def countdown(depth):
    if depth:
        yield from countdown(depth - 1)
    else:
        stand("generators")
        yield


def outer_expression():
    return [
        value
        for value in (
            inner
            for inner in
            countdown(40)
        )
    ]


async def awaited(depth):
    if depth:
        await awaited(depth - 1)
    else:
        stand("coroutines")


class Shaped:
    def __init__(self, depth):
        with self:
            self.depth = (
                depth if depth == 0
                else Shaped(depth - 1)
            )
        if depth == 0:
            self()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    @property
    def shape(self):
        return max(
            1,
            2 if self.depth == 0 and stand("classes") else 3,
        )

    def __call__(self):
        try:
            raise KeyError
        except KeyError:
            return self.shape


def compiled():
    """Code objects that are freed and made anew, many at the same address."""
    for turn in range(300):
        lines = "\n" * turn
        source = f"{lines}def made_{turn}(stand):\n    if stand: stand('compiled {turn}')\n"
        space = {}
        exec(compile(source, f"made_{turn}.py", "exec"), space)
        space[f"made_{turn}"](stand if turn % 100 == 99 else None)


def names():
    source = "def größe(stand):\n    def 関数(stand):\n        stand('names')\n    関数(stand)\n"
    space = {}
    exec(compile(source, "verzeichnis/файл_😀.py", "exec"), space)
    space["größe"](stand)
    long = "long_" * 200
    exec(compile(f"def {long}(stand):\n  stand('long names')\n", "x" * 3000, "exec"), space)
    space[long](stand)
    endless = "endless_" * 600
    exec(compile(f"def {endless}(stand):\n  stand('endless names')\n", "endless.py", "exec"), space)
    space[endless](stand)


def threads():
    ends = [threading.Event() for _ in range(20)]
    waiting = threading.Semaphore(0)

    def wait(end):
        waiting.release()
        end.wait()

    pool = [threading.Thread(target=wait, args=(end,), name=f"waits {n}") for n, end in enumerate(ends)]
    for thread in pool:
        thread.start()
    for _ in pool:
        waiting.acquire()
    time.sleep(0.2)
    stand("threads")
    for thread, end in zip(pool[::2], ends[::2]):
        end.set()
        thread.join()
    stand("half of the threads")
    for thread, end in zip(pool, ends):
        end.set()
        thread.join()
    stand("no threads")


def fork():
    """The parent waits for the child, which stands and then becomes another program."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        recursion_in_child(30)


def recursion_in_child(depth):
    if depth:
        return recursion_in_child(depth - 1)
    stand(f"child {os.getpid()}")
    os.execv(sys.executable, [sys.executable, "-c", "print('at exec', flush=True); import sys; sys.stdin.readline()"])


if __name__ == "__main__":
    recursion(10)
    recursion(900)
    through_c(60)
    outer_expression()
    asyncio.run(awaited(30))
    Shaped(5)
    functools.reduce(lambda one, two: stand("reduce"), [1, 2])
    compiled()
    names()
    threads()
    fork()
    stand("the end")
