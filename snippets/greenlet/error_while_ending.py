"""An error of one that nobody knows is reported, not raised.

>>> main()
reported: ValueError('no time for this')
main goes on
"""

import sys

from greenlet import getcurrent, greenlet


def task():
    try:
        getcurrent().parent.switch()
    finally:
        raise ValueError("no time for this")


def report(unraisable):
    print("reported:", repr(unraisable.exc_value))


def main():
    sys.unraisablehook = report  # it would go to stderr
    gr = greenlet(task)
    gr.switch()
    del gr
    print("main goes on")
