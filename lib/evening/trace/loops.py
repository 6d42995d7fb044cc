"""Have a library's loop tell what it does, for the time of a recording.

What we take hold of in evening and in gevent is named in this file alone,
and all of it is put back at the end.
"""

import contextlib
import functools
import importlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .recorder import Recorder, traced

EVENTS = {1: "read", 2: "write", 3: "read and write"}  # of an io watcher
IN = 1  # a Readiness's event; the other is OUT
MADE = ["io", "timer", "async_", "signal", "child", "stat"]
MADE += ["prepare", "check", "idle", "fork"]


@contextlib.contextmanager
def telling(recorder: Recorder, library: str) -> Iterator[None]:
    """Have *library* tell *recorder* of switches and of the loop."""
    with contextlib.ExitStack() as stack:
        hold = functools.partial(replace, stack)
        hold(
            sys.modules["greenlet"],
            "greenlet",
            traced(recorder.layer.greenlet, recorder),
        )
        tell = tell_gevent if library == "gevent" else tell_evening
        tell(recorder, hold)
        recorder.layer.settrace(recorder.switched)
        stack.callback(recorder.layer.settrace, None)
        yield


def replace(stack: contextlib.ExitStack, owner: Any, name: str, new: Any):
    """Set an attribute, until *stack* is left."""
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, new)


class Noted:
    """A callback that tells when it is called; else it is what it was."""

    def __init__(
        self, recorder: Recorder, callback: Any, tell: Callable[[], object]
    ) -> None:
        self._recorder, self._callback, self._tell = recorder, callback, tell

    def __call__(self, *args: Any) -> Any:
        recorder, callback = self._recorder, self._callback
        self._tell()
        before = recorder.running
        recorder.running = [*before, *args]
        switches = greenlet_of(recorder, callback) is not None
        try:
            result = callback(*args)
        except BaseException as error:
            if switches:
                recorder.arrived(error=error)
            raise
        finally:
            recorder.running = before
        if switches:
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
    """Return the greenlet that *callback* switches to, if it does."""
    owner = getattr(callback, "__self__", None)
    switches = getattr(callback, "__name__", "") in ("switch", "throw")
    if switches and isinstance(owner, recorder.layer.greenlet):
        return owner
    return None


def called(recorder: Recorder, callback: Any) -> str:
    """Return the name of *callback*, which does not vary."""
    owner = getattr(callback, "__self__", None)
    if getattr(callback, "__name__", "") == "switch":
        owner = getattr(owner, "greenlet", None) or owner  # of a Waiter
        if isinstance(owner, recorder.layer.greenlet):
            return f"switch {recorder.known(owner).name}"
    callback = getattr(callback, "func", callback)  # of a partial
    return getattr(callback, "__qualname__", type(callback).__name__)


def queued(recorder: Recorder, callback: Any, args: tuple[Any, ...]) -> Noted:
    """Note that *callback* is to be called; return what tells of the call."""
    greenlet = greenlet_of(recorder, callback)
    if greenlet is not None and recorder.recorded():
        recorder.known(greenlet, *args)
    name = called(recorder, callback)
    event = recorder.note("callback_queued", callback=name)

    def tell():
        name = called(recorder, callback)
        if event is not None:
            event["callback"] = name  # whose it is, a Waiter learns late
        recorder.note("callback_run", callback=name)

    return Noted(recorder, callback, tell)


class Watchers:
    """The names of watchers, timers and descriptors, and what befalls them.

    *late* is for a library that is silent until it calls back.
    """

    def __init__(self, recorder: Recorder, late: bool) -> None:
        self.recorder, self.late = recorder, late
        self._alarms: dict[int, str] = {}  # of sleepers: the timers' names
        self._ends: dict[tuple[int, str], str] = {}
        self._inner = 0  # we are in a watcher that has watchers of its own

    def start(self, start, watcher, callback, args, kwargs):
        """Start *watcher*, and have it told when it fires."""
        greenlet = greenlet_of(self.recorder, callback)
        if greenlet is not None and self.recorder.recorded():
            self.recorder.known(greenlet)
        told = self.recorder.recorded() and not self._inner
        if told and callable(callback):
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
            name = self._alarms[id(timer)] = self.recorder.numbered("timer")
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
        fields = {"fd": self.recorder.fd(fd), "what": what}
        last = self.recorder.events[-1]
        if last["event"] != "fd_ready" or fields.items() - last.items():
            self.recorder.note("fd_ready", **fields)

    @contextlib.contextmanager
    def waiting(self, fd, what):
        """Note that one end of a descriptor is waited for, and no more."""
        name = self._ends.get((fd, what))
        if name is None:
            name = self._ends[fd, what] = self.recorder.numbered("io")
        fields = {"watcher": name, "kind": "io", "fd": self.recorder.fd(fd)}
        self.recorder.note("watcher_start", **fields)
        try:
            yield
        finally:
            self.recorder.note("watcher_stop", **fields)

    def _note(self, event, watcher):
        fields = {"watcher": self._name(watcher), "kind": kind_of(watcher)}
        if fields["kind"] == "io":
            fields["fd"] = self.recorder.fd(watcher.fd)
        self.recorder.note(event, **fields)

    def _name(self, watcher):
        if not hasattr(watcher, "traced"):
            watcher.traced = self.recorder.numbered(kind_of(watcher))
        return watcher.traced


def kind_of(watcher: Any) -> str:
    """Return what a watcher waits for, in one word."""
    return type(watcher).__name__.lower().strip("_")


# -- gevent: types of its loop and of its watchers that tell


