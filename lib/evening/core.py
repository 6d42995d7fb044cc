"""Layer 2: ask the kernel what is ready, and call back.

The loop knows descriptors, times and callbacks.  It knows nothing of stacks:
a watcher calls a function, and what the function does is its own business.
The steps of a turn bear libev's names.
"""

import errno
import functools
import heapq
import itertools
import os
import select
import signal
import sys
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = ["READ", "WRITE", "Epoll", "Loop", "Poll", "loop"]

Function = Callable[..., object]
P = ParamSpec("P")
W = TypeVar("W")

READ, WRITE = 1, 2
BREAK_CANCEL, BREAK_ONE, BREAK_ALL = 0, 1, 2  # whom break_ ends
MAX_BLOCKTIME = 3600.0  # seconds; no backend is asked to sleep for longer
ROUNDS = 16  # of callbacks that queue callbacks, before the kernel is asked


class Watcher:
    """An event to wait for, and the function to call when it comes."""

    callback: Function | None = None
    args: tuple[Any, ...] | None = None
    active = False  # it waits for its event
    pending = False  # the event came, the callback was not yet called

    def __init__(self, loop: "Loop", ref=True, priority=None):
        self.loop = loop
        self.ref = ref  # whether run() goes on for its sake
        # The highest of those that are pending is called first.
        self.priority = min(max(loop.MINPRI, priority or 0), loop.MAXPRI)

    def start(self, callback: Function, *args: Any) -> None:
        """Call ``callback(*args)`` each time the event comes."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self.callback, self.args = callback, args
        if not self.active:
            self._start()
            self.active = True
            self.loop.activecnt += self.ref

    def stop(self) -> None:
        """Wait no more, and forget an event that is pending."""
        self.callback = self.args = None
        self.pending = False
        if self.active:
            self._expire()
            self._stop()

    def close(self) -> None:
        """Stop; gevent frees libev's memory here, we have none to free."""
        self.stop()

    def _expire(self):
        self.active = False
        self.loop.activecnt -= self.ref

    def _start(self):
        self.loop._kinds[type(self)].append(self)

    def _stop(self):
        self.loop._kinds[type(self)].remove(self)


class Prepare(Watcher):
    """A turn begins, and the loop is about to sleep."""


class Check(Watcher):
    """The loop has slept; called before other events of its priority."""


class Idle(Watcher):
    """A turn found nothing to call of this priority or a higher one."""


class Fork(Watcher):
    """Told in the child of a fork, in its first turn."""


class Io(Watcher):
    """The descriptor *fd* can be read from, written to, or both."""

    def __init__(self, loop, fd: int, events: int, ref=True, priority=None):
        if fd < 0:
            raise ValueError(f"a descriptor is 0 or more, not {fd}")
        if events & ~(READ | WRITE):
            raise ValueError(f"events are READ, WRITE or both, not {events}")
        super().__init__(loop, ref, priority)
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

    def __init__(self, loop, after, repeat=0.0, ref=True, priority=None):
        if repeat < 0:
            raise ValueError(f"repeat is zero or more, not {repeat}")
        super().__init__(loop, ref, priority)
        self.after, self.repeat = after, repeat

    def again(self, callback: Function, *args: Any) -> None:
        """Begin anew, *repeat* seconds from now; without repeat, stop."""
        self.stop()
        if self.repeat:
            self.after = self.repeat
            self.start(callback, *args)

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
        super()._start()


class Signal(Async):
    """The process got the signal *signum*: the kernel calls :meth:`send`."""

    def __init__(self, loop, signum: int, ref=True, priority=None):
        if not 0 < signum < signal.NSIG:
            raise ValueError(f"illegal signal number: {signum}")
        super().__init__(loop, ref, priority)
        self._signum = signum

    def _start(self):
        self.loop._signal_start(self._signum)
        super()._start()

    def _stop(self):
        super()._stop()
        self.loop._signal_stop(self._signum)


