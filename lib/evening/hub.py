"""Layer 3: where greenlets and the loop meet.

The hub is the greenlet that runs the loop.  Whoever must wait starts a
watcher whose callback will switch back to it, and lets the next one run.
Everything else here is made of that one move.
"""

import functools
import heapq
import itertools
import signal as signals
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext, suppress
from types import TracebackType
from typing import Any, Self, TextIO

from .core import Loop, Readiness, Watcher
from .greenlet import GreenletExit, error, exception, getcurrent, greenlet

__all__ = ["Greenlet", "Hub", "Timeout", "Waiter", "get_hub", "getcurrent"]
__all__ += ["idle", "iwait", "joinall", "kill", "killall", "reinit", "signal"]
__all__ += ["sleep", "spawn", "spawn_later", "spawn_raw", "wait"]
__all__ += ["BlockingSwitchOutError", "ConcurrentObjectUseError"]
__all__ += ["GreenletExit", "HubDestroyed", "InvalidSwitchError"]
__all__ += ["InvalidThreadUseError", "LoopExit", "with_timeout"]


DEFAULT: Any = object()  # what nobody chose
NOTHING: dict[str, Any] = {}  # the arguments of a task that is done
Seconds = float | None  # None is for ever
Run = Callable[..., object]
Link = Callable[[Any], object]
ErrorType = type[BaseException]
ExcInfo = tuple[ErrorType, BaseException, TracebackType | None]


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


hub_idents = itertools.count(1)


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

    def __init__(
        self, loop: Loop | None = None, default: bool | None = None
    ) -> None:
        super().__init__(None, main_greenlet())
        self.loop = Loop(default=default) if loop is None else loop
        self.loop.error_handler = self
        self.loop.home = functools.partial(greenlet.switch, self)
        self.newborns = Newborns(self)
        self.thread_ident = threading.get_ident()
        self.minimal_ident = next(hub_idents)
        self._stream: Any = DEFAULT
        self._idents, self._free_idents = itertools.count(), list[int]()
        self._interrupted: Any = None  # the callback that brings a Ctrl-C
        self._on_interrupt(signals.default_int_handler, self._interrupt)

    def _on_interrupt(self, former, handler):
        with suppress(ValueError):  # only the process's first thread may
            if signals.getsignal(signals.SIGINT) == former:
                signals.signal(signals.SIGINT, handler)

    def _interrupt(self, signum, frame):
        # Between two of our own lines an error would break what belongs
        # together: there the loop brings it.  Who insists has it at once.
        ours = frame.f_globals.get("__package__") == __package__
        if self._interrupted or not ours:
            raise KeyboardInterrupt
        bring = self.loop.run_callback_threadsafe
        self._interrupted = bring(self.parent.throw, KeyboardInterrupt)

    def run(self) -> None:
        """Run the loop; when it has nothing to wait for, tell the main."""
        while True:
            self.loop.run()
            self.parent.throw(
                LoopExit("This operation would block forever", self)
            )

    def switch(self) -> Any:
        """Let the others run until somebody switches back.

        The next on the queue goes on at once; the hub is in the queue too.
        """
        me = getcurrent()
        if me.parent is not self:
            self._may_wait(me)
        return self.loop.queue.popleft().switch()

    def _may_wait(self, me):
        if me is self:
            raise BlockingSwitchOutError(
                "a callback of the loop may not wait: spawn a greenlet for it"
            )
        if main_greenlet() is not self.parent:
            raise InvalidThreadUseError(
                f"{self!r} serves another thread: wait there"
            )

    def wait(self, watcher: Watcher) -> None:
        """Let the others run until *watcher*'s event comes."""
        watcher.start(getcurrent().switch, watcher)
        try:
            result = self.switch()
            if result is not watcher:
                raise InvalidSwitchError(
                    f"Invalid switch: {result!r} came, not {watcher!r}"
                )
        finally:
            watcher.stop()

    def cancel_wait(
        self,
        watcher: Watcher | None,
        error: BaseException,
        close_watcher: bool = False,
    ) -> None:
        """Raise *error* in the greenlet that waits for *watcher*, if any."""
        if watcher is not None:
            told = watcher, error, close_watcher
            self.loop.run_callback(self._cancel_wait, *told)

    def _cancel_wait(self, watcher, error, close_watcher):
        waiter = getattr(watcher.callback, "__self__", None)
        if close_watcher:
            watcher.close()
        if waiter is not None:
            waiter.throw(error)

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
        self._on_interrupt(self._interrupt, signals.default_int_handler)
        mine = self.parent.__dict__
        if mine.get("hub") is self:
            del mine["hub"]
        with suppress(error):  # it belongs to a thread that is over
            self.throw(HubDestroyed(destroy_loop))
        if destroy_loop is False:
            mine["loop"] = self.loop
        else:
            self.loop.destroy()
        self.loop = None  # type: ignore[assignment]

    def handle_error(self, context: object, type, value, tb) -> None:
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

    def handle_system_error(self, type, value, tb=None) -> None:
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

    def print_exception(self, context: object, t, v, tb) -> None:
        """Write the traceback, and whose it is, to the exception stream."""
        stream = self.exception_stream
        if stream is not None:
            traceback.print_exception(t, v, tb, file=stream)
            stream.write(f"{context!r} failed with {t.__name__}\n\n")

    @property
    def exception_stream(self) -> TextIO | None:
        """Where tracebacks go, by default ``sys.stderr``; None is nowhere."""
        return sys.stderr if self._stream is DEFAULT else self._stream

    @exception_stream.setter
    def exception_stream(self, stream: TextIO | None) -> None:
        self._stream = stream

    def _get_ident(self, one):
        idents = self._free_idents
        ident = heapq.heappop(idents) if idents else next(self._idents)
        weakref.finalize(one, heapq.heappush, idents, ident).atexit = False
        return ident


