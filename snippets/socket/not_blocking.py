"""With timeout 0 a socket never waits: it raises instead.

>>> main()
BlockingIOError
b'now'
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    a.settimeout(0)
    try:
        a.recv(100)
    except BlockingIOError as error:
        print(type(error).__name__)
    b.sendall(b"now")
    print(a.recv(100))
