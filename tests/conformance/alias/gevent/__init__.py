"""gevent's name, served by evening, for gevent's own tests.

OURS are evening's modules, the very ones.  FROM_THE_WHEEL are gevent's:
its tests and what they stand on, and a few that evening does not have yet
and that are plain Python over the layers.  No other is served.
"""

import importlib
import sys
from importlib.machinery import PathFinder
from importlib.metadata import distribution, version
from types import ModuleType

import evening
from evening import *  # noqa: F403
from evening import core, event, hub, socket
from evening.greenlet import engine

__version__ = version("gevent")
__all__ = [*evening.__all__]

if engine != "slice":
    raise ImportError(f"the engine is {engine!r}, not evening's own")

OURS = {
    "core": core,
    "libev.corecext": core,  # where gevent's configuration looks for it
    "hub": hub,
    "_hub_local": hub,
    "_waiter": hub,
    "exceptions": hub,
    "greenlet": hub,
    "timeout": hub,
    "event": event,
    "socket": socket,
    "_socketcommon": socket,
    "_socket3": socket,
}
FROM_THE_WHEEL = {
    "testing",
    "tests",
    "_compat",
    "_config",
    "_interfaces",
    "_util",
    "events",
    "util",
    "_abstract_linkable",
    "_semaphore",
    "lock",
    "os",
    "queue",
    "signal",
}
WHEEL = str(distribution("gevent").locate_file("gevent"))


class Served(PathFinder):
    """Find what is from the wheel; say of the rest that it isn't here."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Return where *name* is, None where it is none of gevent's."""
        package, _, part = name.partition(".")
        if package != "gevent" or "." in part:
            return None
        if part in FROM_THE_WHEEL:
            return super().find_spec(name, [WHEEL], target)
        return None


libev = ModuleType("gevent.libev")
libev.__path__ = []
sys.modules["gevent.libev"] = libev
for name, module in OURS.items():
    sys.modules[f"gevent.{name}"] = module
    if "." not in name:
        globals()[name] = module
sys.meta_path.insert(0, Served)

from . import _private  # noqa: E402

_private.provide()
_private.declare()
config = importlib.import_module("gevent._config").config
