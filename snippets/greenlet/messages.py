"""What we give to switch() arrives in the other greenlet.

>>> main()
12
56
34
"""

from greenlet import greenlet


def test1():
    print(12)
    y = gr2.switch(56)
    print(y)


def test2(x):
    print(x)
    gr1.switch(34)
    print(78)


gr1 = greenlet(test1)
gr2 = greenlet(test2)


def main():
    gr1.switch()
