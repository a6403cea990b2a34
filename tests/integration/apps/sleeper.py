"""A main thread asleep at the bottom of thirty functions, `level_01` to `level_30`, and a thread "background" that waits for an event.

The levels are written out: a recursion would have one name on the stack thirty times.
"""

import threading
import time


def background_wait():
    threading.Event().wait()


def level_30():
    print("ready", flush=True)
    while True:
        time.sleep(0.05)


def level_29():
    level_30()


def level_28():
    level_29()


def level_27():
    level_28()


def level_26():
    level_27()


def level_25():
    level_26()


def level_24():
    level_25()


def level_23():
    level_24()


def level_22():
    level_23()


def level_21():
    level_22()


def level_20():
    level_21()


def level_19():
    level_20()


def level_18():
    level_19()


def level_17():
    level_18()


def level_16():
    level_17()


def level_15():
    level_16()


def level_14():
    level_15()


def level_13():
    level_14()


def level_12():
    level_13()


def level_11():
    level_12()


def level_10():
    level_11()


def level_09():
    level_10()


def level_08():
    level_09()


def level_07():
    level_08()


def level_06():
    level_07()


def level_05():
    level_06()


def level_04():
    level_05()


def level_03():
    level_04()


def level_02():
    level_03()


def level_01():
    level_02()


threading.Thread(name="background", target=background_wait, daemon=True).start()
level_01()
