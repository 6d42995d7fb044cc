"""A greenlet that its own stack refers to is never collected.

>>> main()
still waits: True
"""

import gc
import weakref

from greenlet import getcurrent, greenlet


def task():
    me = getcurrent()
    me.parent.switch()


def main():
    gr = greenlet(task)
    gr.switch()
    known = weakref.ref(gr)
    del gr
    gc.collect()
    print("still waits:", bool(known()))
