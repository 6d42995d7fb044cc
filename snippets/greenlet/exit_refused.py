"""GreenletExit is a request: a greenlet may carry on.

>>> main()
not yet
dead: False
dead: True
"""

from greenlet import GreenletExit, getcurrent, greenlet


def task():
    main_gr = getcurrent().parent
    try:
        main_gr.switch()
    except GreenletExit:
        print("not yet")
    main_gr.switch()


def main():
    gr = greenlet(task)
    gr.switch()
    gr.throw()
    print("dead:", gr.dead)
    gr.throw()
    print("dead:", gr.dead)
