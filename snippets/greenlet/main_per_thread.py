"""Each thread has a main greenlet of its own.

>>> main()
the same as here: False
its parent: None
"""

from threading import Thread

from greenlet import getcurrent

mains = []


def note():
    mains.append(getcurrent())


def main():
    thread = Thread(target=note)
    thread.start()
    thread.join()
    print("the same as here:", mains[0] is getcurrent())
    print("its parent:", mains[0].parent)
