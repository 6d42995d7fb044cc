"""now() stands still until the loop looks at the clock.

>>> main()
same time: True
later, once updated: True
"""

import time

from gevent import core

loop = core.loop()


def callback():
    before = loop.now()
    time.sleep(0.002)
    print("same time:", loop.now() == before)
    loop.update_now()
    print("later, once updated:", loop.now() > before)


def main():
    loop.run_callback(callback)
    loop.run()
