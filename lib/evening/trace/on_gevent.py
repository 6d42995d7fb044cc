"""Have gevent's loop tell what it does.

It is libev's, compiled, and nothing in it can be replaced.  So the hub gets
a loop of a type that inherits from it, and this one makes watchers that
inherit from gevent's.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any

from .recorder import Recorder
from .watchers import Watchers, queued

MADE = ["io", "timer", "async_", "signal", "child", "stat"]
MADE += ["prepare", "check", "idle", "fork"]


def tell(recorder: Recorder, hold: Callable[..., None]) -> None:
    """Have the loops that gevent makes from now on tell *recorder*."""
    core = importlib.import_module("gevent.core")
    config = importlib.import_module("gevent._config").config
    loop = gevent_loop(recorder, config.loop)
    hold(config, "loop", loop)
    hold(core, "loop", loop)


def gevent_loop(recorder: Recorder, base: Any) -> Any:
    """Return the type of a loop of gevent's that tells."""
    watchers = Watchers(recorder, late=True)

    class Loop(base):
        def run(self, *args, **kwargs):
            if not recorder.recording():
                return super().run(*args, **kwargs)
            with contextlib.closing(
                base.prepare(self, ref=False, priority=self.MAXPRI)
            ) as turn:
                turn.start(recorder.begin_turn)
                return super().run(*args, **kwargs)

        def run_callback(self, func, *args):
            if callable(func):
                func = queued(recorder, func, args)
            return super().run_callback(func, *args)

    for method in MADE:
        plain = getattr(sys.modules[base.__module__], method, None)
        if plain is not None:  # it is, where gevent's loop is libev's, in C
            setattr(Loop, method, maker(watchers, plain))
    Loop.__name__, Loop.__qualname__ = base.__name__, base.__qualname__
    return Loop


def maker(watchers: Watchers, plain: Any) -> Any:
    """Return the method of a loop that makes watchers like *plain* ones."""

    class Watcher(plain):
        def start(self, callback, *args, **kwargs):
            watchers.start(plain.start, self, callback, args, kwargs)

        def stop(self):
            watchers.stop(plain.stop, self)

        def close(self):
            watchers.stop(plain.close, self)

    Watcher.__name__, Watcher.__qualname__ = plain.__name__, plain.__qualname__

    def make(loop, *args, **kwargs):
        if not watchers.recorder.recording():
            return plain(loop, *args, **kwargs)
        watcher = Watcher(loop, *args, **kwargs)
        if plain.__name__ == "timer":  # which doesn't tell what it was given
            watcher.seconds = kwargs.get("after", args[0] if args else 0.0)
        return watcher

    return make
