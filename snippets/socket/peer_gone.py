"""When the peer has closed, recv() gives b"".

>>> main()
b'bye'
b''
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    a.sendall(b"bye")
    a.close()
    print(b.recv(100))
    print(b.recv(100))
