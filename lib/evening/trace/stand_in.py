"""Let a package answer to gevent's names, so that scripts run unchanged."""

import importlib
import sys
from importlib.machinery import ModuleSpec

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
    """Refuses to import what gevent has and *package* doesn't."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        """Raise ImportError, with the cure, for a module of gevent's."""
        if name.startswith("gevent."):
            raise ImportError(
                f"{self.package} has no {name} yet: run it on gevent "
                "(--library gevent)",
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