class Newborns(deque[Any]):
    """Tasks that are to begin; in the queue of the loop, a place for each."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub

    def switch(self) -> Any:
        """Begin the next one; only the hub does, so go home to it first."""
        if getcurrent() is not self.hub:
            self.hub.loop.queue.appendleft(self)
            return self.hub.loop.home()
        task = self.popleft()
        if task._start_event is self:  # nobody switched to it, or killed it
            task.switch()
        return None


def main_greenlet() -> greenlet:
    """Return the greenlet that this thread began with."""
    main = getcurrent()
    while main.parent is not None:
        main = main.parent
    return main


def get_hub() -> Hub:
    """Return this thread's hub; make it when it is first asked for."""
    hub = getcurrent().parent
    if type(hub) is Hub and hub.loop is not None:
        return hub  # most greenlets are its children
    main = main_greenlet()
    hub = main.__dict__.get("hub")
    if hub is None:
        loop = main.__dict__.pop("loop", None)  # an earlier hub's
        hub = main.__dict__["hub"] = Hub(loop)
    return hub


def wait_on_readiness(
    hub: Hub, end: Readiness, seconds: Seconds = None
) -> None:
    """Let the others run until *end* is ready, at most *seconds*.

    Raise TimeoutError where that takes longer.
    """
    me = getcurrent()
    if me.parent is not hub and seconds != 0:
        hub._may_wait(me)
    if end.waiter is not None:
        raise ConcurrentObjectUseError(
            f"This socket is already used by another greenlet: {end.waiter!r}"
        )
    if seconds is None:
        end.deadline = None  # a former wait may have had one
    elif seconds:
        set_alarm(hub.loop, end, seconds)
    else:
        return  # not to wait is to try
    if not end.armed:
        hub.loop.fd_change(end.anfd)
    end.waiter = me
    try:
        result = end.queue.popleft().switch()
        if end.waiter is me:
            raise InvalidSwitchError(f"Invalid switch: {result!r} came first")
    except BaseException:
        if end.waiter is me:
            end.waiter = None
        else:  # it was ready: we were on the queue again
            take_off(end.queue, me)
        raise


def take_off(queue, me):
    """Take *me* off *queue*, if it is there, whatever it says it equals."""
    for place, one in enumerate(queue):
        if one is me:
            del queue[place]
            return


