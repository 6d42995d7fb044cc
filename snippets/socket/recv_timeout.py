"""recv() gives up after a timeout, and the socket lives.

>>> main()
timed out
b'late'
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    a.settimeout(0.01)
    try:
        a.recv(100)
    except TimeoutError as error:
        print(error)
    b.sendall(b"late")
    print(a.recv(100))
