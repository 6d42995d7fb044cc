"""Have evening's loop tell what it does.

Here, and nowhere else, stand the names of evening's own that a recording
holds: in core ``deque``, ``Loop.__init__``, ``run_callback``, ``_turn``,
``_waittime``, ``alarm``, ``cancel``, ``_feed_event``, ``Watcher.start`` and
``stop``, ``Readiness.fire``, the backends' ``poll``; in hub
``Greenlet.start`` and ``wait_on_readiness``.
"""

import functools
import importlib
import time
from collections import deque
from collections.abc import Callable

from .recorder import Recorder
from .watchers import Watchers, called, queued

IN = 1  # a Readiness's event; the other is OUT


def tell(recorder: Recorder, hold: Callable[..., None]) -> None:
    """Have evening's classes tell *recorder*."""
    core = importlib.import_module("evening.core")
    hub = importlib.import_module("evening.hub")
    watchers = Watchers(recorder, late=False)
    hold(core, "deque", queue(recorder, core, watchers))
    tell_turns(recorder, hold, core)
    tell_watchers(recorder, hold, core, watchers)
    tell_readiness(recorder, hold, core, watchers)

    @around(hold, hub.Greenlet, "start")
    def start(method, greenlet):
        before = greenlet.started
        method(greenlet)
        if greenlet.started and not before and recorder.recording():
            recorder.begin_soon(greenlet)


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
    """Return the type of a queue that tells who is put on it, and taken."""
    greenlet = recorder.layer.greenlet

    def switch_to(one):
        return called(recorder, one.switch)

    class Queue(deque):
        def append(self, one):
            if isinstance(one, greenlet) and recorder.recording():
                recorder.note("callback_queued", callback=switch_to(one))
            elif type(one) is list:  # a sleeper's alarm
                watchers.due(one)
            super().append(one)

        def popleft(self):
            one = super().popleft()
            if isinstance(one, greenlet) and recorder.recording():
                recorder.note("callback_run", callback=switch_to(one))
            return one

    return Queue


def tell_turns(recorder, hold, core):
    """Have it told when a turn begins, and what is queued for it."""
    clock = Clock()

    @around(hold, core.Loop, "__init__")
    def made(init, loop, *args, **kwargs):
        if recorder.recording() and len(args) < 2:
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

    tell_polls(recorder, hold, core, clock)


def tell_polls(recorder, hold, core, clock):
    """Have it told whether a turn sleeps, and for whose sake."""

    @around(hold, core.Loop, "_waittime")
    def waittime(method, loop):
        seconds, real = method(loop), loop.clock
        if not seconds:  # is it for a timer, which is due already?
            loop.clock = long_ago
            clock.late = bool(method(loop))
            loop.clock = real
        return seconds

    for backend in core.Epoll, core.Kqueue, core.Poll:

        @around(hold, backend, "poll")
        def poll(method, backend, timeout):
            if not recorder.recording():
                return method(backend, timeout)
            late, clock.late = clock.late, False
            if late or timeout:
                recorder.poll("timer")
            else:
                recorder.poll("none" if timeout is None else "0")
            return clock.sleep(method, backend, timeout)


class Clock:
    """A clock that a sleep puts forward by what was asked, and no more.

    A busy machine may sleep for longer, and find two timers due that are
    not due at once.
    """

    late = False  # a turn would sleep till a timer that is due already

    def __init__(self):
        self.lag = 0.0

    def __call__(self):
        """Return the time in seconds."""
        return time.monotonic() - self.lag

    def sleep(self, poll, backend, timeout):
        """Return what *poll* reports."""
        begun = self()
        reports = poll(backend, timeout)
        if timeout and not reports:
            self.lag += max(0.0, self() - begun - timeout)
        return reports


def long_ago():
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
