"""Layer 1: leave one stack and go on with another.

A greenlet is a function that can stop in the middle, let another one run,
and later go on where it stopped.  Three engines keep this promise:

- ``slice``: ours, in ``_slice.c``, copies slices of one C stack;
- ``greenlet``: the package of that name, where ours could not be built;
- ``thread``: ``ThreadGreenlet``, the twin for reading and for contrast,
  gives each greenlet a thread and lets one thread run at a time.

``EVENING_ENGINE`` picks one; ``engine`` says which runs.
"""

import os
import threading
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

__all__ = ["GreenletExit", "ThreadGreenlet", "engine", "error", "getcurrent"]
__all__ += ["gettrace", "greenlet", "settrace"]

#: The engines written in C: the module with the type, and what it needs.
ENGINES = {
    "slice": (
        "evening._slice",
        "a C compiler and Python's headers, and then evening again",
    ),
    "greenlet": ("greenlet", "the package greenlet"),
}


def load(*names: str) -> tuple[str, Any]:
    """Return name and type of the first of the engines that is there.

    Raise ImportError, with the cure, where none is.
    """
    missing = []
    for name in names:
        module, cure = ENGINES[name]
        try:
            return name, import_module(module).greenlet
        except ImportError as error:
            missing.append(f"no engine {name!r} ({error}): install {cure}")
    raise ImportError("; ".join(missing))


#: The engine that runs: ``"slice"``, ``"greenlet"`` or ``"thread"``.
engine = os.environ.get("EVENING_ENGINE", "")
if engine not in ("", "thread", *ENGINES):
    raise ImportError(
        f"EVENING_ENGINE is {engine!r}: set it to 'slice', 'greenlet' or "
        "'thread'"
    )
if TYPE_CHECKING:
    from greenlet import (
        GreenletExit,
        error,
        getcurrent,
        gettrace,
        greenlet,
        settrace,
    )
else:
    found, greenlet = load(*[engine] if engine in ENGINES else ENGINES)
    engine = engine or found
    error, GreenletExit = greenlet.error, greenlet.GreenletExit
    getcurrent = greenlet.getcurrent
    gettrace, settrace = greenlet.gettrace, greenlet.settrace

# What travels with a switch: arguments, or an error to raise on arrival.
Message = tuple[tuple[Any, ...], dict[str, Any], BaseException | None]


