"""Who waited wakes, though the flag is down again.

>>> main()
wait returned True
the flag is up: False
"""

import gevent
from gevent.event import Event


def work(event):
    print("wait returned", event.wait())
    print("the flag is up:", event.is_set())


def main():
    event = Event()
    task = gevent.spawn(work, event)
    gevent.sleep(0)
    event.set()
    event.clear()
    task.join()
