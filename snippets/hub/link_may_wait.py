"""link() tells of the end in a greenlet that may wait.

>>> main()
told in the hub: False
waited, and its value is 42
"""

import gevent


def tell(task):
    here = gevent.getcurrent()
    print("told in the hub:", here is gevent.get_hub())
    gevent.sleep(0)  # rawlink could not do this
    print("waited, and its value is", task.value)


def main():
    task = gevent.spawn(int, "42")
    task.link(tell)
    gevent.wait()
