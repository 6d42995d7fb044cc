"""kill() throws GreenletExit in and waits for the end.

>>> main()
works
cleans up
value: GreenletExit()
successful: True
"""

import gevent


def work():
    try:
        print("works")
        gevent.sleep(60)
        print("never printed")
    finally:
        print("cleans up")


def main():
    task = gevent.spawn(work)
    gevent.sleep(0)  # let it begin
    task.kill()
    print("value:", repr(task.value))
    print("successful:", task.successful())
