"""sendall() waits until the reader has made room for all.

>>> main()
sender begins
reader begins
sender ends
reader got all: True
"""

import gevent
from gevent import socket

SIZE = 10_000_000


def send(sock):
    print("sender begins")
    sock.sendall(bytes(SIZE))
    print("sender ends")
    sock.close()


def main():
    a, b = socket.socketpair()
    gevent.spawn(send, a)
    gevent.sleep(0)  # let it fill the kernel's buffer
    print("reader begins")
    count = 0
    while data := b.recv(1_000_000):
        count += len(data)
    print("reader got all:", count == SIZE)
