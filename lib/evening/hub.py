"""Layer 3: where greenlets and the loop meet.

The hub is the greenlet that runs the loop.  Whoever must wait starts a
watcher whose callback will switch back to it, and switches to the hub.
Everything else here is made of that one move.
"""

import sys
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TextIO

from .core import Callback, Loop, Watcher
from .greenlet import GreenletExit, exception, getcurrent, greenlet

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "Greenlet",
    "GreenletExit",
    "Hub",
    "InvalidSwitchError",
    "LoopExit",
    "Timeout",
    "Waiter",
    "get_hub",
    "getcurrent",
    "joinall",
    "kill",
    "killall",
    "sleep",
    "spawn",
    "spawn_later",
]


class LoopExit(Exception):
    """Nothing is left that could ever wake the one who waits."""


class BlockingSwitchOutError(AssertionError):
    """A callback of the loop tried to wait; the hub can't wait for itself."""


class InvalidSwitchError(AssertionError):
    """A greenlet was woken by something it did not wait for."""


class ConcurrentObjectUseError(AssertionError):
    """Two greenlets want to wait for the same thing that serves one."""


class Hub(greenlet):
    """The greenlet that runs the loop, one in each thread.

    *loop* is a :class:`~evening.core.Loop`, by default a new one.  Mirrors
    ``gevent.hub.Hub``.
    """

    parent: greenlet  # the thread's main greenlet
    #: Errors that nobody is told of.
    NOT_ERROR: tuple[type[BaseException], ...] = (GreenletExit, SystemExit)
    #: Errors that belong to the main greenlet, wherever they happen.
    SYSTEM_ERROR: tuple[type[BaseException], ...] = (
        KeyboardInterrupt,
        SystemExit,
        SystemError,
    )

    def __init__(self, loop: Loop | None = None) -> None:
        super().__init__(None, main_greenlet())
        self.loop = Loop() if loop is None else loop
        self.loop.error_handler = self

    def run(self) -> None:
        """Run the loop; when it has nothing to wait for, tell the main."""
        while True:
            self.loop.run()
            self.parent.throw(
                LoopExit("This operation would block forever", self)
            )

    def switch(self) -> Any:
        """Let the others run until somebody switches back."""
        if getcurrent() is self:
            raise BlockingSwitchOutError(
                "a callback of the loop may not wait: spawn a greenlet for it"
            )
        return super().switch()

    def wait(self, watcher: Watcher) -> None:
        """Let the others run until *watcher*'s event comes."""
        waiter = Waiter(self)
        watcher.start(waiter.switch, waiter)
        try:
            result = waiter.get()
            if result is not waiter:
                raise InvalidSwitchError(
                    f"woken with {result!r} while waiting for {watcher!r}"
                )
        finally:
            watcher.stop()

    def cancel_wait(
        self,
        watcher: Watcher,
        error: BaseException,
        close_watcher: bool = False,
    ) -> None:
        """Raise *error* in the greenlet that waits for *watcher*, if any."""
        waiter = getattr(watcher.callback, "__self__", None)
        if close_watcher:
            watcher.close()
        if waiter is not None:
            watcher.stop()
            self.loop.run_callback(waiter.throw, error)

    def handle_error(
        self,
        context: object,
        type: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """Print an error that nobody caught, or give it to the main greenlet.

        *context* is the greenlet or callback it happened in, None for the
        loop itself.
        """
        if not issubclass(type, self.NOT_ERROR):
            self.print_exception(context, type, value, tb)
        if context is None or issubclass(type, self.SYSTEM_ERROR):
            self.handle_system_error(type, value, tb)

    def handle_system_error(
        self,
        type: type[BaseException],
        value: BaseException,
        tb: TracebackType | None = None,
    ) -> None:
        """Raise the error in the main greenlet."""
        current = getcurrent()
        if current is self or current is self.parent:
            self.parent.throw(type, value, tb)
            return
        back = self.loop.run_callback(current.switch)
        try:
            self.parent.throw(type, value, tb)
        finally:
            back.stop()

    def print_exception(
        self,
        context: object,
        t: type[BaseException],
        v: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """Write the traceback, and whose it is, to the exception stream."""
        stream = self.exception_stream
        if stream is not None:
            traceback.print_exception(t, v, tb, file=stream)
            stream.write(f"{context!r} failed with {t.__name__}\n\n")

    @property
    def exception_stream(self) -> TextIO | None:
        """Where tracebacks go, by default ``sys.stderr``; None is nowhere."""
        return self.__dict__.get("exception_stream", sys.stderr)

    @exception_stream.setter
    def exception_stream(self, stream: TextIO | None) -> None:
        self.__dict__["exception_stream"] = stream


def main_greenlet() -> greenlet:
    """Return the greenlet that this thread began with."""
    main = getcurrent()
    while main.parent is not None:
        main = main.parent
    return main


def get_hub() -> Hub:
    """Return this thread's hub; make it when it is first asked for."""
    main = main_greenlet()
    hub = main.__dict__.get("hub")
    if hub is None:
        hub = main.__dict__["hub"] = Hub()
    return hub


class Waiter:
    """A meeting point: the hub brings a value, one greenlet waits for it.

    ``switch`` and ``throw`` are for the hub's callbacks, ``get`` is for the
    greenlet; whichever comes first, the value is not lost.  Mirrors
    ``gevent.hub.Waiter``.
    """

    def __init__(self, hub: Hub | None = None) -> None:
        self.hub = get_hub() if hub is None else hub
        self.greenlet: greenlet | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None

    def ready(self) -> bool:
        """Return whether a value, or an error, is kept for ``get``."""
        return self._outcome is not None

    def switch(self, value: object) -> None:
        """Bring *value*."""
        self._bring(value, None)

    def throw(self, *throw_args: Any) -> None:
        """Bring an exception; ``get`` will raise it."""
        self._bring(None, exception(*throw_args))

    def get(self) -> Any:
        """Return the value; let the others run until it comes."""
        if self._outcome is None:
            if self.greenlet is not None:
                raise ConcurrentObjectUseError(
                    f"{self.greenlet!r} waits for this Waiter already"
                )
            self.greenlet = getcurrent()
            try:
                return self.hub.switch()
            finally:
                self.greenlet = None
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def _bring(self, value, error):
        if self.greenlet is None:
            self._outcome = value, error
        elif getcurrent() is not self.hub:
            raise AssertionError("only the hub may wake who waits here")
        elif error is None:
            self.greenlet.switch(value)
        else:
            self.greenlet.throw(error)


class Timeout(BaseException):
    """An alarm that raises itself in the greenlet that set it.

    *seconds* of None never rings.  *exception*, a class or an instance, is
    raised instead; False makes the ``with`` block end in silence; a string
    is added to the message.  Mirrors ``gevent.Timeout``.
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: Any = None,
        ref: bool = True,
    ) -> None:
        super().__init__()
        self.seconds, self.exception = seconds, exception
        self.timer = (
            None if seconds is None else get_hub().loop.timer(seconds, ref=ref)
        )

    @classmethod
    def start_new(
        cls,
        timeout: float | None = None,
        exception: Any = None,
        ref: bool = True,
    ) -> Self:
        """Make an alarm of *timeout* seconds and set it."""
        self = cls(timeout, exception, ref)
        self.start()
        return self

    def start(self) -> None:
        """Set the alarm for the greenlet that runs."""
        if self.pending:
            raise AssertionError(f"{self!r} is already started")
        if self.timer is not None:
            own = self.exception in (None, False) or isinstance(
                self.exception, str
            )
            alarm = self if own else self.exception
            self.timer.start(getcurrent().throw, alarm)

    @property
    def pending(self) -> bool:
        """Whether it is set and has not rung."""
        return self.timer is not None and (
            self.timer.active or self.timer.pending
        )

    def cancel(self) -> None:
        """Don't ring."""
        if self.timer is not None:
            self.timer.stop()

    def close(self) -> None:
        """Don't ring."""
        self.cancel()

    def __enter__(self) -> Self:
        if not self.pending:
            self.start()
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool:
        self.cancel()
        return value is self and self.exception is False

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        unit = "second" if self.seconds == 1 else "seconds"
        text = f"{self.seconds} {unit}"
        if self.exception is None:
            return text
        if self.exception is False:
            return f"{text} (silent)"
        return f"{text}: {self.exception}"


class Greenlet(greenlet):
    """A greenlet that the hub starts and that others can wait for.

    *run* is called with *args* and *kwargs*.  Mirrors ``gevent.Greenlet``.
    """

    #: What *run* returned, None before.
    value: Any = None
    #: What *run* raised, None before and where it raised nothing.
    exception: BaseException | None = None

    def __init__(
        self,
        run: Callable[..., object] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if run is not None and not callable(run):
            raise TypeError(f"run must be callable, not {run!r}")
        self.hub = get_hub()
        super().__init__(None, self.hub)
        if run is not None:
            self._run = run  # type: ignore[method-assign]
        self.args, self.kwargs = args, kwargs
        self._start_event: Callback | Watcher | None = None
        self._ready = False
        self._links: list[Callable[[Any], object]] = []

    def _run(self, *args: Any, **kwargs: Any) -> object:
        """Do the work; a subclass may bring its own."""

    @classmethod
    def spawn(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a greenlet of these arguments and start it."""
        self = cls(*args, **kwargs)
        self.start()
        return self

    @classmethod
    def spawn_later(cls, seconds: float, *args: Any, **kwargs: Any) -> Self:
        """Make a greenlet and start it in *seconds*."""
        self = cls(*args, **kwargs)
        self.start_later(seconds)
        return self

    def start(self) -> None:
        """Have the hub switch here in its next turn."""
        if self._start_event is None and not self._ready:
            self._start_event = self.hub.loop.run_callback(self.switch)

    def start_later(self, seconds: float) -> None:
        """Have the hub switch here in *seconds*."""
        if self._start_event is None and not self._ready:
            self._start_event = self.hub.loop.timer(seconds)
            self._start_event.start(self.switch)

    @property
    def started(self) -> bool:
        """Whether it was started and is not finished."""
        return self._start_event is not None and not self._ready

    def __bool__(self) -> bool:
        return self.started

    @property
    def dead(self) -> bool:
        """Whether it is finished, or was killed before it began."""
        return self._ready or super().dead

    def ready(self) -> bool:
        """Return whether it is finished."""
        return self._ready

    def successful(self) -> bool:
        """Return whether it is finished and raised nothing."""
        return self._ready and self.exception is None

    def run(self) -> None:
        """Call the function and keep what comes of it."""
        try:
            value = self._run(*self.args, **self.kwargs)
        except GreenletExit as last:
            self._finish(last, None)
        except BaseException as error:
            self._fail(error)
        else:
            self._finish(value, None)

    def _fail(self, error):
        self._finish(None, error)
        self.hub.handle_error(self, type(error), error, error.__traceback__)

    def _finish(self, value, error):
        self._ready, self.value, self.exception = True, value, error
        self.__dict__.pop("_run", None)  # what it worked with may go
        self.args, self.kwargs = (), {}
        if self._links:
            self.hub.loop.run_callback(self._notify_links)

    def _notify_links(self):
        while self._links:
            link = self._links.pop(0)
            try:
                link(self)
            except BaseException:
                self.hub.handle_error((link, self), *sys.exc_info())

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Have the hub call ``callback(self)`` when this is finished."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self._links.append(callback)
        if self._ready and len(self._links) == 1:
            self.hub.loop.run_callback(self._notify_links)

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Take a :meth:`rawlink` back."""
        if callback in self._links:
            self._links.remove(callback)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it is finished, at most *timeout* seconds."""
        if self._ready:
            return
        waiter = Waiter(self.hub)
        self.rawlink(waiter.switch)
        try:
            with Timeout(timeout, False):
                waiter.get()
        finally:
            self.unlink(waiter.switch)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return what *run* returned, or raise what it raised.

        Wait for it if *block*; raise :class:`Timeout` where it takes longer
        than *timeout* seconds, or is not there and we may not wait.
        """
        if not self._ready:
            if not block:
                raise Timeout()
            with Timeout(timeout):
                self.join()
        if self.exception is not None:
            raise self.exception
        return self.value

    def throw(self, *args: Any) -> Any:
        """Raise in this greenlet; one that has not begun dies at once."""
        if greenlet.__bool__(self):
            return super().throw(*args)
        if not self._ready:
            self._die_before_start(exception(*args))
        return None

    def _die_before_start(self, error):
        if self._start_event is not None:
            self._start_event.stop()
        if isinstance(error, GreenletExit):
            self._finish(error, None)
        else:
            self._fail(error)

    def kill(
        self,
        exception: Any = GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Raise *exception* in it, and wait for its end if *block*."""
        if self._ready:
            return
        if greenlet.__bool__(self):
            self.hub.loop.run_callback(kill_now, self, exception)
        else:
            self.throw(exception)
        if block:
            self.join(timeout)


def kill_now(victim, exception):
    """Raise *exception* in *victim*, unless it died while we waited."""
    if not victim.dead:
        victim.throw(exception)


def kill(greenlet: greenlet, exception: Any = GreenletExit) -> None:
    """Raise *exception* in *greenlet* in the next turn; don't wait."""
    if isinstance(greenlet, Greenlet):
        greenlet.kill(exception, block=False)
    else:
        get_hub().loop.run_callback(kill_now, greenlet, exception)


def killall(
    greenlets: Iterable[Greenlet],
    exception: Any = GreenletExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Raise *exception* in all *greenlets*, and wait for them if *block*.

    Raise :class:`Timeout` where that takes longer than *timeout* seconds.
    """
    victims = list(greenlets)
    for victim in victims:
        victim.kill(exception, block=False)
    if block:
        with Timeout(timeout):
            joinall(victims)


def joinall(
    greenlets: Iterable[Greenlet],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Greenlet]:
    """Wait until *count* of *greenlets*, by default all, are finished.

    Return those that are, in the order in which they came.  *raise_error*
    raises the first error of one at once.  *timeout* is in seconds.
    """
    awaited = list(dict.fromkeys(greenlets))
    wanted = len(awaited) if count is None else min(count, len(awaited))
    finished: list[Greenlet] = []
    arrivals = Waiter()

    def arrive(one: Greenlet) -> None:
        finished.append(one)
        if raise_error and one.exception is not None:
            arrivals.throw(one.exception)
        elif len(finished) == wanted:
            arrivals.switch(None)

    for one in awaited:
        one.rawlink(arrive)
    try:
        with Timeout(timeout, False):
            if wanted:
                arrivals.get()
    finally:
        for one in awaited:
            one.unlink(arrive)
    return finished


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Let the others run for *seconds*; 0 is until all that are ready ran."""
    hub = get_hub()
    if seconds > 0:
        hub.wait(hub.loop.timer(seconds, ref=ref))
    else:
        waiter = Waiter(hub)
        hub.loop.run_callback(waiter.switch, None)
        waiter.get()


spawn = Greenlet.spawn
spawn_later = Greenlet.spawn_later
