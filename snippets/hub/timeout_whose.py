"""Of two nested Timeouts, ask which one came.

>>> main()
not the inner one
it was the outer one
"""

import gevent


def work():
    inner = gevent.Timeout(60)
    try:
        with inner:
            gevent.sleep(60)
    except gevent.Timeout as error:
        if error is inner:
            print("never printed")
        print("not the inner one")
        raise


def main():
    outer = gevent.Timeout(0.01)
    try:
        with outer:
            work()
    except gevent.Timeout as error:
        if error is outer:
            print("it was the outer one")
