"""Echo on gevent, with one thing after the other taken away.

    python -P tests/bench/peel.py RUNG COUNT CONNECTIONS TIMEOUTS

The last rungs keep fewer promises than gevent does: that is the point.
One line of JSON is printed, as by workloads.py.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import gevent
from gevent.socket import socket
from greenlet import getcurrent

# A bench beside this one has a package's name: look here last.
sys.path.append(str(Path(__file__).parent))

from workloads import echo, leave


class OneSend(socket):
    """Send once, and trust that all of it went."""

    def sendall(self, data):
        """Send what the kernel takes."""
        self.send(data)


class BareSend(socket):
    """Send by the standard library's socket within gevent's."""

    def sendall(self, data):
        """Send what the kernel takes, and never wait."""
        self._sock.send(data)


class WaitFirst(BareSend):
    """Wait before the first try: most of these fail."""

    def recv(self, bufsize):
        """Return what has come; a level is reported as long as it lasts."""
        self._wait(self._read_event)
        return self._sock.recv(bufsize)


class HubWait(BareSend):
    """Ask nobody else, set no alarm: go to the hub."""

    def recv(self, bufsize):
        """Return what has come."""
        self.hub.wait(self._read_event)
        return self._sock.recv(bufsize)


class Switch(BareSend):
    """Let the watcher switch to the greenlet, without a Waiter between."""

    def recv(self, bufsize):
        """Return what has come."""
        watcher = self._read_event
        watcher.start(getcurrent().switch)
        self.hub.switch()
        watcher.stop()
        return self._sock.recv(bufsize)


RUNGS = {
    "gevent": socket,
    "one send": OneSend,
    "bare send": BareSend,
    "wait first": WaitFirst,
    "hub.wait": HubWait,
    "switch": Switch,
}


if __name__ == "__main__":
    rung, *numbers = sys.argv[1:]
    lib = SimpleNamespace(spawn=gevent.spawn, socket=RUNGS[rung])
    echo(lib, *map(int, numbers))
    leave()
