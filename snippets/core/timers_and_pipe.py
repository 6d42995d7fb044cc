"""One loop waits for two timers and a pipe at once.

>>> main()
timer 1 writes
pipe has b'x'
timer 2
"""

import os

from gevent import core

loop = core.loop()
r, w = os.pipe()
pipe = loop.io(r, core.READ)
timer1 = loop.timer(0.01)
timer2 = loop.timer(0.01)


def write():
    print("timer 1 writes")
    os.write(w, b"x")


def read():
    print("pipe has", os.read(r, 1))
    pipe.stop()
    timer2.start(print, "timer 2")


def main():
    pipe.start(read)
    timer1.start(write)
    loop.run()
