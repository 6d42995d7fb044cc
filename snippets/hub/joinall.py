"""joinall() waits for all; each value is kept in its task.

>>> main()
b ends
a ends
['a', 'b']
"""

import gevent


def work(name, seconds):
    gevent.sleep(seconds)
    print(name, "ends")
    return name


def main():
    tasks = [
        gevent.spawn(work, "a", 0.05),
        gevent.spawn(work, "b", 0.01),
    ]
    gevent.joinall(tasks)
    print([task.value for task in tasks])