def set_alarm(loop, end, seconds):
    """Have *end*'s waiter told after *seconds*.

    A wait that is over leaves its timer running: the next one has a later
    deadline, and needs none of its own.
    """
    end.deadline = loop.clock() + seconds
    timer = end.timer
    if timer is None:
        timer = end.timer = loop.timer(seconds, ref=False)
    elif timer.active and timer.at <= end.deadline:
        return
    timer.stop()
    timer.after = seconds
    timer.start(ring, loop, end)


def ring(loop, end):
    """Tell *end*'s waiter that its time is up, or look again when it is."""
    if end.waiter is None or end.deadline is None:
        return
    left = end.deadline - loop.now()
    if left > 0:
        end.timer.after = left
        end.timer.start(ring, loop, end)
    else:
        end.waiter.throw(TimeoutError("timed out"))


def cancel_wait_on(hub: Hub, end: Readiness, error: BaseException) -> None:
    """Raise *error* in the greenlet that waits for *end*, if any."""
    if end.waiter is not None and hub.loop is not None:
        hub.loop.run_callback(throw_if_waiting, end, end.waiter, error)


def throw_if_waiting(end, waiter, error):
    """Raise *error* in *waiter*, unless *end* was ready meanwhile."""
    if end.waiter is waiter:
        waiter.throw(error)


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
        seconds: Seconds = None,
        exception: Any = None,
        ref: bool = True,
        priority: int = -1,
    ) -> None:
        super().__init__()
        self.seconds, self.exception = seconds, exception
        self.timer = None
        if seconds is not None:
            loop = get_hub().loop
            self.timer = loop.timer(seconds, ref=ref, priority=priority)

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
        timer = self.timer
        return timer is not None and (timer.active or timer.pending)

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


NO_LIMIT: Any = nullcontext()


