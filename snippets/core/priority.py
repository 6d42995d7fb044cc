"""Of what is due in one turn, the highest priority is first.

>>> main()
high
middle
low
"""

from gevent import core

loop = core.loop()


def main():
    low = loop.timer(0, priority=-2)
    middle = loop.timer(0)
    high = loop.timer(0, priority=2)
    low.start(print, "low")
    middle.start(print, "middle")
    high.start(print, "high")
    loop.run()
