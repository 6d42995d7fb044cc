"""close() in one greenlet raises in the one that reads.

>>> main()
reader waits
main closes
reader got EBADF
"""

import errno

import gevent
from gevent import socket


def read(sock):
    print("reader waits")
    try:
        sock.recv(100)
    except OSError as error:
        print("reader got", errno.errorcode[error.errno])


def main():
    a, b = socket.socketpair()
    reader = gevent.spawn(read, a)
    gevent.sleep(0)  # let it wait
    print("main closes")
    a.close()
    reader.join()
    b.close()
