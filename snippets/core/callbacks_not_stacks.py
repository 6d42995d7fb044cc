"""A callback has no stack to come back to.

>>> main()
got b'h'
got b'hi'
echo b'hi'
"""

import socket

from gevent import core

loop = core.loop()
a, b = socket.socketpair()
reader = loop.io(b.fileno(), core.READ)
got = bytearray()  # outlives each call


def readable():
    got.extend(b.recv(1))
    print("got", bytes(got))
    if len(got) == 2:
        reader.stop()
        b.send(got)


def main():
    a.send(b"hi")
    reader.start(readable)
    loop.run()
    print("echo", a.recv(2))
