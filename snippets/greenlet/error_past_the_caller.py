"""An error goes to the parent, past the one who switched.

>>> main()
main caught: broken
caller still waits: True
"""

from greenlet import greenlet


def work():
    raise ValueError("broken")


def call():
    try:
        worker.switch()
    except ValueError:
        print("caller caught it")


worker = greenlet(work)  # main made it: main is its parent
caller = greenlet(call)


def main():
    try:
        caller.switch()
    except ValueError as error:
        print("main caught:", error)
    print("caller still waits:", bool(caller))
