"""While a name is looked up, the others run.

>>> main()
main asks for a name
another one runs
main got 127.0.0.1
"""

import gevent
from gevent import socket


def main():
    gevent.spawn(print, "another one runs")
    print("main asks for a name")
    address = socket.gethostbyname("localhost")
    print("main got", address)
