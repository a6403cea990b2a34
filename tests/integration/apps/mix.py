"""Spends 70 % of its CPU time in `seventy` and 30 % in `thirty`, for ever."""

from work import mix


def main():
    print("ready", flush=True)
    while True:
        mix(100)


main()
