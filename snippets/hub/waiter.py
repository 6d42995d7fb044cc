"""A Waiter pauses a greenlet until the loop wakes it.

>>> main()
main waits
the loop calls
main got a value
"""

from gevent.hub import Waiter, get_hub


def bring(waiter):
    print("the loop calls")
    waiter.switch("a value")


def main():
    waiter = Waiter()
    get_hub().loop.run_callback(bring, waiter)
    print("main waits")
    print("main got", waiter.get())
