"""One greenlet may read while another writes.

>>> main()
reader waits
main writes
reader got b'echo'
"""

import gevent
from gevent import socket


def read(sock):
    print("reader waits")
    print("reader got", sock.recv(100))


def main():
    a, b = socket.socketpair()
    reader = gevent.spawn(read, a)
    gevent.sleep(0)  # let it wait
    print("main writes")
    a.sendall(b"echo")
    b.sendall(b.recv(100))
    reader.join()
