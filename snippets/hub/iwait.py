"""iwait() hands out each task when it ends.

>>> main()
b ended, c and a run
c ended, a runs
"""

import gevent


def main():
    a = gevent.spawn(gevent.sleep, 60)
    b = gevent.spawn(str)
    c = gevent.spawn(gevent.sleep, 0.01)
    with gevent.iwait([a, b, c]) as arrivals:
        for task in arrivals:
            if task is b:
                print("b ended, c and a run")
            else:
                print("c ended, a runs")
                break  # the with takes our links back
    a.kill()
