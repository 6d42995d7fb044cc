"""run() returns when nothing is left that counts.

>>> main()
tick
run() returned
still waiting: True
"""

from gevent import core

loop = core.loop()


def main():
    short = loop.timer(0.001)
    short.start(print, "tick")
    # ref=False: it may not keep the loop running.
    minute = loop.timer(60, ref=False)
    minute.start(print, "never printed")
    loop.run()
    print("run() returned")
    print("still waiting:", minute.active)
