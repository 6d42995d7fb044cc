"""except Exception lets Timeout and kill through.

>>> main()
Exception does not catch it
BaseException does: Timeout
"""

import gevent


def work():
    try:
        gevent.sleep(60)
    except Exception:
        print("never printed")
    finally:
        print("Exception does not catch it")


def main():
    try:
        with gevent.Timeout(0.01):
            work()
    except BaseException as error:
        kind = type(error).__name__
        print("BaseException does:", kind)
