"""Layer 2: ask the kernel what is ready, and call back.

The loop knows descriptors, times and callbacks.  It knows nothing of stacks:
a watcher calls a function, and what the function does is its own business.
The steps of a turn bear libev's names.
"""

import errno
import heapq
import itertools
import os
import select
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

__all__ = ["READ", "WRITE", "Epoll", "Loop", "Poll", "loop"]

READ, WRITE = 1, 2
MAX_BLOCKTIME = 3600.0  # seconds; no backend is asked to sleep for longer
ROUNDS = 16  # of callbacks that queue callbacks, before the kernel is asked


class Watcher:
    """An event to wait for, and the function to call when it comes."""

    callback: Callable[..., object] | None = None
    args: tuple[Any, ...] | None = None
    active = False  # it waits for its event
    pending = False  # the event came, the callback was not yet called

    def __init__(self, loop: "Loop", ref: bool = True) -> None:
        self.loop = loop
        self.ref = ref  # whether run() goes on for its sake

    def start(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` each time the event comes."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self.callback, self.args = callback, args
        if not self.active:
            self._activate()

    def stop(self) -> None:
        """Wait no more, and forget an event that is pending."""
        self.callback = self.args = None
        self.pending = False
        if self.active:
            self._deactivate()

    def close(self) -> None:
        """Stop; gevent frees libev's memory here, we have none to free."""
        self.stop()

    def _activate(self):
        self.active = True
        self.loop.activecnt += self.ref
        self._start()

    def _deactivate(self):
        self.active = False
        self.loop.activecnt -= self.ref
        self._stop()


class Io(Watcher):
    """The descriptor *fd* can be read from, written to, or both."""

    def __init__(
        self, loop: "Loop", fd: int, events: int, ref: bool = True
    ) -> None:
        if fd < 0:
            raise ValueError(f"a descriptor is 0 or more, not {fd}")
        if events & ~(READ | WRITE):
            raise ValueError(f"events are READ, WRITE or both, not {events}")
        super().__init__(loop, ref)
        self.fd, self.events = fd, events
        self._fresh = True

    def _start(self):
        self.loop._anfd(self.fd).watchers.append(self)
        self.loop._fd_change(self.fd, self._fresh)
        self._fresh = False

    def _stop(self):
        self.loop._anfds[self.fd].watchers.remove(self)
        self.loop._fd_change(self.fd)

    def close(self) -> None:
        """Stop, and tell the kernel while the descriptor is still open."""
        self.stop()
        self.loop._fd_reify()


class Timer(Watcher):
    """*after* seconds have passed, and then every *repeat* seconds."""

    _entry: tuple[float, int, "Timer"] | None = None

    def __init__(
        self,
        loop: "Loop",
        after: float,
        repeat: float = 0.0,
        ref: bool = True,
    ) -> None:
        if repeat < 0:
            raise ValueError(f"repeat is zero or more, not {repeat}")
        super().__init__(loop, ref)
        self.after, self.repeat = after, repeat

    def _start(self):
        self.loop.update_now()
        self.loop._timer_add(self, self.after)

    def _stop(self):
        self.loop._timer_remove(self)


class Async(Watcher):
    """Somebody, perhaps in another thread, called :meth:`send`."""

    _sent = False

    def send(self) -> None:
        """Wake the loop.  Any thread may call this."""
        self._sent = True
        self.loop._wake()

    def _start(self):
        self._sent = False
        self.loop._asyncs.append(self)

    def _stop(self):
        self.loop._asyncs.remove(self)


class Callback:
    """One call of a function in the next turn; ``stop`` takes it back."""

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args

    @property
    def pending(self) -> bool:
        """Whether the call is still to come."""
        return self.callback is not None

    def stop(self) -> None:
        """Do not call it."""
        self.callback = self.args = None


class ANFD:
    """What the loop knows of one descriptor; libev's name for it."""

    def __init__(self) -> None:
        self.watchers: list[Io] = []
        self.events = 0  # what the kernel was asked to report
        self.reify = False  # ask again, though it is the same


class Backend(Protocol):
    """The kernel's side of a loop."""

    def modify(self, fd: int, old: int, new: int) -> None:
        """Report *new* events of *fd* from now on, instead of *old* ones."""

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Return ``(fd, events)`` pairs; wait at most *timeout* seconds."""

    def close(self) -> None:
        """Give back what the kernel lent."""


class Loop:
    """Wait for all watchers at once, and call back.

    *backend* asks the kernel, by default :class:`Epoll` where there is one;
    *clock* returns seconds and never goes back.  Mirrors
    ``gevent.core.loop``.
    """

    #: A function ``(context, type, value, tb)`` that is told of a callback's
    #: error, or an object whose ``handle_error`` is; the hub puts itself here.
    error_handler: Any = None

    def __init__(
        self,
        backend: Backend | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = default_backend() if backend is None else backend
        self._clock = clock
        self.activecnt = 0  # started watchers for whose sake run() goes on
        self._done = False
        self._callbacks: deque[Callback] = deque()
        self._anfds: dict[int, ANFD] = {}
        self._fdchanges: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0  # entries of _timers that nobody waits for
        self._order = itertools.count()
        self._asyncs: list[Async] = []
        self._pendings: deque[Watcher] = deque()
        self._evpipe = os.pipe()
        for end in self._evpipe:
            os.set_blocking(end, False)
        self._backend.modify(self._evpipe[0], 0, READ)
        self.update_now()

    # -- What a caller asks for

    def io(self, fd: int, events: int, ref: bool = True) -> Io:
        """Return a watcher of *fd*; *events* is READ, WRITE or both."""
        return Io(self, fd, events, ref)

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True
    ) -> Timer:
        """Return a watcher of time; *after* and *repeat* are seconds."""
        return Timer(self, after, repeat, ref)

    def async_(self, ref: bool = True) -> Async:
        """Return a watcher that another thread may set off."""
        return Async(self, ref)

    def run_callback(
        self, func: Callable[..., object], *args: Any
    ) -> Callback:
        """Call ``func(*args)`` before the kernel is asked again."""
        if not callable(func):
            raise TypeError(f"callback must be callable, not {func!r}")
        callback = Callback(func, args)
        self._callbacks.append(callback)
        return callback

    def run_callback_threadsafe(
        self, func: Callable[..., object], *args: Any
    ) -> Callback:
        """Do as :meth:`run_callback`, from any thread."""
        callback = self.run_callback(func, *args)
        self._wake()
        return callback

    def now(self) -> float:
        """Return the time of this turn in seconds; it stands still."""
        return self._now

    def update_now(self) -> None:
        """Read the clock anew."""
        self._now = self._clock()

    def break_(self) -> None:
        """Make :meth:`run` return after this turn."""
        self._done = True

    def destroy(self) -> None:
        """Give back the loop's descriptors; it can't run any more."""
        self._backend.close()
        for end in self._evpipe:
            os.close(end)

    # -- The turn

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Turn until nothing is left to wait for, or somebody breaks.

        *once* makes it one turn, *nowait* one turn that does not sleep.
        """
        self._done = nowait or once
        self._turn(nowait)
        while not self._done and (self._callbacks or self.activecnt > 0):
            self._turn(nowait)

    def _turn(self, nowait):
        self._run_callbacks()
        self._fd_reify()
        self._backend_poll(0.0 if nowait else self._waittime())
        self.update_now()
        self._timers_reify()
        self._invoke_pending()

    def _run_callbacks(self):
        rounds = ROUNDS
        while self._callbacks and rounds > 0:
            rounds -= 1
            for _ in range(len(self._callbacks)):
                one = self._callbacks.popleft()
                callback, args = one.callback, one.args
                if callback is not None:
                    one.stop()
                    self._call(callback, args)

    def _fd_reify(self):
        for fd in self._fdchanges:
            anfd = self._anfds[fd]
            wanted = 0
            for watcher in anfd.watchers:
                wanted |= watcher.events
            if wanted != anfd.events or anfd.reify:
                self._backend_modify(fd, anfd, wanted)
            if not anfd.watchers:
                del self._anfds[fd]
        self._fdchanges.clear()

    def _backend_modify(self, fd, anfd, wanted):
        try:
            self._backend.modify(fd, anfd.events, wanted)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EPERM):
                raise
            self._fd_kill(anfd)
        else:
            anfd.events, anfd.reify = wanted, False

    def _fd_kill(self, anfd):
        # No kernel will report this descriptor: it is closed, or a plain
        # file.  Its watchers fire once, and whoever reads meets the truth.
        for watcher in anfd.watchers:
            watcher.active = False
            self.activecnt -= watcher.ref
            self._feed_event(watcher)
        anfd.watchers.clear()

    def _waittime(self):
        if self._done or self._callbacks or self._pendings:
            return 0.0
        if self.activecnt <= 0:
            return 0.0
        if self._timers:
            left = self._timers[0][0] - self._clock()
            return min(max(0.0, left), MAX_BLOCKTIME)
        return None

    def _backend_poll(self, timeout):
        try:
            reports = self._backend.poll(timeout)
        except BaseException:  # Ctrl-C comes while we sleep here
            self.handle_error(None, *sys.exc_info())
            return
        for fd, events in reports:
            if fd == self._evpipe[0]:
                self._evpipe_read()
            elif fd in self._anfds:
                self._fd_event(fd, events)

    def _fd_event(self, fd, events):
        for watcher in self._anfds[fd].watchers:
            if watcher.events & events:
                self._feed_event(watcher)

    def _timers_reify(self):
        due = []
        while self._timers and self._timers[0][0] <= self._now:
            entry = heapq.heappop(self._timers)
            if entry[2]._entry is entry:
                due.append(entry[2])
            else:
                self._cancelled -= 1
        for timer in due:
            timer._entry = None
            if timer.repeat:
                self._timer_add(timer, timer.repeat)
            else:
                timer.active = False
                self.activecnt -= timer.ref
            self._feed_event(timer)

    def _feed_event(self, watcher):
        if not watcher.pending:
            watcher.pending = True
            self._pendings.append(watcher)

    def _invoke_pending(self):
        while self._pendings:
            watcher = self._pendings.popleft()
            if watcher.pending:  # nobody stopped it meanwhile
                watcher.pending = False
                callback, args = watcher.callback, watcher.args
                if not watcher.active:
                    watcher.stop()
                if not self._call(callback, args) and type(watcher) is Io:
                    watcher.stop()  # nobody read: it would fail each turn

    def _call(self, callback, args):
        try:
            callback(*args)
        except BaseException:
            self.handle_error(callback, *sys.exc_info())
            return False
        return True

    def handle_error(
        self,
        context: object,
        type: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """Tell the error handler; without one, print and break."""
        handler = self.error_handler
        if handler is None:
            traceback.print_exception(type, value, tb)
            self.break_()
        else:
            tell = getattr(handler, "handle_error", handler)
            tell(context, type, value, tb)

    # -- What watchers tell the loop

    def _anfd(self, fd):
        if fd not in self._anfds:
            self._anfds[fd] = ANFD()
        return self._anfds[fd]

    def _fd_change(self, fd, reify=False):
        # A descriptor's number may come back for another file.  A new
        # watcher therefore has the kernel asked even where we think it knows.
        self._anfds[fd].reify |= reify
        self._fdchanges.add(fd)

    def _timer_add(self, timer, seconds):
        timer._entry = (self._now + seconds, next(self._order), timer)
        heapq.heappush(self._timers, timer._entry)

    def _timer_remove(self, timer):
        timer._entry = None  # the heap keeps it until it comes up ...
        self._cancelled += 1
        if self._cancelled > 64 + len(self._timers) // 2:
            self._timers = [
                one for one in self._timers if one[2]._entry is one
            ]
            heapq.heapify(self._timers)  # ... or until they are the most
            self._cancelled = 0

    def _wake(self):
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._evpipe[1], b"\0")

    def _evpipe_read(self):
        os.read(self._evpipe[0], 4096)
        for watcher in self._asyncs:
            if watcher._sent:
                watcher._sent = False
                self._feed_event(watcher)


class Epoll:
    """Linux: the kernel keeps the list of descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def modify(self, fd: int, old: int, new: int) -> None:
        """Tell the kernel; it forgets a closed descriptor by itself."""
        mask = flags(new, select.EPOLLIN, select.EPOLLOUT)
        try:
            if not new:
                self._epoll.unregister(fd)
            elif old:
                self._epoll.modify(fd, mask)
            else:
                self._epoll.register(fd, mask)
        except FileExistsError:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            if new:
                self._epoll.register(fd, mask)
        except OSError as error:
            if new or error.errno != errno.EBADF:
                raise

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready or *timeout* seconds passed."""
        return [
            (fd, events(mask, select.EPOLLIN, select.EPOLLOUT))
            for fd, mask in self._epoll.poll(timeout)
        ]

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()


class Poll:
    """Any Unix: we hand the whole list over at each turn."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def modify(self, fd: int, old: int, new: int) -> None:
        """Change our own list."""
        if new:
            mask = flags(new, select.POLLIN, select.POLLOUT)
            self._poll.register(fd, mask)
        elif old:
            self._poll.unregister(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready or *timeout* seconds passed."""
        milliseconds = None if timeout is None else timeout * 1000
        return [
            (fd, events(mask, select.POLLIN, select.POLLOUT))
            for fd, mask in self._poll.poll(milliseconds)
        ]

    def close(self) -> None:
        """Do nothing: the kernel keeps nothing for us."""


def default_backend() -> Backend:
    """Return the best backend that this system has."""
    return Epoll() if hasattr(select, "epoll") else Poll()


def flags(events, readable, writable):
    """Return the kernel's word for *events*."""
    return (events & READ and readable) | (events & WRITE and writable)


def events(mask, readable, writable):
    """Return our word for the kernel's *mask*.

    An error or a hang-up is neither, and ends every wait: whoever waits tries
    again and learns what happened.
    """
    if mask & ~(readable | writable):
        return READ | WRITE
    return (mask & readable and READ) | (mask & writable and WRITE)


loop = Loop  # gevent's spelling
