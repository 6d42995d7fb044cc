"""Dropping the last reference ends a paused greenlet.

>>> main()
paused
GreenletExit came
main goes on
"""

from greenlet import GreenletExit, getcurrent, greenlet


def task():
    try:
        getcurrent().parent.switch()
    except GreenletExit:
        print("GreenletExit came")


def main():
    gr = greenlet(task)
    gr.switch()
    print("paused")
    del gr
    print("main goes on")
