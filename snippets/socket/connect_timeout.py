"""A connect that nobody answers ends with its timeout.

>>> main()
a connected
b: timed out
"""

from gevent import socket


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # Room for one that waits, and we never call accept().
    listener.listen(0)
    address = listener.getsockname()
    a = socket.create_connection(address)
    print("a connected")
    try:
        socket.create_connection(address, 0.05)
    except TimeoutError as error:
        print("b:", error)
    a.close()
    listener.close()
