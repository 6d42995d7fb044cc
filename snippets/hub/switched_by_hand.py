"""A switch by hand is not what a sleeper waits for.

>>> main()
InvalidSwitchError
"""

import gevent


def nap():
    try:
        gevent.sleep(10)
    except AssertionError as error:
        print(type(error).__name__)


def main():
    sleeper = gevent.spawn(nap)
    gevent.sleep(0)
    loop = gevent.get_hub().loop
    loop.run_callback(sleeper.switch, "wake up")
    sleeper.join()
