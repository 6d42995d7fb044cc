"""A server accepts in a loop, one client after the other.

>>> main()
b'you are number 1'
b'you are number 2'
"""

from itertools import count

import gevent
from gevent import socket


def serve(listener):
    for number in count(1):
        conn, _ = listener.accept()
        conn.sendall(b"you are number %d" % number)
        conn.close()


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = gevent.spawn(serve, listener)
    for _ in range(2):
        where = listener.getsockname()
        sock = socket.create_connection(where)
        print(sock.recv(100))
    server.kill()
