"""sleep(0) only queues a callback; due events may wait.

>>> main()
after three sleep(0): []
after a real sleep: ['timer']
"""

import time

import gevent

fired = []


def main():
    timer = gevent.get_hub().loop.timer(0.001)
    timer.start(fired.append, "timer")
    time.sleep(0.002)  # the timer is due
    for _ in range(3):
        gevent.sleep(0)
    print("after three sleep(0):", fired)
    gevent.sleep(0.001)
    print("after a real sleep:", fired)
