"""A full pipe is ready for writing once somebody reads.

>>> main()
the pipe took it all: False
read some
there is room
"""

import os

from gevent import core

loop = core.loop()
r, w = os.pipe()
writer = loop.io(w, core.WRITE)
timer = loop.timer(0.01)


def drain():
    os.read(r, 65536)
    print("read some")


def room():
    print("there is room")
    writer.stop()


def main():
    os.set_blocking(w, False)
    data = bytes(10_000_000)
    taken = os.write(w, data)
    print("the pipe took it all:", taken == len(data))
    writer.start(room)
    timer.start(drain)
    loop.run()
