"""Each thread has a hub of its own.

>>> main()
same hub: False
same hub again: True
"""

from threading import Thread

from gevent.hub import get_hub

hubs = []


def main():
    mine = get_hub()
    thread = Thread(target=lambda: hubs.append(get_hub()))
    thread.start()
    thread.join()
    print("same hub:", hubs[0] is mine)
    print("same hub again:", get_hub() is mine)
