"""Two greenlets sleep at once; the shorter wakes first.

>>> main()
b woke
a woke
"""

import gevent


def sleeper(name, seconds):
    gevent.sleep(seconds)
    print(name, "woke")


def main():
    a = gevent.spawn(sleeper, "a", 0.05)
    b = gevent.spawn(sleeper, "b", 0.01)
    gevent.joinall([a, b])
