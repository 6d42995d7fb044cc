"""Layer 3: where greenlets and the loop meet.

The hub is the greenlet that runs the loop.  Whoever must wait starts a
watcher whose callback will switch back to it, and switches to the hub.
Everything else here is made of that one move.
"""

import functools
import heapq
import itertools
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Self, TextIO

from .core import Callback, Loop, Watcher
from .greenlet import GreenletExit, error, exception, getcurrent, greenlet

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "Greenlet",
    "GreenletExit",
    "Hub",
    "HubDestroyed",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
    "Timeout",
    "Waiter",
    "get_hub",
    "getcurrent",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "wait",
    "with_timeout",
]


Seconds = float | None  # None is for ever
Run = Callable[..., object]
Link = Callable[[Any], object]
ErrorType = type[BaseException]
Traceback = TracebackType | None
ExcInfo = tuple[ErrorType, BaseException, Traceback]


class LoopExit(Exception):
    """Nothing is left that could ever wake the one who waits."""


class BlockingSwitchOutError(AssertionError):
    """A callback of the loop tried to wait; the hub can't wait for itself."""


class InvalidSwitchError(AssertionError):
    """A greenlet was woken by something it did not wait for."""


class ConcurrentObjectUseError(AssertionError):
    """Two greenlets want to wait for the same thing that serves one."""


class InvalidThreadUseError(RuntimeError):
    """A thread wants to wait for what belongs to another one."""


class HubDestroyed(GreenletExit):
    """What ends the hub itself; see :meth:`Hub.destroy`."""


class Hub(greenlet):
    """The greenlet that runs the loop, one in each thread.

    *loop* is a :class:`~evening.core.Loop`, by default a new one.  Mirrors
    ``gevent.hub.Hub``.
    """

    parent: greenlet  # the thread's main greenlet
    #: Errors that nobody is told of.
    NOT_ERROR: tuple[ErrorType, ...] = (GreenletExit, SystemExit)
    #: Errors that belong to the main greenlet, wherever they happen.
    SYSTEM_ERROR: tuple[ErrorType, ...] = (
        KeyboardInterrupt,
        SystemExit,
        SystemError,
    )

    def __init__(self, loop: Loop | None = None) -> None:
        super().__init__(None, main_greenlet())
        self.loop = Loop() if loop is None else loop
        self.loop.error_handler = self
        self._idents, self._free_idents = itertools.count(), list[int]()

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

    def join(self, timeout: Seconds = None) -> bool:
        """Wait until the loop has nothing left to wait for.

        Return False where that takes longer than *timeout* seconds.
        """
        if getcurrent() is not self.parent:
            raise AssertionError("only the main greenlet may join its hub")
        if self.dead:
            return True
        with Timeout(timeout, False, ref=False):
            try:
                Waiter(self).get()
            except LoopExit:
                return True
        return False

    def destroy(self, destroy_loop: bool | None = None) -> None:
        """End the hub, and the loop too; the thread's next hub is a new one.

        With *destroy_loop* of False the loop is kept for that next one.
        """
        with suppress(error):  # it belongs to a thread that is over
            self.throw(HubDestroyed(destroy_loop))
        mine = self.parent.__dict__
        if mine.get("hub") is self:
            del mine["hub"]
        if destroy_loop is False:
            mine["loop"] = self.loop
        else:
            self.loop.destroy()
        self.loop = None  # type: ignore[assignment]

    def handle_error(
        self,
        context: object,
        type: ErrorType,
        value: BaseException,
        tb: Traceback,
    ) -> None:
        """Print an error that nobody caught, or give it to the main greenlet.

        *context* is the greenlet or callback it happened in, None for the
        loop itself.
        """
        if type is HubDestroyed:
            raise value
        if not issubclass(type, self.NOT_ERROR):
            self.print_exception(context, type, value, tb)
        if context is None or issubclass(type, self.SYSTEM_ERROR):
            self.handle_system_error(type, value, tb)

    def handle_system_error(
        self, type: ErrorType, value: BaseException, tb: Traceback = None
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
        self, context: object, t: ErrorType, v: BaseException, tb: Traceback
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

    def _get_ident(self, one):
        idents = self._free_idents
        ident = heapq.heappop(idents) if idents else next(self._idents)
        weakref.finalize(one, heapq.heappush, idents, ident).atexit = False
        return ident


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
        loop = main.__dict__.pop("loop", None)  # an earlier hub's
        hub = main.__dict__["hub"] = Hub(loop)
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
        self, seconds: Seconds = None, exception: Any = None, ref: bool = True
    ) -> None:
        super().__init__()
        self.seconds, self.exception = seconds, exception
        self.timer = (
            None if seconds is None else get_hub().loop.timer(seconds, ref=ref)
        )

    @classmethod
    def start_new(
        cls, timeout: Any = None, exception: Any = None, ref: bool = True
    ) -> "Timeout":
        """Make an alarm of *timeout* seconds and set it.

        Where *timeout* is a Timeout, set that one.
        """
        if isinstance(timeout, Timeout):
            if not timeout.pending:
                timeout.start()
            return timeout
        self = cls(timeout, exception, ref)
        self.start()
        return self

    def start(self) -> None:
        """Set the alarm for the greenlet that runs."""
        if self.pending:
            raise AssertionError(f"{self!r} is started: cancel it first")
        if self.seconds is None:
            return
        if self.timer is None:
            raise AssertionError(f"{self!r} is closed: make a new one")
        own = isinstance(self.exception, str | bool | None)
        alarm = self if own else self.exception
        self.timer.start(getcurrent().throw, alarm)

    @property
    def pending(self) -> bool:
        """Whether it is set and has not rung."""
        return self.timer is not None and (
            self.timer.active or self.timer.pending
        )

    def cancel(self) -> None:
        """Don't ring; it may be started again."""
        if self.timer is not None:
            self.timer.stop()

    def close(self) -> None:
        """Don't ring, now or later."""
        self.cancel()
        self.timer = None

    def __enter__(self) -> Self:
        if not self.pending:
            self.start()
        return self

    def __exit__(
        self, typ: object, value: BaseException | None, tb: object
    ) -> bool:
        self.close()
        return value is self and self.exception is False

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        text = f"{self.seconds} second" + "s" * (self.seconds != 1)
        if self.exception is None:
            return text
        silent = self.exception is False
        return text + (" (silent)" if silent else f": {self.exception}")


