"""A finished greenlet's value goes to its parent.

>>> main()
main got the value
caller has ended: False
"""

from greenlet import greenlet


def work():
    return "the value"


def call():
    print("caller got", worker.switch())


worker = greenlet(work)  # main made it: main is its parent
caller = greenlet(call)


def main():
    print("main got", caller.switch())
    print("caller has ended:", caller.dead)
