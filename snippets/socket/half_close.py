"""shutdown() ends one direction; the other stays open.

>>> main()
b got b'question'
b got b''
a got b'answer'
"""

from gevent import socket


def main():
    a, b = socket.socketpair()
    a.sendall(b"question")
    a.shutdown(socket.SHUT_WR)  # a will send no more
    print("b got", b.recv(100))
    print("b got", b.recv(100))
    b.sendall(b"answer")
    print("a got", a.recv(100))
