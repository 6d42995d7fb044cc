"""One gevent.Timeout covers all the waits in its block.

>>> main()
got b'1'
gave up
"""

import gevent
from gevent import socket


def main():
    a, b = socket.socketpair()
    b.sendall(b"1")
    with gevent.Timeout(0.01, False):
        print("got", a.recv(100))
        a.recv(100)  # b has no more to say
        print("never printed")
    print("gave up")