def limit(timeout: Any) -> Any:
    """Return what to enter for a wait of at most *timeout* seconds."""
    return NO_LIMIT if timeout is None else Timeout.start_new(timeout)


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

    __slots__ = ()

    hub: Any = None  # whose loop tells the news: that of the first who asks
    _links: Any = ()  # a list, once somebody has asked
    #: Whether a callback brings the news; or the last who was told directly.
    _notifying: Any = False

    def ready(self) -> bool:
        """Return whether there is something to tell."""
        raise NotImplementedError

    def rawlink(self, callback: Link) -> None:
        """Have the hub call ``callback(self)`` once this is ready."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self._link(callback)

    def _link(self, one):
        if self.hub is None or self.hub.dead:
            self.hub = get_hub()
        if not self._links:
            self._links = []
        self._links.append(one)
        self._check_and_notify()

    def unlink(self, callback: Link) -> None:
        """Take a link back."""
        if callback in self._links:
            self._links.remove(callback)

    def _check_and_notify(self):
        if not self._links or self._notifying is True or not self.ready():
            return
        loop, links = self.hub.loop, self._links
        if loop is None:
            return  # nobody is left to tell
        if self.hub.thread_ident != threading.get_ident():
            self._notifying = True  # another thread brings the news
            loop.run_callback_threadsafe(self._notify_links)
            return
        while links and isinstance(links[0], greenlet):
            self._notifying = links.pop(0)
            loop.queue.append(self._notifying)
        if links:
            self._notifying = True
            loop.run_callback(self._notify_links)

    def _notify_links(self):
        last = self._links[-1] if self._links else None
        while self._links and (last is not None or isinstance(self, greenlet)):
            link = self._links.pop(0)
            if link is last:
                last = None  # all who waited are told; others may have come
            try:
                if isinstance(link, greenlet):
                    link.switch()
                else:
                    link(self)
            except BaseException:
                self.hub.handle_error((link, self), *sys.exc_info())
        self._notifying = False
        self._check_and_notify()

    def _wait_core(self, timeout=None):
        """Wait for the news; return whether it came in *timeout* seconds."""
        me = getcurrent()
        self._link(me)
        with limit(timeout) as alarm:
            try:
                result = self.hub.switch()
                if me in self._links:
                    raise InvalidSwitchError(
                        f"Invalid switch: {result!r} came, not {self!r}"
                    )
            except BaseException as error:
                told = me not in self._links  # then we are on the queue
                take_off(self.hub.loop.queue if told else self._links, me)
                if error is not alarm:
                    raise
                return told
            finally:
                if self._notifying is me:
                    self._notifying = False
        return True


class SpawnedLink:
    """A link that runs in a greenlet of its own, where it may wait."""

    def __init__(self, callback: Link) -> None:
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self.callback = callback

    def __call__(self, source: Any) -> None:
        greenlet(self.callback, get_hub()).switch(source)

    def __eq__(self, other: object) -> bool:
        it = other.callback if isinstance(other, SpawnedLink) else other
        return self.callback == it


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


#: Who is to start a greenlet that has begun: nobody.
BEGUN: Any = object()


class Greenlet(greenlet, AbstractLinkable):
    """A greenlet that the hub starts and that others can wait for.

    *run* is called with *args* and *kwargs*.  Mirrors ``gevent.Greenlet``.
    """

    __slots__ = (
        "_ident",
        "_links",
        "_name",
        "_notifying",
        "_ready",
        "_start_event",
        "_target",
        "args",
        "exc_info",
        "hub",
        "kwargs",
        "value",
    )

    hub: Hub
    _start_event: Any
    _ident: int | None
    _name: str | None
    #: What *run* returned, None before.
    value: Any
    #: The type of what it raised, itself and its traceback, None before.
    exc_info: ExcInfo | None

    def __init__(
        self, run: Run | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if run is not None and not callable(run):
            raise TypeError(f"run must be callable, not {run!r}")
        self.hub = hub = get_hub()
        greenlet.__init__(self, None, hub)
        self._target, self.args, self.kwargs = run, args, kwargs
        self.value = self.exc_info = self._start_event = None
        self._ident = self._name = None
        self._ready = self._notifying = False
        self._links = ()

    def _run(self, *args: Any, **kwargs: Any) -> object:
        """Do the work; a subclass may bring its own."""

    @property
    def exception(self) -> BaseException | None:
        """What *run* raised, None before and where it raised nothing."""
        return self.exc_info[1] if self.exc_info else None

    @classmethod
    def spawn(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a greenlet of these arguments and start it."""
        self = cls(*args, **kwargs)
        self.start()
        return self

    @classmethod
    def spawn_later(cls, seconds: float, *args: Any, **kwargs: Any) -> Self:
        """Make a greenlet and start it in *seconds*."""
        if cls is Greenlet and not args:
            raise TypeError("spawn_later takes a function to call later")
        self = cls(*args, **kwargs)
        self.start_later(seconds)
        return self

    def start(self) -> None:
        """Have the hub switch here in its next turn."""
        if self._start_event is None and not self._ready:
            self._start_event = newborns = self.hub.newborns
            newborns.append(self)
            self.hub.loop.queue.append(newborns)

    def start_later(self, seconds: float) -> None:
        """Have the hub switch here in *seconds*."""
        if self._start_event is None and not self._ready:
            self._start_event = timer = self.hub.loop.timer(seconds)
            timer.start(self.switch)

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
        return self._ready and self.exc_info is None

    def has_links(self) -> bool:
        """Return whether anybody waits to be told of its end."""
        return bool(self._links)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, typ: Any, value: Any, tb: Any) -> None:
        """Wait for the end; where the block failed, bring it about."""
        if typ is not None:
            self.kill((typ, value, tb))
            return
        try:
            self.join()
        finally:
            self.kill()

    @property
    def name(self) -> str:
        """What it is called in messages; anybody may name it anew."""
        return self._name or f"Greenlet-{self.minimal_ident}"

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def minimal_ident(self) -> int:
        """A small number; no other that lives in this hub has it."""
        if self._ident is None:
            self._ident = self.hub._get_ident(self)
        return self._ident

    def run(self) -> None:
        """Call the function and keep what comes of it."""
        if isinstance(self._start_event, Watcher):
            self._start_event.stop()  # switched to before its time
        self._start_event = BEGUN
        try:
            run = self._target or self._run
            value = run(*self.args, **self.kwargs)
        except GreenletExit as last:
            self._finish(last, None)
        except BaseException as error:
            self._fail(error)
        else:
            self._finish(value, None)

    def _fail(self, error):
        self._finish(None, error)
        told = self.hub.loop or self.hub  # a destroyed hub has no loop
        told.handle_error(self, type(error), error, error.__traceback__)

    def _finish(self, value, error):
        self._ready, self.value = True, value
        if error is not None:
            self.exc_info = type(error), error, error.__traceback__
        self._target, self.args, self.kwargs = None, (), NOTHING
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
            with limit(timeout):
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
            self._die_before_start(thrown(*args))
        return None

    def _die_before_start(self, error):
        if isinstance(self._start_event, Watcher):
            self._start_event.stop()
        self._start_event = BEGUN
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
        args = exception if isinstance(exception, tuple) else (exception,)
        if greenlet.__bool__(self):
            self.hub.loop.run_callback(kill_now, self, *args)
            if block:
                self.join(timeout)
        else:
            self.throw(*args)  # it never began: that is its end


