"""set() switches to nobody; it has the hub wake them.

>>> main()
set
main goes on
task woke
"""

import gevent
from gevent.event import Event


def work(event):
    event.wait()
    print("task woke")


def main():
    event = Event()
    task = gevent.spawn(work, event)
    gevent.sleep(0)
    event.set()
    print("set")
    print("main goes on")
    task.join()
