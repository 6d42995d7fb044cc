"""A level is reported while it lasts, an edge once.

>>> main()
one byte, never read
level: 1 1 1
edge:  1 0 0
edge, after a second byte: 1
"""

import os
import select

r, w = os.pipe()
level, edge = select.epoll(), select.epoll()


def ask(epoll):
    return len(epoll.poll(0))


def main():
    level.register(r, select.EPOLLIN)
    edge.register(r, select.EPOLLIN | select.EPOLLET)
    os.write(w, b"x")
    print("one byte, never read")
    print("level:", ask(level), ask(level), ask(level))
    print("edge: ", ask(edge), ask(edge), ask(edge))
    os.write(w, b"y")
    print("edge, after a second byte:", ask(edge))
