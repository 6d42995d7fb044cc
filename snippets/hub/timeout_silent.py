"""With False, a Timeout ends its block and nothing more.

>>> main()
begins
goes on after the block
"""

import gevent


def main():
    with gevent.Timeout(0.01, False):
        print("begins")
        gevent.sleep(60)
        print("never printed")
    print("goes on after the block")
