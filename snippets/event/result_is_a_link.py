"""A result is a link: it takes what a task brings.

>>> main()
got 42
raised: no number
"""

import gevent
from gevent.event import AsyncResult


def work(text):
    if not text.isdigit():
        raise ValueError("no number")
    return int(text)


def main():
    gevent.get_hub().exception_stream = None
    for text in "42", "x":
        result = AsyncResult()
        gevent.spawn(work, text).link(result)
        try:
            print("got", result.get())
        except ValueError as error:
            print("raised:", error)
