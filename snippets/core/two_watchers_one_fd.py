"""Two watchers may wait for one file descriptor.

>>> main()
a can be written to
a can be read: b'hi'
"""

import socket

from gevent import core

loop = core.loop()
a, b = socket.socketpair()
reader = loop.io(a.fileno(), core.READ)
writer = loop.io(a.fileno(), core.WRITE)


def can_write():
    print("a can be written to")
    writer.stop()
    b.send(b"hi")


def can_read():
    print("a can be read:", a.recv(2))
    reader.stop()


def main():
    reader.start(can_read)
    writer.start(can_write)
    loop.run()
