"""A parent that has not begun is false.

>>> main()
made with or: False
made with is None: True
"""

from greenlet import getcurrent, greenlet


def make(parent=None):
    return greenlet(print, parent or getcurrent())


def make_with_care(parent=None):
    if parent is None:
        parent = getcurrent()
    return greenlet(print, parent)


def main():
    mother = greenlet(print)
    print("made with or:", make(mother).parent is mother)
    child = make_with_care(mother)
    print("made with is None:", child.parent is mother)
