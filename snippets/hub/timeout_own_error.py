"""A Timeout can throw an exception of our choice.

>>> main()
too slow
"""

import gevent


def main():
    try:
        with gevent.Timeout(0.01, ValueError("too slow")):
            gevent.sleep(60)
    except ValueError as error:
        print(error)
