"""A socket carries a stream: two sends may come as one.

>>> main()
b'onetwo'
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    a.sendall(b"one")
    a.sendall(b"two")
    print(b.recv(100))
