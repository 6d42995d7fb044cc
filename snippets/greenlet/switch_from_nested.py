"""A switch can leave from inside plain nested calls.

>>> main()
before
main
after
"""

from greenlet import getcurrent, greenlet


def pause():
    getcurrent().parent.switch()


def helper():
    pause()


def task():
    print("before")
    helper()
    print("after")


def main():
    gr = greenlet(task)
    gr.switch()
    print("main")
    gr.switch()
