"""A greenlet may come back from its end, again and again.

>>> main()
refused
refused
gave in
"""

from greenlet import GreenletExit, getcurrent, greenlet

known = []


def task():
    for _ in range(2):
        try:
            getcurrent().parent.switch()
        except GreenletExit:
            print("refused")
            known.append(getcurrent())
    print("gave in")


def main():
    gr = greenlet(task)
    gr.switch()
    del gr  # it refuses, and known has it
    known.clear()  # and once more
    known.pop().switch()
