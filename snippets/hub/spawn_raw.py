"""spawn_raw() starts a bare greenlet: no value, no links.

>>> main()
runs
dead: True
has a value: False
"""

import gevent


def main():
    raw = gevent.spawn_raw(print, "runs")
    gevent.sleep(0)
    print("dead:", raw.dead)
    print("has a value:", hasattr(raw, "value"))
