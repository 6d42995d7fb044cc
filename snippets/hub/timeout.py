"""A Timeout is thrown into a greenlet that waits too long.

>>> main()
gave up after 0.01 seconds
"""

import gevent


def main():
    try:
        with gevent.Timeout(0.01):
            gevent.sleep(60)
            print("never printed")
    except gevent.Timeout as error:
        print("gave up after", error)
