"""Layer 2: ask the kernel what is ready, and call back.

The loop knows descriptors, times and callbacks.  It knows nothing of stacks:
a watcher calls a function, and what the function does is its own business.
The steps of a turn bear libev's names.
"""

import errno
import heapq
import operator
import os
import select
import signal
import sys
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, partialmethod
from itertools import chain, count
from typing import Any, Protocol, Self
from weakref import WeakKeyDictionary

__all__ = ["READ", "WRITE", "Epoll", "Kqueue", "Loop", "Poll", "loop"]

Function = Callable[..., object]

READ, WRITE = 1, 2  # what an io watcher wants, in libev's words
IN, PRI, OUT, RDHUP = 1, 2, 4, 0x2000  # what a descriptor is, in the kernel's
NVAL = 0x20  # only poll says this: the descriptor is closed
EDGE = 1 << 31  # report what is new, once, instead of what is so, each time
BREAK_CANCEL, BREAK_ONE, BREAK_ALL = 0, 1, 2  # whom break_ ends
kernel: Any = select  # what is in it depends on the system
MOST = 1024  # events of a sleep
MAX_BLOCKTIME = 3600.0  # seconds; no backend is asked to sleep for longer
ROUNDS = 16  # of callbacks that queue callbacks, before the kernel is asked

forks: list[None] = []  # as many as lie between this process and the first
os.register_at_fork(after_in_child=partial(forks.append, None))


class Watcher:
    """An event to wait for, and the function to call when it comes."""

    callback: Function | None = None
    args: tuple[Any, ...] | None = None
    active = False  # it waits for its event
    pending = False  # the event came, the callback was not yet called

    def __init__(self, loop: "Loop", ref=True, priority=None):
        self.loop = loop
        self._ref = ref
        # The highest of those that are pending is called first.
        self.priority = min(max(loop.MINPRI, priority or 0), loop.MAXPRI)

    @property
    def ref(self) -> bool:
        """Whether the loop goes on for its sake."""
        return self._ref

    @ref.setter
    def ref(self, ref: bool) -> None:
        self.loop.activecnt += self.active * (ref - self._ref)
        self._ref = ref

    def start(self, callback: Function, *args: Any) -> None:
        """Call ``callback(*args)`` each time the event comes."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self.callback, self.args = callback, args
        if not self.active:
            self._start()
            self.active = True
            self.loop.activecnt += self._ref

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _expire(self):
        self.active = False
        self.loop.activecnt -= self._ref

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
        self._mask = (events & READ and IN) | (events & WRITE and OUT)
        self._fresh = True

    def _start(self):
        anfd = self.loop.anfd(self.fd)
        anfd.watchers.append(self)
        # A descriptor's number may come back for another file.  A new watcher
        # therefore has the kernel asked even where we think it knows.
        anfd.reify |= self._fresh
        self._fresh = False
        self.loop.fd_change(anfd)

    def _stop(self):
        anfd = self.loop.anfd(self.fd)
        anfd.watchers.remove(self)
        self.loop.fd_change(anfd)

    def close(self) -> None:
        """Stop, and tell the kernel while the descriptor is still open."""
        self.stop()
        self.loop._fork_check()
        self.loop._fd_reify()


class Timer(Watcher):
    """*after* seconds have passed, and then every *repeat* seconds."""

    _entry: list[Any] | None = None  # its place in the heap

    def __init__(self, loop, after, repeat=0.0, ref=True, priority=None):
        if repeat < 0:
            raise ValueError(f"repeat is zero or more, not {repeat}")
        super().__init__(loop, ref, priority)
        self.after, self.repeat = after, repeat

    @property
    def at(self) -> float:
        """The loop's time at which it is due; only while it is active."""
        return self._entry[0] if self.active and self._entry else 0.0

    def again(self, callback: Function, *args: Any) -> None:
        """Begin anew, *repeat* seconds from now; without repeat, stop."""
        self.stop()
        if self.repeat:
            self.after = self.repeat
            self.start(callback, *args)

    def _start(self):
        self.loop.update_now()
        self._entry = self.loop.alarm(self.after, self)

    def _stop(self):
        self.loop.cancel(self._entry)


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
        super()._start()
        self._sigchld.start(self._wait)
        self._sigchld.send()  # it may have ended before we listened

    def _stop(self):
        super()._stop()
        self._sigchld.stop()

    def _wait(self):
        with suppress(ChildProcessError):  # somebody else has waited for it
            pid, status = os.waitpid(self.pid or -1, self._flags)
            if pid:
                self.loop._child_reaped(pid, status)
                self._sigchld.send()  # one signal may stand for many


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


