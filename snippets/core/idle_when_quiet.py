"""Idle is called while there is nothing else to do.

>>> main()
timer
idle 1
idle 2
"""

from itertools import count

from gevent import core

loop = core.loop()
idle = loop.idle()
numbers = count(1)


def quiet():
    number = next(numbers)
    print("idle", number)
    if number == 2:
        idle.stop()


def main():
    idle.start(quiet)
    timer = loop.timer(0)
    timer.start(print, "timer")
    loop.run()
