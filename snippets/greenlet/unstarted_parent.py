"""A child's result starts a parent that has not run yet.

>>> main()
parent starts with 42
main got None
"""

from greenlet import greenlet


def be_parent(value):
    print("parent starts with", value)


def be_child():
    return 42


def main():
    parent = greenlet(be_parent)
    child = greenlet(be_child, parent)
    print("main got", child.switch())
