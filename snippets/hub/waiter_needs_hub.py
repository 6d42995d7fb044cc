"""Only the hub may wake a greenlet that waits.

>>> main()
task was refused
main got a value
"""

import gevent
from gevent.hub import Waiter, get_hub


def bring(waiter):
    try:
        waiter.switch("a value")
    except AssertionError:
        print("task was refused")
    get_hub().loop.run_callback(waiter.switch, "a value")


def main():
    waiter = Waiter()
    gevent.spawn(bring, waiter)
    print("main got", waiter.get())