def kill_now(victim, *throw_args):
    """Raise an exception in *victim*, unless it died while we waited."""
    if not victim.dead:
        victim.throw(thrown(*throw_args))


def thrown(*throw_args):
    """Return the exception to throw: TypeError where they describe none."""
    try:
        return exception(*throw_args)
    except TypeError as error:
        return error


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
        with limit(timeout):
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
    objects = list(objects)
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
    me = getcurrent()
    hub = me.parent
    if type(hub) is not Hub:  # most greenlets are its children
        hub = get_hub()
        hub._may_wait(me)
    if seconds > 0:
        hub.loop.update_now()
        sleep_until_told(hub.loop, hub.loop.alarm(seconds, me), ref)
        return
    queue = hub.loop.queue
    queue.append(me)
    try:
        queue.popleft().switch()
    except BaseException:
        take_off(queue, me)
        raise


def sleep_until_told(loop, entry, ref):
    """Let the others run until *loop* comes with *entry*."""
    loop.activecnt += ref
    result = None
    try:
        result = loop.queue.popleft().switch()
        if result is not entry:
            raise InvalidSwitchError(
                f"Invalid switch: {result!r} woke a sleeper"
            )
    finally:
        loop.activecnt -= ref
        if result is not entry:
            loop.cancel(entry)


def idle(priority: int = 0) -> None:
    """Let the others run until nothing else is to do."""
    hub = get_hub()
    hub.wait(hub.loop.idle(priority=priority))


def reinit(hub: Hub | None = None) -> None:
    """Begin anew in a forked child; the hub does it by itself, too."""
    (get_hub() if hub is None else hub).loop.reinit()


class signal:
    """Spawn *handler* with these arguments at each signal *signalnum*.

    Mirrors ``gevent.signal_handler``, which is ``gevent.hub.signal``.
    """

    def __init__(
        self, signalnum: int, handler: Run, *args: Any, **kwargs: Any
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler must be callable, not {handler!r}")
        self.hub = get_hub()
        self.watcher = self.hub.loop.signal(signalnum, ref=False)
        self._call = functools.partial(handler, *args, **kwargs)
        self.watcher.start(spawn, self._handle)

    def _handle(self):
        try:
            self._call()
        except BaseException:  # as from a handler of Python's own
            self.hub.handle_error(None, *sys.exc_info())

    @property
    def ref(self) -> bool:
        """Whether the loop goes on for its sake."""
        return self.watcher.ref

    @ref.setter
    def ref(self, ref: bool) -> None:
        self.watcher.ref = ref

    def cancel(self) -> None:
        """Let the signal do what it did before."""
        self.watcher.stop()


def spawn_raw(function: Run, *args: Any, **kwargs: Any) -> greenlet:
    """Have the hub start *function* in a bare greenlet, and return that."""
    if not callable(function):
        raise TypeError(f"function must be callable, not {function!r}")
    hub = get_hub()

    @functools.wraps(function)
    def run() -> None:
        try:
            function(*args, **kwargs)
        except BaseException:  # the hub can't tell out of whom it comes
            hub.loop.handle_error(raw.switch, *sys.exc_info())

    raw = greenlet(run, hub)
    raw.loop = hub.loop  # type: ignore[attr-defined]
    hub.loop.run_callback(raw.switch)
    return raw


spawn = Greenlet.spawn
spawn_later = Greenlet.spawn_later
