"""An error in a callback is reported; the loop goes on.

>>> main()
reported: ZeroDivisionError
next callback
"""

from gevent import core

loop = core.loop()


def report(context, kind, error, traceback):
    print("reported:", kind.__name__)


def main():
    # Without a handler the loop prints a traceback.
    loop.error_handler = report
    loop.run_callback(lambda: 1 / 0)
    loop.run_callback(print, "next callback")
    loop.run()
