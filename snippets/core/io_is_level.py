"""Data that nobody reads makes its watcher fire every turn.

>>> main()
turn 1: still readable
turn 2: still readable
turn 3: b'x'
"""

import os
from itertools import count

from gevent import core

loop = core.loop()
r, w = os.pipe()
reader = loop.io(r, core.READ)
turns = count(1)


def readable():
    turn = next(turns)
    if turn < 3:
        print(f"turn {turn}: still readable")
    else:
        print(f"turn {turn}:", os.read(r, 1))
        reader.stop()


def main():
    os.write(w, b"x")
    reader.start(readable)
    loop.run()
