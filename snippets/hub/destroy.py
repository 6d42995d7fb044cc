"""A thread that ends takes its hub apart.

>>> main()
slept in a thread
its loop is gone: True
"""

from threading import Thread

import gevent

hubs = []


def work():
    gevent.sleep(0.001)
    print("slept in a thread")
    hubs.append(gevent.get_hub())
    hubs[0].destroy(destroy_loop=True)


def main():
    thread = Thread(target=work)
    thread.start()
    thread.join()
    print("its loop is gone:", hubs[0].loop is None)
