"""wait() without objects waits until nothing is left.

>>> main()
an hour is too long: False
one works
another works
nothing is left: True
"""

import gevent


def main():
    task = gevent.spawn(gevent.sleep, 3600)
    done = gevent.wait(timeout=0.01)
    print("an hour is too long:", done)
    task.kill()
    gevent.spawn(print, "one works")
    gevent.spawn_later(0.01, print, "another works")
    print("nothing is left:", gevent.wait())
