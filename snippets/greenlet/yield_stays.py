"""A yield pauses its own function, never the caller's.

>>> main()
before
after
main
"""


def pause():
    yield


def task():
    print("before")
    pause()  # makes a generator, and pauses nothing
    print("after")


def main():
    task()
    print("main")
