"""A task runs once: a second start() does nothing.

>>> main()
runs
ready: True
"""

import gevent


def main():
    task = gevent.spawn(print, "runs")
    task.join()
    task.start()
    gevent.sleep(0)
    print("ready:", task.ready())
