"""A parent that has not begun is false.

>>> main()
with or: True
with is None: False
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
    for how, maker in ("or", make), ("is None", make_with_care):
        child = maker(mother)
        print(f"with {how}:", child.parent is getcurrent())
