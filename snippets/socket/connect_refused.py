"""A connect to a port where nobody listens is refused.

>>> main()
ConnectionRefusedError
"""

from gevent import socket


def main():
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))  # bound, but no listen()
    try:
        socket.create_connection(silent.getsockname())
    except OSError as error:
        print(type(error).__name__)
    silent.close()
