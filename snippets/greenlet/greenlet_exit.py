"""throw() alone ends a greenlet and raises nothing here.

>>> main()
cleaned up
result: GreenletExit()
dead: True
"""

from greenlet import getcurrent, greenlet


def task():
    try:
        getcurrent().parent.switch()
    finally:
        print("cleaned up")


def main():
    gr = greenlet(task)
    gr.switch()
    print("result:", repr(gr.throw()))
    print("dead:", gr.dead)
