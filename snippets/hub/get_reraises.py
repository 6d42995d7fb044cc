"""get() raises again what ended the task.

>>> main()
get() raised: too hot
successful: False
"""

import gevent


def work():
    raise ValueError("too hot")


def main():
    # Or the hub would print the traceback as well.
    gevent.get_hub().exception_stream = None
    task = gevent.spawn(work)
    try:
        task.get()
    except ValueError as error:
        print("get() raised:", error)
    print("successful:", task.successful())
