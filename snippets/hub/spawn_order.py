"""spawn() runs nothing yet; the tasks start when we wait.

>>> main()
both spawned
a
b
both done
"""

import gevent


def main():
    a = gevent.spawn(print, "a")
    b = gevent.spawn(print, "b")
    print("both spawned")
    gevent.joinall([a, b])
    print("both done")