def with_timeout(seconds: Any, function: Run, *args: Any, **kwds: Any) -> Any:
    """Return what *function* returns, unless it takes over *seconds*.

    Then return ``timeout_value``, or raise Timeout if that isn't given.
    """
    values = [kwds.pop("timeout_value")] if "timeout_value" in kwds else []
    with Timeout.start_new(seconds) as alarm:
        try:
            return function(*args, **kwds)
        except Timeout as error:
            if error is not alarm or not values:
                raise
    return values[0]


class AbstractLinkable:
    """What can become ready, and then tells all who asked, in their order.

    A subclass knows when it is ``ready``.  Mirrors gevent's class of this
    name.
    """

    hub: Any = None  # whose loop tells the news: that of the first who asks
    _links: list[Link]
    _notifying = False  # the news is on its way

    def ready(self) -> bool:
        """Return whether there is something to tell."""
        raise NotImplementedError

    def rawlink(self, callback: Link) -> None:
        """Have the hub call ``callback(self)`` once this is ready."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        if self.hub is None or self.hub.dead:
            self.hub = get_hub()
        self._links.append(callback)
        self._check_and_notify()

    def unlink(self, callback: Link) -> None:
        """Take a link back."""
        if callback in self._links:
            self._links.remove(callback)

    def _check_and_notify(self):
        if not self._links or self._notifying or not self.ready():
            return
        hub = self.hub
        if hub.loop is not None:  # else nobody is left to tell
            self._notifying = True
            if hub.parent is main_greenlet():
                hub.loop.run_callback(self._notify_links)
            else:  # another thread brings the news
                hub.loop.run_callback_threadsafe(self._notify_links)

    def _notify_links(self):
        last = self._links[-1] if self._links else None
        while self._links and (last is not None or self.ready()):
            link = self._links.pop(0)
            if link is last:
                last = None  # all who waited are told; others may have come
            try:
                link(self)
            except BaseException:
                self.hub.handle_error((link, self), *sys.exc_info())
        self._notifying = False
        self._check_and_notify()

    def _wait_core(self, timeout=None):
        """Wait for the news; return whether it came in *timeout* seconds."""
        waiter = Waiter()
        self.rawlink(waiter.switch)
        with Timeout.start_new(timeout) as alarm:
            try:
                if self.hub is not waiter.hub:
                    raise InvalidThreadUseError(
                        f"{self!r} serves another thread: wait for it there"
                    )
                if waiter.get() is self:
                    return True
                raise InvalidSwitchError(f"not woken by {self!r}")
            except BaseException as error:
                self.unlink(waiter.switch)
                if error is not alarm:
                    raise
        return False


class SpawnedLink:
    """A link that runs in a greenlet of its own, where it may wait."""

    def __init__(self, callback: Link) -> None:
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self.callback = callback

    def __call__(self, source: Any) -> None:
        greenlet(self.callback, get_hub()).switch(source)

    def __eq__(self, other: object) -> bool:
        return self.callback == getattr(other, "callback", other)


class SuccessSpawnedLink(SpawnedLink):
    """One that runs if the *source* succeeded."""

    def __call__(self, source: Any) -> None:
        if source.successful():
            super().__call__(source)


class FailureSpawnedLink(SpawnedLink):
    """One that runs if the *source* failed."""

    def __call__(self, source: Any) -> None:
        if not source.successful():
            super().__call__(source)


class Greenlet(greenlet, AbstractLinkable):
    """A greenlet that the hub starts and that others can wait for.

    *run* is called with *args* and *kwargs*.  Mirrors ``gevent.Greenlet``.
    """

    hub: Hub
    #: What *run* returned, None before.
    value: Any = None
    #: What *run* raised, None before and where it raised nothing.
    exception: BaseException | None = None
    #: Its type, itself and its traceback, None as long as it is.
    exc_info: ExcInfo | None = None
    _ident: int | None = None

    def __init__(
        self, run: Run | None = None, *args: Any, **kwargs: Any
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
        self._links: list[Link] = []

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

    @property
    def minimal_ident(self) -> int:
        """A small number; no other that lives in this hub has it."""
        if self._ident is None:
            self._ident = self.hub._get_ident(self)
        return self._ident

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
        if error is not None:
            self.exc_info = type(error), error, error.__traceback__
        self.__dict__.pop("_run", None)  # what it worked with may go
        self.args, self.kwargs = (), {}
        self._check_and_notify()

    def link(self, callback: Link, SpawnedLink: Any = SpawnedLink) -> None:
        """Call ``callback(self)`` at the end, in a greenlet of its own."""
        self.rawlink(SpawnedLink(callback))

    def link_value(
        self, callback: Link, SpawnedLink: Any = SuccessSpawnedLink
    ) -> None:
        """Link *callback* for the case of success."""
        self.rawlink(SpawnedLink(callback))

    def link_exception(
        self, callback: Link, SpawnedLink: Any = FailureSpawnedLink
    ) -> None:
        """Link *callback* for the case of failure."""
        self.rawlink(SpawnedLink(callback))

    def join(self, timeout: Seconds = None) -> None:
        """Wait until it is finished, at most *timeout* seconds."""
        if not self._ready:
            self._wait_core(timeout)

    def get(self, block: bool = True, timeout: Seconds = None) -> Any:
        """Return what *run* returned, or raise what it raised.

        Wait for it if *block*; raise :class:`Timeout` where it takes longer
        than *timeout* seconds, or is not there and we may not wait.
        """
        if not self._ready:
            if not block:
                raise Timeout()
            with Timeout.start_new(timeout):
                self._wait_core()
        if self.exc_info is not None:
            _, error, tb = self.exc_info
            raise error.with_traceback(tb)
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
        timeout: Seconds = None,
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
    greenlets: Iterable[greenlet],
    exception: Any = GreenletExit,
    block: bool = True,
    timeout: Seconds = None,
) -> None:
    """Raise *exception* in all *greenlets*, and wait for them if *block*.

    Raise :class:`Timeout` where that takes longer than *timeout* seconds.
    """
    victims = [one for one in greenlets if not one.dead]
    for victim in victims:
        kill(victim, exception)
    if block and victims:
        with Timeout.start_new(timeout):
            sleep(0)  # the throws that we queued come before us
            joinall(one for one in victims if isinstance(one, Greenlet))


def joinall(
    greenlets: Iterable[Any],
    timeout: Seconds = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Any]:
    """Wait until *count* of *greenlets*, by default all, are finished.

    Return those that are, in the order in which they came.  *raise_error*
    raises the first error of one at once.  *timeout* is in seconds.
    """
    if not raise_error:
        return list(as_they_come(greenlets, timeout, count, together=True))
    finished = []
    for one in as_they_come(greenlets, timeout, count):
        if getattr(one, "exception", None) is not None:
            raise one.exception
        finished.append(one)
    return finished


def wait(
    objects: Any = None, timeout: Seconds = None, count: int | None = None
) -> Any:
    """Wait until *count* of *objects*, by default all, are ready.

    They are whatever has ``rawlink`` and ``unlink``; return those that are
    ready, in the order in which they came.  Without *objects*, wait until
    the loop has nothing left to wait for, as :meth:`Hub.join` does.
    """
    if objects is None:
        return get_hub().join(timeout)
    return joinall(objects, timeout, count=count)


def iwait(
    objects: Any, timeout: Seconds = None, count: int | None = None
) -> Iterable[Any]:
    """Yield each of *objects* when it is ready, as :func:`wait` would.

    Use it in a ``with`` block where you may leave before the last.
    """
    if objects is None:
        return [get_hub().join(timeout)]
    return WaitIterator(as_they_come(objects, timeout, count))


class WaitIterator(closing):  # type: ignore[type-arg]
    """A generator, to be used in a ``for`` or in a ``with``."""

    thing: Iterator[Any]

    def __iter__(self) -> Iterator[Any]:
        return self.thing

    def __next__(self) -> Any:
        return next(self.thing)


def as_they_come(objects, timeout, count, together=False):
    """Yield *count* of *objects*, each when it is ready, or all together."""
    objects = list(dict.fromkeys(objects))
    wanted = len(objects[:count])
    enough = wanted if together else 1
    came, news = deque(), Waiter()

    def arrive(one):
        came.append(one)
        wake = len(came) >= enough or one is None
        if wake and news.greenlet is not None:
            news.switch(one)

    alarm = get_hub().loop.timer(timeout or 0)
    for one in objects:
        one.rawlink(arrive)
    try:
        if timeout is not None:
            alarm.start(arrive, None)
        for _ in range(wanted):
            while not came:
                news.get()
            if came[0] is None:
                return
            yield came.popleft()
    finally:
        alarm.stop()
        for one in objects:
            one.unlink(arrive)


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Let the others run for *seconds*; 0 is until all that are ready ran."""
    hub = get_hub()
    if seconds > 0:
        hub.wait(hub.loop.timer(seconds, ref=ref))
    else:
        waiter = Waiter(hub)
        hub.loop.run_callback(waiter.switch, None)
        waiter.get()


def spawn_raw(function: Run, *args: Any, **kwargs: Any) -> greenlet:
    """Have the hub start *function* in a bare greenlet, and return that."""
    if not callable(function):
        raise TypeError(f"function must be callable, not {function!r}")
    hub = get_hub()
    raw = greenlet(functools.partial(function, *args, **kwargs), hub)
    raw.loop = hub.loop  # type: ignore[attr-defined]
    hub.loop.run_callback(raw.switch)
    return raw


spawn = Greenlet.spawn
spawn_later = Greenlet.spawn_later
