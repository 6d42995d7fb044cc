"""wait_read() waits for any descriptor, here for a pipe.

>>> main()
reader waits
main writes
reader got b'x'
"""

import os

import gevent
from gevent.socket import wait_read


def read(fd):
    print("reader waits")
    wait_read(fd)
    print("reader got", os.read(fd, 100))


def main():
    r, w = os.pipe()
    reader = gevent.spawn(read, r)
    gevent.sleep(0)  # let it wait
    print("main writes")
    os.write(w, b"x")
    reader.join()
    os.close(r)
    os.close(w)
