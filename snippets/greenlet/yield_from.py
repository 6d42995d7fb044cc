"""Nested generators pause only if each says yield from.

>>> main()
before
main
after
"""


def pause():
    yield


def helper():
    yield from pause()


def task():
    print("before")
    yield from helper()
    print("after")


def main():
    steps = task()
    next(steps)  # a yield comes back to this next()
    print("main")
    next(steps, None)
