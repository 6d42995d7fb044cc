"""sleep(0) lets every task that is ready run once.

>>> main()
a 1
b 1
a 2
b 2
"""

import gevent


def task(name):
    print(name, 1)
    gevent.sleep(0)
    print(name, 2)


def main():
    a = gevent.spawn(task, "a")
    b = gevent.spawn(task, "b")
    gevent.joinall([a, b])
