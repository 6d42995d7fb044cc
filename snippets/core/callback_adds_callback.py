"""A callback's own callback runs before timers too.

>>> main()
one
two
timer
"""

import time

from gevent import core

loop = core.loop()


def one():
    print("one")
    loop.run_callback(print, "two")


def main():
    timer = loop.timer(0.001)
    timer.start(print, "timer")
    time.sleep(0.002)  # due before the loop runs
    loop.run_callback(one)
    loop.run()