class ThreadGreenlet:
    """A greenlet whose stack is the stack of a thread.

    *run* is the function; without it a subclass brings a method of that
    name.  *parent*, by default the creator, gets the result.  Mirrors
    ``greenlet.greenlet``.
    """

    _state: str  # "new", "active" or "dead"
    _parent: "ThreadGreenlet | None"
    _baton: threading.Lock
    _message: Message
    run: Any

    def __new__(cls, *args: object, **kwargs: object) -> "ThreadGreenlet":
        """Prepare the state, also where a subclass forgets to."""
        self = super().__new__(cls)
        self._state = "new"
        self._parent = current_thread_greenlet()
        self._baton = threading.Lock()
        self._baton.acquire()
        return self

    def __init__(
        self, run: Any = None, parent: "ThreadGreenlet | None" = None
    ) -> None:
        if run is not None:
            self.run = run
        if parent is not None:
            self.parent = parent

    def switch(self, *args: Any, **kwargs: Any) -> Any:
        """Run this greenlet until somebody switches back to the caller.

        The first time *args* go to its function, later they are what its own
        ``switch`` returns.  Raise ``error`` if it lives in another thread.
        """
        return self._enter((args, kwargs, None))

    def throw(
        self,
        typ: Any = GreenletExit,
        val: Any = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """Switch to this greenlet and raise there."""
        failure = exception(typ, val, tb)
        if self.dead and isinstance(failure, GreenletExit):
            return self._enter(((failure,), {}, None))
        return self._enter(((), {}, failure))

    @property
    def parent(self) -> "ThreadGreenlet | None":
        """The greenlet that goes on when this one is finished."""
        return self._parent

    @parent.setter
    def parent(self, parent: "ThreadGreenlet") -> None:
        if not isinstance(parent, ThreadGreenlet):
            raise TypeError(f"parent must be a greenlet, not {parent!r}")
        if self._parent is None:
            raise AttributeError("cannot set the parent of a main greenlet")
        if any(one is self for one in lineage(parent)):
            raise ValueError("cyclic parent chain")
        begun = self._state != "new"
        if begun and main_of(parent) is not main_of(self):
            raise ValueError("parent cannot be on a different thread")
        self._parent = parent

    @property
    def dead(self) -> bool:
        """Whether it is finished."""
        return self._state == "dead"

    def __bool__(self) -> bool:
        return self._state == "active"

    def _enter(self, message):
        me, target = current_thread_greenlet(), alive(self)
        if main_of(target) is not main_of(me):
            raise error("Cannot switch to a different thread")
        if target is not me:
            target._wake(message)
            me._baton.acquire()  # until somebody hands it back
            message = me._message
        return unpack(message)

    def _wake(self, message):
        if self._state == "new":
            run = self.run
            self._state = "active"
            vars(self).pop("run", None)
            threading.Thread(
                target=self._main, args=(run, message), daemon=True
            ).start()
        else:
            self._message = message
            self._baton.release()

    def _main(self, run, message):
        here.greenlet = self
        try:
            args, kwargs, failure = message
            if failure is not None:
                raise failure
            message = (run(*args, **kwargs),), {}, None
        except GreenletExit as last:
            message = (last,), {}, None
        except BaseException as failure:
            message = (), {}, failure
        self._state = "dead"
        self._pass_on(message)

    def _pass_on(self, message):
        heir = alive(self)
        try:
            heir._wake(message)
        except AttributeError as failure:  # an heir that has nothing to run
            heir._state = "dead"
            heir._pass_on(((), {}, failure))


class Here(threading.local):
    """The greenlet that this thread carries."""

    greenlet: ThreadGreenlet | None = None


here = Here()


def current_thread_greenlet() -> ThreadGreenlet:
    """Return the running greenlet; a thread's first one is its main."""
    if here.greenlet is None:
        main = object.__new__(ThreadGreenlet)
        main._state, main._parent = "active", None
        main._baton = threading.Lock()
        main._baton.acquire()
        here.greenlet = main
    return here.greenlet


def lineage(greenlet):
    """Yield *greenlet*, its parent, and so on up to the main one."""
    while greenlet is not None:
        yield greenlet
        greenlet = greenlet._parent


def main_of(greenlet):
    """Return the root of the tree: one a thread."""
    *_, main = lineage(greenlet)
    return main


def alive(greenlet):
    """Return *greenlet*, or the nearest ancestor that is not dead."""
    return next(one for one in lineage(greenlet) if not one.dead)


def exception(typ=GreenletExit, val=None, tb=None):
    """Return the exception that the arguments of ``throw`` describe."""
    if isinstance(typ, BaseException):
        failure = typ
    elif not (isinstance(typ, type) and issubclass(typ, BaseException)):
        raise TypeError(
            "exceptions must be classes, or instances, not "
            f"{type(typ).__name__}"
        )
    elif isinstance(val, typ):
        failure = val
    elif val is None:
        failure = typ()
    else:
        failure = typ(*val) if isinstance(val, tuple) else typ(val)
    return failure if tb is None else failure.with_traceback(tb)


def unpack(message):
    """Return what ``switch`` gives its caller, or raise what came."""
    args, kwargs, failure = message
    if failure is not None:
        raise failure
    if kwargs:
        return (args, kwargs) if args else kwargs
    return args[0] if len(args) == 1 else args


def no_tracer(*tracer: object) -> None:
    """Refuse: threads don't tell each other who runs."""
    raise NotImplementedError(
        "the engine 'thread' has no settrace: set EVENING_ENGINE to 'slice'"
    )


if engine == "thread":
    greenlet = ThreadGreenlet  # type: ignore[assignment, misc]
    getcurrent = current_thread_greenlet  # type: ignore[assignment]
    settrace = gettrace = no_tracer  # type: ignore[assignment]
