"""gevent's module of this name: what its tests take from it."""

from ._private import get_reachable_greenlets

__all__ = ["get_reachable_greenlets"]
