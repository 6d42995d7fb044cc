"""hub.wait() turns any watcher into a line that waits.

>>> main()
the timer fired
the pipe has b'x'
"""

import os

from gevent import core
from gevent.hub import get_hub


def main():
    hub = get_hub()
    r, w = os.pipe()
    hub.wait(hub.loop.timer(0.001))
    print("the timer fired")
    hub.loop.run_callback(os.write, w, b"x")
    hub.wait(hub.loop.io(r, core.READ))
    print("the pipe has", os.read(r, 1))
