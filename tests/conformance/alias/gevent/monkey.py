"""Stands in for monkey, which evening does not have yet.

It puts into the standard library's modules what the tests of the four layers
look for there, and no more.
"""

import importlib
import multiprocessing
import socket as _socket
import threading
import time
from types import ModuleType

from evening import event, hub, socket


class Thread:
    """A task under the name of a thread."""

    def __init__(self, group=None, target=None, args=(), kwargs=None):
        self._task = hub.Greenlet(target, *args, **(kwargs or {}))
        self.start, self.join = self._task.start, self._task.join

    def is_alive(self):
        """Return whether it was started and is not finished."""
        return self._task.started


PLACES = {
    _socket: {
        name: value
        for name, value in vars(socket).items()
        if name in socket.__all__ and hasattr(_socket, name)
    },
    time: {"sleep": hub.sleep},
    threading: {"Event": event.Event, "Thread": Thread},
}
originals = {}


def patch_all(**_which):
    """Put ours in all places."""
    if originals:
        return
    kept = ModuleType("socket")  # what ours goes on calling
    vars(kept).update(vars(_socket))
    socket._socket = kept
    for module, ours in PLACES.items():
        theirs = originals[module.__name__] = {}
        for name, value in ours.items():
            theirs[name] = getattr(module, name)
            setattr(module, name, value)
    # As gevent's: a server that forks would read our sockets by os.read.
    multiprocessing.set_start_method("fork", force=True)


def is_module_patched(name):
    """Return whether something of ours is in that module."""
    return name in originals


def is_anything_patched():
    """Return whether something of ours is anywhere."""
    return bool(originals)


def get_original(module, name):
    """Return what was there before us: of one name, or of each of several.

    *module* may be several, too: the first is meant, as all are there.
    """
    if not isinstance(name, str):
        return [get_original(module, one) for one in name]
    if not isinstance(module, str):
        module = module[0]
    now = getattr(importlib.import_module(module), name, None)
    return originals.get(module, {}).get(name, now)
