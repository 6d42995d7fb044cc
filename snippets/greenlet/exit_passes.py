"""GreenletExit passes an except Exception.

>>> main()
tries again after: broken
dead: False
dead: True
"""

from greenlet import getcurrent, greenlet


def task():
    while True:
        try:
            getcurrent().parent.switch()
        except Exception as error:
            print("tries again after:", error)


def main():
    gr = greenlet(task)
    gr.switch()
    gr.throw(ValueError("broken"))
    print("dead:", gr.dead)
    gr.throw()
    print("dead:", gr.dead)
