"""Prepare comes before the sleep, check after it.

>>> main()
prepare
callback
check
timer
"""

from gevent import core

loop = core.loop()


def main():
    timer = loop.timer(0)
    timer.start(print, "timer")
    check = loop.check()
    check.start(print, "check")
    prepare = loop.prepare()
    prepare.start(print, "prepare")
    loop.run_callback(print, "callback")
    loop.run(once=True)
    check.stop()
    prepare.stop()
