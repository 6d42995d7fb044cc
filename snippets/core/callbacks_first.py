"""Callbacks run in order, before any timer that is due.

>>> main()
one
two
timer
"""

import time

from gevent import core

loop = core.loop()


def main():
    timer = loop.timer(0.001)
    timer.start(print, "timer")
    time.sleep(0.002)  # due before the loop runs
    loop.run_callback(print, "one")
    loop.run_callback(print, "two")
    loop.run()
