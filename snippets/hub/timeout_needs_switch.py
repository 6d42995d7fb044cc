"""A Timeout cannot stop code that never switches.

>>> main()
worked three times too long
"""

import time

import gevent


def main():
    with gevent.Timeout(0.01):
        time.sleep(0.03)  # not gevent.sleep
        print("worked three times too long")
