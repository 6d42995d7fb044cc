"""An update is lost only where a switch stands in between.

>>> main()
without a switch: 2
with a switch: 1
"""

import gevent

count = 0


def add(switch):
    global count
    seen = count
    if switch:
        gevent.sleep(0)
    count = seen + 1


def main():
    global count
    for switch in False, True:
        count = 0
        a = gevent.spawn(add, switch)
        b = gevent.spawn(add, switch)
        gevent.joinall([a, b])
        word = "with" if switch else "without"
        print(word, "a switch:", count)
