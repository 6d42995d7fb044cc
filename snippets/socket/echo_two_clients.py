"""One thread serves two clients, a greenlet for each.

>>> main()
b'a: one'
b'b: one'
b'a: two'
b'b: two'
"""

import gevent
from gevent import socket


def echo(conn):
    while data := conn.recv(100):
        conn.sendall(data)


def serve(listener):
    while True:
        conn, _ = listener.accept()
        gevent.spawn(echo, conn)


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    gevent.spawn(serve, listener)
    a = socket.create_connection(listener.getsockname())
    b = socket.create_connection(listener.getsockname())
    for word in b"one", b"two":
        for name, client in (b"a: ", a), (b"b: ", b):
            client.sendall(name + word)
            print(client.recv(100))
