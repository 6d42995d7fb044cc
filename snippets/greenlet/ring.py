"""Any greenlet may switch to any other, as in a ring.

>>> main()
a
b
c
a
b
c
"""

from greenlet import greenlet


def be_a():
    print("a")
    b.switch()
    print("a")
    b.switch()


def be_b():
    print("b")
    c.switch()
    print("b")
    c.switch()


def be_c():
    print("c")
    a.switch()
    print("c")


a, b, c = greenlet(be_a), greenlet(be_b), greenlet(be_c)


def main():
    a.switch()
