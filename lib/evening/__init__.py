"""gevent's four layers, small enough to read in an evening.

greenlet switches stacks, core waits for the kernel, hub joins the two, and
socket puts them to work.  The names are gevent's.
"""

from .greenlet import GreenletExit, getcurrent
from .hub import (
    Greenlet,
    Timeout,
    get_hub,
    idle,
    iwait,
    joinall,
    kill,
    killall,
    reinit,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
    wait,
    with_timeout,
)
from .hub import signal as signal_handler

__all__ = [
    "Greenlet",
    "GreenletExit",
    "Timeout",
    "get_hub",
    "getcurrent",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "reinit",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "wait",
    "with_timeout",
]
