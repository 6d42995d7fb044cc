"""A Unix socket carries open files to the other side.

>>> main()
worker waits
worker got b'a pipe'
main read b'from the worker'
"""

import os

import gevent
from gevent import socket


def work(sock):
    print("worker waits")
    message, fds, _, _ = socket.recv_fds(sock, 100, 1)
    print("worker got", message)
    os.write(fds[0], b"from the worker")
    os.close(fds[0])


def main():
    a, b = socket.socketpair()  # of Unix
    worker = gevent.spawn(work, b)
    gevent.sleep(0)  # let it wait
    r, w = os.pipe()
    socket.send_fds(a, [b"a pipe"], [w])
    worker.join()
    print("main read", os.read(r, 100))
    for fd in r, w:
        os.close(fd)
