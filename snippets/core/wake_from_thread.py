"""A thread wakes the sleeping loop with send().

>>> main()
loop sleeps
loop woke
"""

from threading import Thread

from gevent import core

loop = core.loop()
bell = loop.async_()


def woke():
    print("loop woke")
    bell.stop()  # the last watcher: now run() may return


def main():
    bell.start(woke)
    thread = Thread(target=bell.send)
    loop.run_callback(print, "loop sleeps")
    loop.run_callback(thread.start)
    loop.run()
