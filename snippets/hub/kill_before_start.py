"""A task that is killed before its start never runs.

>>> main()
dead: True
value: GreenletExit()
"""

import gevent


def main():
    task = gevent.spawn(print, "never printed")
    task.kill()
    print("dead:", task.dead)
    print("value:", repr(task.value))
