"""A greenlet that nobody keeps is ended at its first wait.

>>> main()
begins
is told to end
main goes on
"""

from greenlet import getcurrent, greenlet


def task():
    print("begins")
    try:
        getcurrent().parent.switch()
        print("never printed")
    finally:
        print("is told to end")


def main():
    greenlet(task).switch()  # and then it has no name
    print("main goes on")
