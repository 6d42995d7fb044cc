"""A callback of the loop may not wait: it runs in the hub.

>>> main()
callback was refused: BlockingSwitchOutError
main goes on
"""

import gevent


def callback():
    try:
        gevent.sleep(0)
    except AssertionError as error:
        kind = type(error).__name__
        print("callback was refused:", kind)


def main():
    gevent.get_hub().loop.run_callback(callback)
    gevent.sleep(0)
    print("main goes on")
