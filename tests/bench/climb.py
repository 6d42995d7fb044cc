"""Echo on evening, with the thoughts that made it fast taken back.

    python -P tests/bench/climb.py RUNG COUNT CONNECTIONS TIMEOUTS

A rung has one thought more than the one before it; the last is as shipped.
One line of JSON is printed, as by workloads.py.
"""

import itertools
import select
import socket as native
import sys
from pathlib import Path
from types import SimpleNamespace

import evening
import evening.socket
from evening.core import Epoll, Loop
from evening.hub import Hub, Timeout, main_greenlet, wait_on_readiness
from evening.socket import socket

# A bench beside this one has a package's name: look here last.
sys.path.append(str(Path(__file__).parent))

from workloads import echo, leave

# -- What the kernel is asked.


class Level(Epoll):
    """Have the kernel report what is so, each time it is asked."""

    edge = False


class Oneshot(Level):
    """Have it report once, and not again until it is told to."""

    def modify(self, fd, old, new):
        """Tell the kernel."""
        super().modify(fd, old, new and new | select.EPOLLONESHOT)


class AskingLoop(Loop):
    """Tell the kernel at each wait, as one shot needs."""

    def _fd_event(self, anfd, mask):
        anfd.reify = True
        super()._fd_event(anfd, mask)


# -- What the socket does.


class Home:
    """Stand where a queue stands: who takes the next entry gets the hub."""

    def __init__(self, loop):
        self.switch = loop.home
        self.append, self.remove = loop.queue.append, loop.queue.remove
        self.popleft = itertools.repeat(self).__next__  # quick as a deque's


class Detour(socket):
    """Have every wait lead through the hub."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._read.queue = self._write.queue = Home(self.hub.loop)


class TryFirst(Detour):
    """Learn nothing from a short read."""

    def recv(self, bufsize):
        """Return at most *bufsize* bytes."""
        while True:
            try:
                return native.socket.recv(self, bufsize)
            except BlockingIOError:
                wait_on_readiness(self.hub, self._read, self.timeout)


def alarm_each_wait(hub, end, seconds):
    """Wait, below a Timeout of its own."""
    with Timeout(seconds, TimeoutError("timed out")):
        wait_on_readiness(hub, end)


# -- The rungs: each gives the loop and the kind of socket.


def alarms():
    """Have the sockets set an alarm for each of their waits."""
    evening.socket.wait_on_readiness = alarm_each_wait
    return Loop(), socket


RUNGS = {
    "ask each time": lambda: (AskingLoop(Oneshot()), TryFirst),
    "level": lambda: (Loop(Level()), TryFirst),
    "edge": lambda: (Loop(), TryFirst),
    "remember": lambda: (Loop(), Detour),
    "shipped": lambda: (Loop(), socket),
    "alarms": alarms,
}


if __name__ == "__main__":
    rung, *numbers = sys.argv[1:]
    loop, kind = RUNGS[rung]()
    main_greenlet().__dict__["hub"] = Hub(loop)
    lib = SimpleNamespace(spawn=evening.spawn, socket=kind)
    echo(lib, *map(int, numbers))
    leave()
