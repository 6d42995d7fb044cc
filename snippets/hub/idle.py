"""idle() waits until nobody else has anything to do.

>>> main()
work 0
work 1
work 2
now we tidy up
"""

import gevent


def work():
    for n in range(3):
        print("work", n)
        gevent.sleep(0)


def main():
    task = gevent.spawn(work)
    gevent.idle()
    print("now we tidy up")
    task.join()
