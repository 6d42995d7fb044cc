"""LoopExit: nothing is left that could wake us.

>>> main()
LoopExit: This operation would block forever
"""

import gevent
from gevent.hub import LoopExit

tasks = []


def wait_for(number):
    tasks[number].join()


def main():
    # Each waits for the other, and no watcher is active.
    tasks.append(gevent.spawn(wait_for, 1))
    tasks.append(gevent.spawn(wait_for, 0))
    try:
        gevent.joinall(tasks)
    except LoopExit as error:
        print("LoopExit:", error.args[0])