def tell_gevent(recorder: Recorder, hold: Callable[..., None]) -> None:
    """Have the loops that gevent makes from now on tell *recorder*."""
    core = importlib.import_module("gevent.core")
    config = importlib.import_module("gevent._config").config
    loop = gevent_loop(recorder, config.loop)
    hold(config, "loop", loop)
    hold(core, "loop", loop)


def gevent_loop(recorder, base):
    """Return the type of a loop of gevent's that tells."""
    watchers = Watchers(recorder, late=True)

    class Loop(base):
        def run(self, *args, **kwargs):
            if not recorder.recorded():
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


def maker(watchers, plain):
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
        if not watchers.recorder.recorded():
            return plain(loop, *args, **kwargs)
        watcher = Watcher(loop, *args, **kwargs)
        watcher.seconds = kwargs.get("after", args[0] if args else 0.0)
        return watcher

    return make


# -- evening: its classes, with methods that tell


def tell_evening(recorder: Recorder, hold: Callable[..., None]) -> None:
    """Have evening's classes tell *recorder*."""
    core = importlib.import_module("evening.core")
    watchers = Watchers(recorder, late=False)
    hold(core, "deque", queue(recorder, core, watchers))
    tell_turns(recorder, hold, core)
    tell_watchers(recorder, hold, core, watchers)
    tell_readiness(recorder, hold, core, watchers)


def around(hold, owner, name):
    """Return a decorator: the function is called in a method's place.

    It gets the method first, and then what the method gets.
    """
    original = getattr(owner, name)

    def put(function):
        @functools.wraps(original)
        def told(*args, **kwargs):
            return function(original, *args, **kwargs)

        hold(owner, name, told)

    return put


def queue(recorder, core, watchers):
    """Return the type of a queue that tells who is put on it."""
    greenlet = recorder.layer.greenlet

    class Queue(deque):
        def append(self, one):
            if isinstance(one, greenlet) and recorder.recorded():
                name = recorder.known(one).name
                recorder.queued.append(name)
                recorder.note("callback_queued", callback=f"switch {name}")
            elif type(one) is list:  # a sleeper's alarm
                watchers.due(one)
            super().append(one)

    return Queue


def tell_turns(recorder, hold, core):
    """Have it told when a turn begins, and how long it may sleep."""
    clock = Clock()

    @around(hold, core.Loop, "__init__")
    def made(init, loop, *args, **kwargs):
        if recorder.recorded() and len(args) < 2:
            kwargs.setdefault("clock", clock)
        with recorder.silence():
            init(loop, *args, **kwargs)

    @around(hold, core.Loop, "run_callback")
    def run_callback(method, loop, func, *args):
        if callable(func):
            func = queued(recorder, func, args)
        return method(loop, func, *args)

    @around(hold, core.Loop, "_turn")
    def turn(method, loop, *args):
        recorder.begin_turn()
        method(loop, *args)

    @around(hold, core.Loop, "_waittime")
    def waittime(method, loop):
        seconds, real = method(loop), loop.clock
        if not seconds:  # for the sake of a timer that is due already?
            loop.clock = LONG_AGO
            clock.timer = bool(method(loop))
            loop.clock = real
        return seconds

    for backend in core.Epoll, core.Poll:

        @around(hold, backend, "poll")
        def poll(method, backend, timeout):
            if not recorder.recorded():
                return method(backend, timeout)
            late, clock.timer = clock.timer, False
            recorder.poll(timeout or 1 if late else timeout)
            return clock.sleep(method, backend, timeout)


class Clock:
    """A clock that a sleep puts forward by what was asked, and no more.

    A busy machine may sleep for longer, and find two timers due that are
    not due at once.
    """

    timer = False  # the next poll doesn't sleep, for a timer is due

    def __init__(self):
        self.lag = 0.0

    def __call__(self):
        return time.monotonic() - self.lag

    def sleep(self, poll, backend, timeout):
        """Return what *poll* reports."""
        begun = self()
        reports = poll(backend, timeout)
        if timeout and not reports:
            self.lag += max(0.0, self() - begun - timeout)
        return reports


def LONG_AGO():  # noqa: N802
    """Return a time before every timer's."""
    return float("-inf")


def tell_watchers(recorder, hold, core, watchers):
    """Have it told what starts, stops and fires."""

    @around(hold, core.Watcher, "start")
    def start(method, watcher, callback, *args):
        watchers.start(method, watcher, callback, args, {})

    @around(hold, core.Watcher, "stop")
    def stop(method, watcher):
        watchers.stop(method, watcher)

    @around(hold, core.Loop, "alarm")
    def alarm(method, loop, seconds, one):
        entry = method(loop, seconds, one)
        watchers.set(one if isinstance(one, core.Timer) else entry, seconds)
        return entry

    @around(hold, core.Loop, "cancel")
    def cancel(method, loop, entry):
        watchers.cancel(entry)
        method(loop, entry)

    @around(hold, core.Loop, "_feed_event")
    def feed(method, loop, watcher, *first):
        if hasattr(watcher, "traced") and not watcher.pending:
            watchers.came(watcher)
        method(loop, watcher, *first)


def tell_readiness(recorder, hold, core, watchers):
    """Have it told which end of a descriptor is waited for, and ready."""
    hub = importlib.import_module("evening.hub")
    socket = importlib.import_module("evening.socket")

    @around(hold, core.Readiness, "fire")
    def fire(method, end):
        if end.waiter is not None:
            watchers.ready(end.anfd.fd, "read" if end.event == IN else "write")
        method(end)

    for module in hub, socket:

        @around(hold, module, "wait_on_readiness")
        def wait(function, its_hub, end, seconds=None):
            what = "read" if end.event == IN else "write"
            with watchers.waiting(end.anfd.fd, what):
                function(its_hub, end, seconds)
