"""A greenlet is true only between its start and its end.

>>> main()
new: False False
paused: True False
ended: False True
"""

from greenlet import getcurrent, greenlet


def task():
    getcurrent().parent.switch()


def main():
    gr = greenlet(task)
    print("new:", bool(gr), gr.dead)
    gr.switch()
    print("paused:", bool(gr), gr.dead)
    gr.switch()
    print("ended:", bool(gr), gr.dead)
