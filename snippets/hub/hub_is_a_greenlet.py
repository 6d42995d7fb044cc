"""The hub is a greenlet: main's child, the tasks' parent.

>>> main()
hub's parent is main: True
task's parent is hub: True
callback runs in hub: True
"""

import gevent

hub = gevent.get_hub()
main_gr = gevent.getcurrent()


def task():
    parent = gevent.getcurrent().parent
    print("task's parent is hub:", parent is hub)


def callback():
    here = gevent.getcurrent()
    print("callback runs in hub:", here is hub)


def main():
    print("hub's parent is main:", hub.parent is main_gr)
    gevent.spawn(task).join()
    hub.loop.run_callback(callback)
    gevent.sleep(0)
