"""send() may take less than we give it.

>>> main()
took some: True
took all: False
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    data = bytes(10_000_000)
    taken = a.send(data)  # what the kernel has room for
    print("took some:", taken > 0)
    print("took all:", taken == len(data))
    a.close()
    b.close()