class Child(Watcher):
    """The child process *pid* ended; with *trace*, also: was stopped."""

    rpid = rstatus = 0  # what waitpid returned

    def __init__(self, loop, pid: int, trace=0, ref=True):
        super().__init__(loop, ref)
        self.pid = pid
        self._flags = os.WNOHANG | (os.WUNTRACED | os.WCONTINUED) * bool(trace)
        self._sigchld = loop.signal(signal.SIGCHLD, ref=False)

    def _start(self):
        self._sigchld.start(self._wait)
        self._sigchld.send()  # it may have ended before we listened

    def _stop(self):
        self._sigchld.stop()

    def _wait(self):
        with suppress(ChildProcessError):  # somebody else has waited for it
            pid, status = os.waitpid(self.pid or -1, self._flags)
            if pid:
                self.rpid, self.rstatus = pid, status
                self.loop._feed_event(self)


class Stat(Watcher):
    """The file *path* changed: we look each *interval* seconds."""

    attr = prev = None  # what os.lstat said, now and before the change

    def __init__(self, loop, path: str, interval=0.0, ref=True, priority=None):
        super().__init__(loop, ref, priority)
        self.path, self.interval = path, interval
        every = max(interval, 0.1) if interval else 5.0
        self._timer = loop.timer(every, every, ref=False)

    def _start(self):
        self.attr = self._lstat()
        self._timer.start(self._look)

    def _stop(self):
        self._timer.stop()

    def _lstat(self):
        with suppress(OSError):  # there is no such file: None
            return os.lstat(self.path)

    def _look(self):
        seen = self._lstat()
        if seen != self.attr:
            self.prev, self.attr = self.attr, seen
            self.loop._feed_event(self)


def maker(kind: Callable[P, W]) -> Callable[P, W]:
    """Return the method of a loop that makes a watcher of *kind*."""

    @functools.wraps(kind)
    def make(*args: P.args, **kwargs: P.kwargs) -> W:
        return kind(*args, **kwargs)

    return make


