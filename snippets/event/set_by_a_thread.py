"""A thread may set an Event, if the loop still waits.

>>> main()
without a watcher: LoopExit
with a timeout: True
"""

from threading import Thread

import gevent
from gevent.event import Event
from gevent.hub import LoopExit


def main():
    loop, event = gevent.get_hub().loop, Event()
    try:
        event.wait()  # who could set it? nobody we know
    except LoopExit:
        print("without a watcher: LoopExit")
    thread = Thread(target=event.set)
    loop.run_callback(thread.start)
    print("with a timeout:", event.wait(timeout=20))
