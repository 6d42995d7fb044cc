"""link_value() and link_exception() ask how it ended.

>>> main()
got 42
failed: ValueError
"""

import gevent


def main():
    # Or the hub would print the traceback as well.
    gevent.get_hub().exception_stream = None
    for text in "42", "no number":
        task = gevent.spawn(int, text)
        task.link_value(got)
        task.link_exception(failed)
        gevent.wait()


def got(task):
    print("got", task.value)


def failed(task):
    print("failed:", type(task.exception).__name__)
