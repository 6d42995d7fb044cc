"""A value that comes before get() is kept for it.

>>> main()
ready: True
main got early
task waits its turn
"""

import gevent
from gevent.hub import Waiter


def main():
    task = gevent.spawn(print, "task waits its turn")
    waiter = Waiter()
    waiter.switch("early")
    print("ready:", waiter.ready())
    # No switch to the hub here, or the task would run now.
    print("main got", waiter.get())
    task.join()
