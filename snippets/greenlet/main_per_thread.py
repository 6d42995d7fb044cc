"""Each thread has a main greenlet of its own.

>>> main()
the same as here: False
its parent: None
"""

from threading import Thread

from greenlet import getcurrent


def main():
    mains = []
    thread = Thread(target=lambda: mains.append(getcurrent()))
    thread.start()
    thread.join()
    print("the same as here:", mains[0] is getcurrent())
    print("its parent:", mains[0].parent)