@dataclass(slots=True, eq=False, repr=False)
class Callback:
    """One call of a function in the next turn; ``stop`` takes it back."""

    loop: "Loop"
    callback: Function | None
    args: tuple[Any, ...] | None

    @property
    def pending(self) -> bool:
        """Whether the call is still to come."""
        return self.callback is not None

    def __bool__(self) -> bool:
        return self.pending

    def stop(self) -> None:
        """Do not call it."""
        self.callback = self.args = None

    close = stop

    def switch(self) -> Any:
        """Go back to the loop, which alone may call it.

        This is for who takes the next entry off the queue to switch there.
        """
        self.loop.queue.appendleft(self)
        return self.loop.home()


@dataclass(slots=True, eq=False, weakref_slot=True)
class Readiness:
    """What the kernel last said of one end of a descriptor, and who waits."""

    anfd: "ANFD"
    event: int
    queue: deque[Any]  # the loop's
    ready: bool = True  # for all we know: whoever tries will see
    doubt: bool = False  # a short read does not mean that it is empty
    armed: bool = False  # the kernel will report what is new
    waiter: Any = None  # what has a method switch
    timer: Timer | None = None  # rings for the waiter ...
    deadline: float | None = None  # ... not before this time

    def fire(self) -> None:
        """Note that it is ready, and put the waiter on the queue."""
        self.ready = True
        if self.waiter is not None:
            self.queue.append(self.waiter)
            self.waiter = None


@dataclass(slots=True, eq=False)
class ANFD:
    """What the loop knows of one descriptor; libev's name for it."""

    fd: int
    queue: deque[Any]  # the loop's
    events: int = 0  # what the kernel was asked to report
    reify: bool = False  # ask again, though it is the same
    watchers: list[Io] = field(default_factory=list)
    lent: bool = False  # the two ends have an owner
    read: Readiness = field(init=False)
    write: Readiness = field(init=False)
    others: Iterable[Readiness] = ()  # the ends of earlier owners

    def __post_init__(self) -> None:
        self.read = Readiness(self, IN, self.queue)
        self.write = Readiness(self, OUT, self.queue)

    def ends(self) -> list[Readiness]:
        """Return all at which somebody may wait."""
        return [*self.others, self.read, self.write]

    def lend(self) -> tuple[Readiness, Readiness]:
        """Give a new owner two ends of its own, which know nothing yet.

        An earlier one may share the descriptor, or be gone with its ends.
        """
        if self.lent:
            self.others = WeakKeyDictionary(dict.fromkeys(self.ends()))
            self.__post_init__()
        self.lent = True
        self.renew()
        return self.read, self.write

    def renew(self) -> None:
        """Know nothing of the file that the number had before."""
        self.reify = True
        for end in self.ends():
            end.ready, end.armed = True, False

    def wanted(self, edge: bool) -> int:
        """Return what the kernel is to report."""
        wanted = 0
        for watcher in self.watchers:
            wanted |= watcher._mask
        for end in self.ends():
            if end.waiter is not None:
                wanted |= end.event
        if edge and not self.watchers and (wanted or self.events & EDGE):
            wanted |= self.events | IN | PRI | RDHUP | EDGE
        return wanted


