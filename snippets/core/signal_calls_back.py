"""A signal is an event like any other.

>>> main()
main goes on
got the signal
"""

import os
import signal

from gevent import core

loop = core.loop()
usr1 = loop.signal(signal.SIGUSR1)


def got():
    print("got the signal")
    usr1.stop()


def main():
    usr1.start(got)
    os.kill(os.getpid(), signal.SIGUSR1)
    print("main goes on")
    loop.run()
