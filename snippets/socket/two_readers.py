"""Two greenlets may not read from one socket at once.

>>> main()
second: ConcurrentObjectUseError
first got b'x'
"""

import gevent
from gevent import socket


def read(name, sock):
    try:
        print(name, "got", sock.recv(100))
    except AssertionError as error:
        print(f"{name}: {type(error).__name__}")


def main():
    a, b = socket.socketpair()
    first = gevent.spawn(read, "first", a)
    second = gevent.spawn(read, "second", a)
    second.join()
    b.sendall(b"x")
    first.join()
