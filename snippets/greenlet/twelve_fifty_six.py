"""gr1 ends and goes to its parent; 78 is never printed.

>>> main()
12
56
34
end
"""

from greenlet import greenlet


def test1():
    print(12)
    gr2.switch()
    print(34)


def test2():
    print(56)
    gr1.switch()
    print(78)


gr1 = greenlet(test1)
gr2 = greenlet(test2)


def main():
    gr1.switch()
    print("end")
