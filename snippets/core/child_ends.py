"""The end of a child process calls back.

>>> main()
we wait for it
it ended with 7
"""

import os

from gevent import core

loop = core.loop()


def ended(child):
    code = os.waitstatus_to_exitcode(child.rstatus)
    print("it ended with", code)
    child.stop()


def main():
    gate, key = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(gate, 1)  # not before we watch
        os._exit(7)
    child = loop.child(pid)
    child.start(ended, child)
    os.write(key, b"!")
    loop.run_callback(print, "we wait for it")
    loop.run()
