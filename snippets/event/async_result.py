"""An AsyncResult brings one value to all who wait.

>>> main()
a got 42
b got 42
who comes late got 42
"""

import gevent
from gevent.event import AsyncResult

result = AsyncResult()


def reader(name):
    print(name, "got", result.get())


def main():
    a = gevent.spawn(reader, "a")
    b = gevent.spawn(reader, "b")
    gevent.spawn(result.set, 42)
    gevent.joinall([a, b])
    reader("who comes late")
