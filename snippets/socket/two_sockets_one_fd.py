"""Two socket objects of one descriptor each wait for themselves.

>>> main()
first got b'x'
second got b'y'
"""

import gevent
from gevent import socket


def read(name, sock):
    print(name, "got", sock.recv(100))


def main():
    a, b = socket.socketpair()
    twin = socket.socket(fileno=a.fileno())
    first = gevent.spawn(read, "first", a)
    second = gevent.spawn(read, "second", twin)
    gevent.sleep(0)
    b.sendall(b"x")
    first.join()
    b.sendall(b"y")
    second.join()
    twin.detach()
