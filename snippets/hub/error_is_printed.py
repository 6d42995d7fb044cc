"""The hub prints an error even if get() raises it.

>>> main()
get() raised: too hot
the hub printed: ValueError: too hot
"""

import io

import gevent


def work():
    raise ValueError("too hot")


def main():
    printed = io.StringIO()  # normally this is sys.stderr
    gevent.get_hub().exception_stream = printed
    task = gevent.spawn(work)
    try:
        task.get()
    except ValueError as error:
        print("get() raised:", error)
    for line in printed.getvalue().splitlines():
        if line.startswith("ValueError"):
            print("the hub printed:", line)
