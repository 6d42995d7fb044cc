"""A stopped watcher is not called, even when it is due.

>>> main()
a stops b, which is pending: True
run() returned
"""

import time

from gevent import core

loop = core.loop()
a = loop.timer(0.001)
b = loop.timer(0.002)


def stop_b():
    print("a stops b, which is pending:", b.pending)
    b.stop()


def main():
    a.start(stop_b)
    b.start(print, "never printed")
    time.sleep(0.003)  # now both are due in the same turn
    loop.run()
    print("run() returned")
