"""A parent can be replaced, but never by a descendant.

>>> main()
main takes what child gives
ValueError: cyclic parent chain
"""

from greenlet import getcurrent, greenlet


def be_child():
    return "child"


def main():
    mother = greenlet(print)
    child = greenlet(be_child, mother)
    child.parent = getcurrent()
    print("main takes what", child.switch(), "gives")
    child = greenlet(be_child, mother)
    try:
        mother.parent = child
    except ValueError as error:
        print("ValueError:", error)
