"""Let a package answer to gevent's names, so that scripts run unchanged."""

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

#: What a script imports, and the module of a package that stands in for it.
STAND_INS = {
    "greenlet": "greenlet",
    "gevent": "",
    "gevent.core": "core",
    "gevent.event": "event",
    "gevent.hub": "hub",
    "gevent.socket": "socket",
}


class Missing:
    """Refuses to import what gevent has and *package* doesn't.

    ``from gevent import pool`` looks for it in *package*, under that name.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: Any = None, target: object = None
    ) -> ModuleSpec | None:
        """Raise ImportError, with the cure, for a module of gevent's."""
        where, _, module = name.partition(".")
        if where == self.package and PathFinder.find_spec(name, path) is None:
            where = "gevent"
        if where == "gevent" and module:
            raise ImportError(
                f"{self.package} has no gevent.{module} yet: run it on "
                "gevent (--library gevent)",
                name=name,
            )
        return None


def stand_in(package: str) -> None:
    """Have *package* imported under the names of greenlet and gevent."""
    modules = {
        theirs: importlib.import_module(f"{package}.{ours}".rstrip("."))
        for theirs, ours in STAND_INS.items()
    }
    sys.modules.update(modules)
    sys.meta_path.insert(0, Missing(package))