class Callback:
    """One call of a function in the next turn; ``stop`` takes it back."""

    def __init__(self, callback: Function, args: tuple[Any, ...]) -> None:
        self.callback: Function | None = callback
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

    def fork(self) -> None:
        """Begin anew in a forked child; all has to be asked for again."""

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
    MINPRI, MAXPRI = -2, 2  # of watchers

    def __init__(
        self,
        backend: Backend | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = default_backend() if backend is None else backend
        self._clock = clock
        self.activecnt = 0  # started watchers for whose sake run() goes on
        self._done = BREAK_CANCEL
        self._callbacks: deque[Callback] = deque()
        self._anfds: dict[int, ANFD] = {}
        self._fdchanges: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0  # entries of _timers that nobody waits for
        self._order = itertools.count()
        self._kinds: defaultdict[type, list[Any]] = defaultdict(list)
        self._sighandlers: dict[int, Any] = {}  # those that were there before
        self._pendings: dict[int, deque[Watcher]] = {
            priority: deque()
            for priority in range(self.MAXPRI, self.MINPRI - 1, -1)
        }
        self._evpipe_init()
        self.update_now()

    def __repr__(self) -> str:
        backend = type(self._backend).__name__.lower()
        state = f"pending={self.pendingcnt} ref={self.activecnt}"
        return f"<loop at {id(self):#x} {backend} {state}>"

    @property
    def pendingcnt(self) -> int:
        """How many watchers are pending."""
        return sum(map(len, self._pendings.values()))

    # -- What a caller asks for

    io = maker(Io)
    timer = maker(Timer)
    async_ = maker(Async)
    signal = maker(Signal)
    child = maker(Child)
    stat = maker(Stat)
    prepare = maker(Prepare)
    check = maker(Check)
    idle = maker(Idle)
    fork = maker(Fork)

    def run_callback(self, func: Function, *args: Any) -> Callback:
        """Call ``func(*args)`` before the kernel is asked again."""
        if not callable(func):
            raise TypeError(f"callback must be callable, not {func!r}")
        callback = Callback(func, args)
        self._callbacks.append(callback)
        return callback

    def run_callback_threadsafe(self, func: Function, *args: Any) -> Callback:
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

    def ref(self) -> None:
        """Have :meth:`run` go on for the sake of one more."""
        self.activecnt += 1

    def unref(self) -> None:
        """Take one :meth:`ref` back."""
        self.activecnt -= 1

    def break_(self, how: int = BREAK_ONE) -> None:
        """Make :meth:`run` return after this turn: 1 the innermost, 2 all.

        0 takes an earlier call back.
        """
        self._done = how

    def reinit(self) -> None:
        """Leave to the parent what a forked child has inherited.

        The turn that finds itself in another process does it unasked.
        """
        self._backend.fork()
        self._evpipe_close()
        self._evpipe_init()
        for fd, anfd in self._anfds.items():
            anfd.events = 0
            self._fdchanges.add(fd)
        self._queue_events(Fork)

    def destroy(self) -> None:
        """Give back signals and descriptors; it can't run any more."""
        if self._evpipe:
            for watcher in [*self._kinds[Signal]]:
                watcher.stop()
            self._backend.close()
            self._evpipe_close()

    # -- The turn

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Turn until nothing is left to wait for, or somebody breaks.

        *once* makes it one turn, *nowait* one turn that does not sleep.
        """
        if not self._evpipe:
            raise ValueError("operation on destroyed loop")
        self._done = BREAK_CANCEL
        self._turn(nowait)
        while not (self._done or nowait or once) and (
            self._callbacks or self.activecnt > 0
        ):
            self._turn(nowait)
        if self._done == BREAK_ONE:
            self._done = BREAK_CANCEL

    def _turn(self, nowait):
        if os.getpid() != self._pid:  # we are a forked child
            self.reinit()
        self._queue_events(Prepare)
        self._invoke_pending()
        self._run_callbacks()
        self._fd_reify()
        self._backend_poll(0.0 if nowait else self._waittime())
        self.update_now()
        self._timers_reify()
        self._idle_reify()
        self._queue_events(Check, first=True)
        self._invoke_pending()

    def _queue_events(self, kind, first=False):
        for watcher in self._kinds[kind]:
            self._feed_event(watcher, first)

    def _idle_reify(self):
        idles = self._kinds[Idle]
        best = max((one.priority for one in idles), default=self.MINPRI - 1)
        if not any(q for pri, q in self._pendings.items() if pri >= best):
            for watcher in idles:
                if watcher.priority == best:
                    self._feed_event(watcher)

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
            watcher._expire()
            self._feed_event(watcher)
        anfd.watchers.clear()

    def _waittime(self):
        if self._done or self._callbacks or self.activecnt <= 0:
            return 0.0
        if self._kinds[Idle] or self.pendingcnt:
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
                timer._expire()
            self._feed_event(timer)

    def _feed_event(self, watcher, first=False):
        if not watcher.pending:
            watcher.pending = True
            queue = self._pendings[watcher.priority]
            (queue.appendleft if first else queue.append)(watcher)

    def _invoke_pending(self):
        queues = self._pendings.values()  # the highest priority first
        while queue := next(filter(None, queues), None):
            watcher = queue.popleft()
            if watcher.pending:  # nobody stopped it meanwhile
                self._invoke(watcher)

    def _invoke(self, watcher):
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

    def handle_error(self, context: object, type, value, tb) -> None:
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

    def _signal_start(self, signum):
        if signum not in self._sighandlers:
            former = signal.signal(signum, self._sig_event)
            self._sighandlers[signum] = former
            self._wakeup_fd()

    def _signal_stop(self, signum):
        if all(one._signum != signum for one in self._kinds[Signal]):
            former = self._sighandlers.pop(signum)
            signal.signal(signum, former or signal.SIG_DFL)
            self._wakeup_fd()

    def _wakeup_fd(self):
        # The pipe wakes a poll that the signal's function comes too late for.
        fd = self._evpipe[1] if self._sighandlers else -1
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)

    def _sig_event(self, signum, frame):
        for watcher in self._kinds[Signal]:
            if watcher._signum == signum:
                watcher.send()

    def _wake(self):
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._evpipe[1], b"\0")

    def _evpipe_init(self):
        self._pid = os.getpid()
        self._evpipe = os.pipe()
        for end in self._evpipe:
            os.set_blocking(end, False)
        self._backend.modify(self._evpipe[0], 0, READ)
        if self._sighandlers:
            self._wakeup_fd()

    def _evpipe_close(self):
        for end in self._evpipe:
            os.close(end)
        self._evpipe = ()

    def _evpipe_read(self):
        os.read(self._evpipe[0], 4096)
        for watcher in [*self._kinds[Async], *self._kinds[Signal]]:
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

    def fork(self) -> None:
        """Leave the list to the parent, and begin one of our own."""
        self._epoll.close()
        self._epoll = select.epoll()

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

    def fork(self) -> None:
        """Do nothing: the list is our own, and its copy as well."""

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
