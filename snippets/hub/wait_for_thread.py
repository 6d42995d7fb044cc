"""A thread wakes a greenlet through an async watcher.

>>> main()
thread works
main got 42
"""

from threading import Thread

from gevent.hub import get_hub

results = []


def work(bell):
    print("thread works")
    results.append(42)
    bell.send()  # the one call that any thread may make


def main():
    hub = get_hub()
    bell = hub.loop.async_()
    thread = Thread(target=work, args=[bell])
    hub.loop.run_callback(thread.start)
    hub.wait(bell)
    print("main got", results[0])
