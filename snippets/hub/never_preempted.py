"""A busy task lets nobody in, however late they are.

>>> main()
busy begins
busy ends
sleeper wakes
"""

import time

import gevent


def sleeper():
    gevent.sleep(0.001)
    print("sleeper wakes")


def busy():
    print("busy begins")
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    print("busy ends")


def main():
    a = gevent.spawn(sleeper)
    b = gevent.spawn(busy)
    gevent.joinall([a, b])
