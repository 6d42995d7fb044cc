"""signal_handler() spawns a task for each signal.

>>> main()
main sleeps
got it, and may wait
main goes on
"""

import os
import signal

import gevent
from gevent.event import Event

told = Event()


def handle(what):
    gevent.sleep(0)
    print(what, "and may wait")
    told.set()


def main():
    usr1 = signal.SIGUSR1
    handler = gevent.signal_handler(usr1, handle, "got it,")
    gevent.spawn(os.kill, os.getpid(), usr1)
    print("main sleeps")
    told.wait(10)  # only this timer keeps the loop waiting
    handler.cancel()
    print("main goes on")
