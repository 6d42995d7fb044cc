"""While one greenlet waits in recv(), the others run.

>>> main()
reader waits
main counts 1
main counts 2
reader got b'x'
"""

import gevent
from gevent import socket


def read(sock):
    print("reader waits")
    print("reader got", sock.recv(100))


def main():
    a, b = socket.socketpair()
    reader = gevent.spawn(read, a)
    for number in 1, 2:
        gevent.sleep(0)
        print("main counts", number)
    b.sendall(b"x")
    reader.join()
