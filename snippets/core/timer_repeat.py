"""A repeating timer fires again and again until stop().

>>> main()
tick 1
tick 2
tick 3
"""

from itertools import count

from gevent import core

loop = core.loop()
timer = loop.timer(0.001, repeat=0.001)
numbers = count(1)


def tick():
    number = next(numbers)
    print("tick", number)
    if number == 3:
        timer.stop()


def main():
    timer.start(tick)
    loop.run()
