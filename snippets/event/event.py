"""An Event lets many wait for one who says: now.

>>> main()
a waits
b waits
now
a goes on
b goes on
"""

import gevent
from gevent.event import Event

now = Event()


def runner(name):
    print(name, "waits")
    now.wait()
    print(name, "goes on")


def main():
    a = gevent.spawn(runner, "a")
    b = gevent.spawn(runner, "b")
    gevent.sleep(0)
    print("now")
    now.set()
    gevent.joinall([a, b])
