"""A timeout in get() ends our waiting, not the task.

>>> main()
we gave up
task goes on
task got its value
"""

import gevent
from gevent.hub import Waiter


def work(waiter):
    value = waiter.get()
    print("task goes on")
    print("task got", value)


def main():
    waiter = Waiter()
    task = gevent.spawn(work, waiter)
    try:
        task.get(timeout=0.01)
    except gevent.Timeout:
        print("we gave up")
    loop = gevent.get_hub().loop
    loop.run_callback(waiter.switch, "its value")
    task.get()
