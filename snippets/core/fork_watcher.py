"""A forked child is told in its first turn.

>>> main()
the child's word: b'forked'
"""

import os

from gevent import core

loop = core.loop()
r, w = os.pipe()
fork = loop.fork()


def main():
    fork.start(os.write, w, b"forked")
    pid = os.fork()
    if pid == 0:
        loop.run(nowait=True)
        os._exit(0)
    loop.run(nowait=True)  # the parent is not told
    os.waitpid(pid, 0)
    fork.stop()
    print("the child's word:", os.read(r, 99))
