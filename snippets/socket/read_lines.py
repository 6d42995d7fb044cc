"""makefile() makes a file of a socket, whose lines one waits for.

>>> main()
reader waits
main sends half a line
reader got breakfast
reader got lunch
"""

import gevent
from gevent import socket


def read(sock):
    print("reader waits")
    with sock, sock.makefile() as lines:
        for line in lines:
            print("reader got", line.rstrip())


def main():
    a, b = socket.socketpair()
    reader = gevent.spawn(read, b)
    gevent.sleep(0)  # let it wait
    print("main sends half a line")
    a.sendall(b"break")
    gevent.sleep(0)
    a.sendall(b"fast\nlunch\n")
    a.close()
    reader.join()
