"""The hub tells whoever asked that a task has ended.

>>> main()
told in the hub: True
its value is 42
"""

import gevent


def tell(task):
    here = gevent.getcurrent()
    print("told in the hub:", here is gevent.get_hub())
    print("its value is", task.value)


def main():
    task = gevent.spawn(int, "42")
    task.rawlink(tell)
    task.join()
