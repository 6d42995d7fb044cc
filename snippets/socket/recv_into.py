"""recv_into() fills our own buffer and says how much came.

>>> main()
2 bytes: b'hi......'
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    buffer = bytearray(b"........")
    a.sendall(b"hi")
    count = b.recv_into(buffer)
    print(count, "bytes:", bytes(buffer))
