"""throw() raises where the other greenlet is paused.

>>> main()
task caught: too late
main got carried on
"""

from greenlet import getcurrent, greenlet


def task():
    try:
        getcurrent().parent.switch()
    except ValueError as error:
        print("task caught:", error)
    return "carried on"


def main():
    gr = greenlet(task)
    gr.switch()
    print("main got", gr.throw(ValueError("too late")))