class Backend(Protocol):
    """The kernel's side of a loop."""

    edge: bool  # whether it can report once what is new

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
    #: Brings whoever calls it to where the loop runs; the hub's too.
    home: Function
    MINPRI, MAXPRI = -2, 2  # of watchers

    def __init__(
        self,
        backend: Backend | None = None,
        clock: Callable[[], float] = time.monotonic,
        default: bool | None = None,
    ) -> None:
        self.default = bool(default)
        self._backend = default_backend() if backend is None else backend
        self.clock = clock
        self.activecnt = 0  # started watchers for whose sake run() goes on
        self._done = BREAK_CANCEL
        self._mark = Callback(self, None, ())  # a round of the queue ends here
        self.queue: deque[Any] = deque([self._mark])  # what is due
        self._anfds: dict[int, ANFD] = {}
        self._fdchanges: set[ANFD] = set()
        # A heap of alarms: the time, a number, and whom to tell.
        self._timers: list[list[Any]] = []
        self._cancelled = 0  # entries of _timers that nobody waits for
        self._order = count()
        self._kinds: defaultdict[type, list[Any]] = defaultdict(list)
        self._sighandlers: dict[int, Any] = {}  # those that were there before
        falling = range(self.MAXPRI, self.MINPRI - 1, -1)
        self._pendings = {priority: deque[Any]() for priority in falling}
        self._fed = 0  # entries of _pendings
        self._forks = len(forks)  # as we last saw them
        self._evpipe_init()
        self._witness = self.anfd(self._evpipe[0]).read
        self.update_now()

    def __repr__(self) -> str:
        backend = type(self._backend).__name__.lower()
        state = f"pending={self.pendingcnt} ref={self.activecnt}"
        return f"<loop at {id(self):#x} {backend} {state}>"

    @property
    def pendingcnt(self) -> int:
        """How many watchers are pending."""
        return sum(map(len, self._pendings.values()))

    def verify(self) -> None:
        """Raise AssertionError where what the loop notes does not agree."""
        heap, anfds = self._timers, self._anfds
        above = [heap[(n - 1) // 2] for n in range(1, len(heap))]
        told = sum(entry[2] is None for entry in heap)
        notes = {
            "the queue has one mark": self.queue.count(self._mark) == 1,
            "_fed counts the pending": self._fed == self.pendingcnt,
            "_cancelled counts the heap": self._cancelled == told,
            "_timers is a heap": all(map(operator.lt, above, heap[1:])),
            "_anfds is by fd": [*anfds] == [a.fd for a in anfds.values()],
        }
        wrong = [note for note, holds in notes.items() if not holds]
        if wrong:
            raise AssertionError(f"{self!r}: not true: {', '.join(wrong)}")

    # -- What a caller asks for

    io = partialmethod(Io)
    timer = partialmethod(Timer)
    async_ = partialmethod(Async)
    signal = partialmethod(Signal)
    child = partialmethod(Child)
    stat = partialmethod(Stat)
    prepare = partialmethod(Prepare)
    check = partialmethod(Check)
    idle = partialmethod(Idle)
    fork = partialmethod(Fork)

    def run_callback(self, func: Function, *args: Any) -> Callback:
        """Call ``func(*args)`` before the kernel is asked again."""
        if not callable(func):
            raise TypeError(f"callback must be callable, not {func!r}")
        callback = Callback(self, func, args)
        self.queue.append(callback)
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
        self._now = self.clock()

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

        The loop does it unasked before it speaks to the kernel there.
        """
        self._forks = len(forks)
        self._backend.fork()
        self._evpipe_close()
        for anfd in self._anfds.values():
            anfd.events = 0
            anfd.renew()
            self._fdchanges.add(anfd)
        self._evpipe_init()
        self._queue_events(Fork)

    def destroy(self) -> None:
        """Give back signals and descriptors; it can't run any more."""
        if self._evpipe:
            for watcher in [*self._kinds[Signal]]:
                watcher.stop()
            self._evpipe_close()
            self._backend.close()

    # -- The turn

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Turn until nothing is left to wait for, or somebody breaks.

        *once* makes it one turn, *nowait* one turn that does not sleep.
        """
        if not self._evpipe:
            raise ValueError("operation on destroyed loop")
        self._done = BREAK_CANCEL
        self._turn(nowait)
        while not (self._done or nowait or once) and self._goes_on():
            self._turn(nowait)
        if self._done == BREAK_ONE:
            self._done = BREAK_CANCEL

    def _goes_on(self):
        return len(self.queue) > 1 or self.activecnt > 0 or self._waited()

    def _waited(self):
        # To count who waits would cost something at each wait.  We look for
        # one, begin with the one we found last, and seldom go further.
        if self._witness.waiter is None:
            ends = chain.from_iterable(map(ANFD.ends, self._anfds.values()))
            waited = (end for end in ends if end.waiter is not None)
            self._witness = next(waited, self._witness)
        return self._witness.waiter is not None

    def _turn(self, nowait):
        self._fork_check()
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

    def _fork_check(self):
        if len(forks) != self._forks:  # we are in a forked child
            self.reinit()

    def _queue_events(self, kind, first=False):
        for watcher in self._kinds[kind]:
            self._feed_event(watcher, first)

    def _idle_reify(self):
        idles = self._kinds[Idle]
        if not idles or len(self.queue) > 1:  # somebody is to run
            return
        best = max(one.priority for one in idles)
        if not any(q for pri, q in self._pendings.items() if pri >= best):
            for watcher in idles:
                if watcher.priority == best:
                    self._feed_event(watcher)

    def _run_callbacks(self):
        for _ in range(ROUNDS):
            if len(self.queue) == 1:
                break
            self._run_round()

    def _run_round(self):
        queue, mark = self.queue, self._mark
        queue.remove(mark)
        queue.append(mark)
        while (one := queue.popleft()) is not mark:
            if type(one) is not Callback:
                self._call(one.switch, ())
            elif (callback := one.callback) is not None:
                args = one.args
                one.callback = one.args = None
                self._call(callback, args)
                del callback, args  # nobody keeps them while others run
        queue.appendleft(mark)

    def _fd_reify(self):
        for anfd in self._fdchanges:
            wanted = anfd.wanted(self._backend.edge)
            if wanted != anfd.events or anfd.reify:
                self._backend_modify(anfd, wanted)
        self._fdchanges.clear()

    def _backend_modify(self, anfd, wanted):
        try:
            self._backend.modify(anfd.fd, anfd.events, wanted)
        except OSError:
            self._fd_kill(anfd)
        else:
            anfd.events, anfd.reify = wanted, False
            edges = wanted if wanted & EDGE and not anfd.others else 0
            for end in anfd.ends():
                end.armed = bool(edges & end.event)

    def _fd_kill(self, anfd):
        # No kernel will report this descriptor: it is closed, or a plain
        # file.  Its watchers fire once, and whoever reads meets the truth.
        for watcher in anfd.watchers:
            watcher._expire()
            self._feed_event(watcher)
        anfd.watchers.clear()
        for end in anfd.ends():
            end.fire()

    def _waittime(self):
        if self._done or len(self.queue) > 1 or self._fed:
            return 0.0
        if self._kinds[Idle] or not self._goes_on():
            return 0.0
        if self._timers:
            left = self._timers[0][0] - self.clock()
            return min(max(0.0, left), MAX_BLOCKTIME)
        return None

    def _backend_poll(self, timeout):
        try:
            reports = self._backend.poll(timeout)
        except BaseException:  # Ctrl-C comes while we sleep here
            for anfd in self._anfds.values():  # a report may be lost with it
                anfd.reify = True
                self.fd_change(anfd)
            self.handle_error(None, *sys.exc_info())
            return
        for fd, mask in reports:
            anfd = self._anfds.get(fd)
            if anfd is None:  # it was closed, and a copy of it is open
                continue
            end = anfd.read
            if mask == IN and end.armed:  # by far the most frequent
                end.fire()
            else:
                self._fd_event(anfd, mask)

    def _fd_event(self, anfd, mask):
        # An error or a hang-up is neither IN nor OUT, and ends every wait:
        # whoever waits tries again and learns what happened.
        trouble = mask & ~(IN | OUT)
        if mask & NVAL:
            self._fd_kill(anfd)
        for end in anfd.ends():
            end.doubt |= bool(trouble)
            if trouble or mask & end.event:
                end.fire()
        for watcher in anfd.watchers:
            if trouble or mask & watcher._mask:
                self._feed_event(watcher)
        if not anfd.events & EDGE:
            self._fdchanges.add(anfd)  # who was woken is not to be told again

    def _timers_reify(self):
        timers = self._timers
        due = []
        while timers and timers[0][0] <= self._now:
            entry = heapq.heappop(timers)
            if entry[2] is None:
                self._cancelled -= 1
            else:
                due.append(entry)
        for entry in due:
            if isinstance(timer := entry[2], Timer):
                if timer.repeat:
                    timer._entry = self.alarm(timer.repeat, timer)
                else:
                    timer._expire()
                self._feed_event(timer)
            else:
                entry[1] = None  # it has left the heap
                self._pendings[0].append(entry)
                self._fed += 1

    def _feed_event(self, watcher, first=False):
        if not watcher.pending:
            watcher.pending = True
            self._fed += 1
            queue = self._pendings[watcher.priority]
            (queue.appendleft if first else queue.append)(watcher)

    def _invoke_pending(self):
        fair = False  # whoever was woken has had a round
        while self._fed:
            self._fed -= 1  # the highest priority first
            one = next(filter(None, self._pendings.values())).popleft()
            if type(one) is list:
                if one[2] is not None:  # nobody cancelled it meanwhile
                    self._call(one[2].switch, (one,))
            else:
                if one.priority < 0 and not fair:  # it lets them go first
                    fair = True
                    self._run_round()
                if one.pending:  # nobody stopped it meanwhile
                    self._invoke(one)

    def _invoke(self, watcher):
        watcher.pending = False
        callback, args = watcher.callback, watcher.args
        if not watcher.active:
            watcher.stop()
        failed = not self._call(callback, args)
        if failed and type(watcher) is Io and watcher is not self._pipe_w:
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
            try:
                tell(context, type, value, tb)
            except Exception:  # the loop goes on, whatever became of it
                with suppress(Exception):
                    traceback.print_exc()

    # -- What watchers tell the loop

    def anfd(self, fd: int) -> ANFD:
        """Return what we know of *fd*."""
        if fd not in self._anfds:
            self._anfds[fd] = ANFD(fd, self.queue)
        return self._anfds[fd]

    def forget(self, anfd: ANFD) -> None:
        """Have the kernel report it no more: it is about to be closed.

        Whoever gets its number next gets a new record, too.
        """
        if self._evpipe and not (anfd.watchers or anfd.others):
            self._fork_check()
            if anfd.events:
                self._backend.modify(anfd.fd, anfd.events, 0)
            anfd.events = 0
            anfd.renew()
            for end in anfd.ends():
                if end.timer is not None:
                    end.timer.stop()
            self._fdchanges.discard(anfd)
            self._anfds.pop(anfd.fd, None)

    def fd_change(self, anfd: ANFD) -> None:
        """See what the kernel is to report of it, before it is asked."""
        self._anfds[anfd.fd] = anfd  # we may have forgotten it meanwhile
        self._fdchanges.add(anfd)

    def alarm(self, seconds: float, one: Any) -> list[Any]:
        """Have *one* told in *seconds*: a timer, or what has a ``switch``.

        Return its entry in the heap, which is what ``switch`` is given.
        """
        entry = [self._now + seconds, next(self._order), one]
        heapq.heappush(self._timers, entry)
        return entry

    def cancel(self, entry: list[Any]) -> None:
        """Take an :meth:`alarm` back."""
        entry[2] = None  # the heap keeps it until it comes up ...
        self._cancelled += entry[1] is not None
        if self._cancelled > 64 + len(self._timers) // 2:
            self._timers = [one for one in self._timers if one[2] is not None]
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

    def _child_reaped(self, pid, status):
        for watcher in self._kinds[Child]:
            if watcher.pid in (0, pid):
                watcher.rpid, watcher.rstatus = pid, status
                self._feed_event(watcher)

    def _wakeup_fd(self):
        # The pipe wakes a poll that the signal's function comes too late for.
        fd = self._evpipe[1] if self._sighandlers else -1
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)

    def _sig_event(self, signum, frame):
        for watcher in self._kinds[Signal]:
            if watcher._signum == signum:
                watcher.send()

    def _wake(self):
        if not self._evpipe:
            raise ValueError("operation on destroyed loop")
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._evpipe[1], b"\0")

    def _evpipe_init(self):
        self._evpipe = os.pipe()
        for end in self._evpipe:
            os.set_blocking(end, False)
        self._pipe_w = self.io(self._evpipe[0], READ, False, self.MAXPRI)
        self._pipe_w.start(self._evpipe_read)
        if self._sighandlers:
            self._wakeup_fd()

    def _evpipe_close(self):
        self._pipe_w.close()
        ends, self._evpipe = self._evpipe, ()  # no thread rings any more
        for end in ends:
            os.close(end)

    def _evpipe_read(self):
        os.read(self._evpipe[0], 4096)
        for watcher in [*self._kinds[Async], *self._kinds[Signal]]:
            if watcher._sent:
                watcher._sent = False
                self._feed_event(watcher)


class Epoll:
    """Linux: the kernel keeps the list of descriptors."""

    edge = True

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def modify(self, fd: int, old: int, new: int) -> None:
        """Tell the kernel; it forgets a closed descriptor by itself."""
        try:
            if not new:
                self._epoll.unregister(fd)
            elif old:
                self._epoll.modify(fd, new)
            else:
                self._epoll.register(fd, new)
        except FileExistsError:
            self._epoll.modify(fd, new)
        except FileNotFoundError:
            if new:
                self._epoll.register(fd, new)
        except OSError as error:
            if new or error.errno != errno.EBADF:
                raise

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready or *timeout* seconds passed."""
        return self._epoll.poll(timeout)

    def fork(self) -> None:
        """Leave the list to the parent, and begin one of our own."""
        self._epoll.close()
        self._epoll = select.epoll()

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()


class Kqueue:
    """macOS and the BSDs: the kernel keeps a list for each direction."""

    edge = True

    def __init__(self) -> None:
        self._kqueue = kernel.kqueue()
        self._events = {kernel.KQ_FILTER_READ: IN, kernel.KQ_FILTER_WRITE: OUT}

    def modify(self, fd: int, old: int, new: int) -> None:
        """Tell the kernel; it forgets a closed descriptor by itself."""
        add = kernel.KQ_EV_ADD | (new & EDGE and kernel.KQ_EV_CLEAR)
        for direction, event in self._events.items():
            if old & event and (old ^ new) & (event | EDGE):
                with suppress(OSError):
                    self._change(fd, direction, kernel.KQ_EV_DELETE)
            if new & event:
                self._change(fd, direction, add)

    def _change(self, *change):
        self._kqueue.control([kernel.kevent(*change)], 0)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready or *timeout* seconds passed."""
        return [
            (
                one.ident,
                self._events[one.filter]
                | (one.flags & kernel.KQ_EV_EOF and RDHUP),
            )
            for one in self._kqueue.control(None, MOST, timeout)
        ]

    def fork(self) -> None:
        """Begin a list: a forked child has not inherited its parent's."""
        with suppress(OSError):
            self._kqueue.close()
        self._kqueue = kernel.kqueue()

    def close(self) -> None:
        """Give the kqueue's descriptor back."""
        self._kqueue.close()


class Poll:
    """Any Unix: we hand the whole list over at each turn."""

    edge = False

    def __init__(self) -> None:
        self._poll = select.poll()

    def modify(self, fd: int, old: int, new: int) -> None:
        """Change our own list."""
        if new:
            self._poll.register(fd, new)
        elif old:
            self._poll.unregister(fd)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Sleep until a descriptor is ready or *timeout* seconds passed."""
        return self._poll.poll(None if timeout is None else timeout * 1000)

    def fork(self) -> None:
        """Do nothing: the list is our own, and its copy as well."""

    def close(self) -> None:
        """Do nothing: the kernel keeps nothing for us."""


def default_backend() -> Backend:
    """Return the best backend that this system has."""
    for name, backend in ("epoll", Epoll), ("kqueue", Kqueue):
        if hasattr(kernel, name):
            return backend()
    return Poll()


loop = Loop  # gevent's spelling
