"""A task in a with block does not outlive the block.

>>> main()
works: done
waits: killed with KeyError()
"""

import gevent


def work():
    gevent.sleep(0)
    return "done"


def main():
    gevent.get_hub().exception_stream = None
    with gevent.spawn(work) as task:
        pass
    print("works:", task.value)
    try:
        with gevent.spawn(gevent.sleep, 60) as task:
            raise KeyError
    except KeyError:
        print("waits: killed with", repr(task.exception))
