"""Tell what befalls watchers, timers, descriptors and callbacks.

This is what both loops share; which of their methods are held to tell it
stands in ``on_gevent`` and ``on_evening``.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from .recorder import Recorder

EVENTS = {1: "read", 2: "write", 3: "read and write"}  # of an io watcher


class Noted:
    """A callback that tells when it is called; else it is what it was."""

    def __init__(
        self, recorder: Recorder, callback: Any, tell: Callable[[], object]
    ) -> None:
        self._recorder, self._callback, self._tell = recorder, callback, tell

    def __call__(self, *args: Any) -> Any:
        """Tell, and call."""
        self._tell()
        recorder, callback = self._recorder, self._callback
        learns = greenlet_of(recorder, callback) is not None
        me = recorder.known(recorder.layer.getcurrent()).name
        recorder.running[me] = args
        try:
            result = callback(*args)
        except BaseException as error:
            if learns:
                recorder.arrived(error=error)
            raise
        finally:
            del recorder.running[me]
        if learns:
            recorder.arrived(result)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._callback, name)

    def __repr__(self) -> str:
        return repr(self._callback)

    def __eq__(self, other: object) -> bool:
        return bool(self._callback == other)

    def __hash__(self) -> int:
        return hash(self._callback)


def greenlet_of(recorder: Recorder, callback: Any) -> Any:
    """Return the greenlet that *callback* switches to, or None."""
    owner = getattr(callback, "__self__", None)
    switches = getattr(callback, "__name__", "") in ("switch", "throw")
    is_one = isinstance(owner, recorder.layer.greenlet)
    return owner if switches and is_one else None


def called(recorder: Recorder, callback: Any) -> str:
    """Return the name of *callback*, which does not vary."""
    owner = getattr(callback, "__self__", None)
    name = getattr(callback, "__name__", "")
    if name == "switch":
        owner = getattr(owner, "greenlet", None) or owner  # of a Waiter
    if isinstance(owner, recorder.layer.greenlet):
        of = " " if name in ("switch", "throw") else " of "
        return f"{name}{of}{recorder.known(owner).name}"
    callback = getattr(callback, "func", callback)  # of a partial
    name = getattr(callback, "__qualname__", type(callback).__name__)
    return "a function in C" if name.startswith("__Pyx") else name


def queued(recorder: Recorder, callback: Any, args: tuple[Any, ...]) -> Any:
    """Note that *callback* is to be called; return what tells of the call."""
    if not recorder.recording():
        return callback
    greenlet = greenlet_of(recorder, callback)
    if greenlet is not None:
        recorder.known(greenlet, *args)
    name = called(recorder, callback)
    event: Any = recorder.note("callback_queued", callback=name)

    def tell():
        # Whose greenlet it brings back, a Waiter learns after it was queued.
        event["callback"] = called(recorder, callback)
        recorder.note("callback_run", callback=event["callback"])

    return Noted(recorder, callback, tell)


class Watchers:
    """The names of watchers, timers and descriptors, and what befalls them.

    *late* is for a library that is silent until it calls back.
    """

    def __init__(self, recorder: Recorder, late: bool) -> None:
        self.recorder, self.late = recorder, late
        self.numbers = recorder.numbers
        self._alarms: dict[int, str] = {}  # of sleepers: the timers' names
        self._ends: dict[tuple[int, str], str] = {}
        self._inner = 0  # we are in a watcher that has watchers of its own

    def start(self, start, watcher, callback, args, kwargs):
        """Start *watcher*, and have it told when it fires."""
        told = self.recorder.recording() and not self._inner
        if told and callable(callback):
            greenlet = greenlet_of(self.recorder, callback)
            if greenlet is not None:
                self.recorder.known(greenlet)
            self._started(watcher)
            callback = Noted(
                self.recorder, callback, lambda: self.fire(watcher)
            )
        with self._within():
            start(watcher, callback, *args, **kwargs)

    def _started(self, watcher):
        if kind_of(watcher) != "timer":
            self._note("watcher_start", watcher)
        elif self.late:
            self.set(watcher, watcher.seconds)

    def stop(self, stop, watcher):
        """Stop *watcher*."""
        if watcher.active and not self._inner and hasattr(watcher, "traced"):
            self._note("watcher_stop", watcher)
        with self._within():
            stop(watcher)

    @contextlib.contextmanager
    def _within(self):
        self._inner += 1
        try:
            yield
        finally:
            self._inner -= 1

    def came(self, watcher):
        """Note that the event of *watcher* came."""
        kind = kind_of(watcher)
        if kind == "timer":
            self.recorder.note("timer_due", timer=self._name(watcher))
        elif kind == "io":
            self.ready(watcher.fd, EVENTS[watcher.events & 3])

    def fire(self, watcher):
        """Note that *watcher* calls back."""
        if self.late:
            self.came(watcher)
        self._note("watcher_fire", watcher)

    def set(self, timer, seconds):
        """Note that *timer*, or the alarm of a sleeper, is set."""
        if isinstance(timer, list):
            name = self.numbers.next("timer")
            self._alarms[id(timer)] = name
        else:
            name = self._name(timer)
        seconds = round(seconds, 6)  # what was given, not what is left of it
        self.recorder.note("timer_set", timer=name, seconds=seconds)

    def due(self, alarm):
        """Note that a sleeper's time has come."""
        if id(alarm) in self._alarms:
            timer = self._alarms.pop(id(alarm))
            self.recorder.note("timer_due", timer=timer)

    def cancel(self, alarm):
        """Note that a sleeper was woken before its time."""
        if id(alarm) in self._alarms:
            timer = self._alarms.pop(id(alarm))
            self.recorder.note("watcher_stop", watcher=timer, kind="timer")

    def ready(self, fd, what):
        """Note that a descriptor is ready, once for all who wait."""
        fields = {"event": "fd_ready", "fd": self.numbers.fd(fd), "what": what}
        if fields.items() - self.recorder.last().items():
            self.recorder.note(**fields)

    @contextlib.contextmanager
    def waiting(self, fd, what):
        """Note that one end of a descriptor is waited for, and no more."""
        name = self._ends.get((fd, what))
        if name is None:
            name = self._ends[fd, what] = self.numbers.next("io")
        number = self.numbers.fd(fd)
        fields = {"watcher": name, "kind": "io", "fd": number}
        self.recorder.note("watcher_start", **fields)
        try:
            yield
        finally:
            self.recorder.note("watcher_stop", **fields)

    def _note(self, event, watcher):
        fields = {"watcher": self._name(watcher), "kind": kind_of(watcher)}
        if fields["kind"] == "io":
            fields["fd"] = self.numbers.fd(watcher.fd)
        self.recorder.note(event, **fields)

    def _name(self, watcher):
        if not hasattr(watcher, "traced"):
            watcher.traced = self.numbers.next(kind_of(watcher))
        return watcher.traced


def kind_of(watcher: Any) -> str:
    """Return what a watcher waits for, in one word."""
    return type(watcher).__name__.lower().strip("_")
