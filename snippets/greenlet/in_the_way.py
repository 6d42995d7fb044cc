"""a goes deep, and only what lies in b's way is saved.

>>> main()
b
deep
b again
"""

from greenlet import greenlet


def run_a():
    b.switch()
    print("deep")
    sorted([0], key=start_c)


def start_c(_):
    c.switch()


def run_b():
    print("b")
    a.switch()
    print("b again")


def run_c():
    b.switch()


a, b, c = greenlet(run_a), greenlet(run_b), greenlet(run_c)


def main():
    a.switch()
