"""A flag that stays up stops nobody: wait() is no pause.

>>> main()
turn 1
turn 2
turn 3
the other one runs
"""

import gevent
from gevent.event import Event


def turns(event):
    for n in 1, 2, 3:
        event.wait()  # returns at once, without a switch
        print("turn", n)


def main():
    event = Event()
    event.set()
    a = gevent.spawn(turns, event)
    b = gevent.spawn(print, "the other one runs")
    gevent.joinall([a, b])
