"""Our public names are gevent's, and so are their parameters."""

import importlib
import inspect
import socket

import gevent
import gevent.core
import gevent.event
import gevent.exceptions
import gevent.hub
import gevent.socket
import greenlet
import pytest

import evening.core
import evening.event
import evening.greenlet
import evening.hub
import evening.socket

LOOP = gevent.core.loop(default=False)

# Where gevent keeps what a module of ours has; the first that has it counts.
COUNTERPARTS = {
    "evening": [gevent],
    "evening.greenlet": [greenlet],
    "evening.core": [gevent.core],
    "evening.event": [gevent.event],
    "evening.hub": [gevent.hub, gevent.exceptions, gevent],
    "evening.socket": [gevent.socket],
}

# Names under which gevent has something else, or the same in another case.
RENAMED = {
    "evening.core.Loop": gevent.core.loop,
    "evening.core.Io": type(LOOP.io(0, 1)),
    "evening.core.Timer": type(LOOP.timer(0)),
    "evening.core.Async": type(LOOP.async_()),
    "evening.core.Signal": type(LOOP.signal(2)),
    "evening.core.Child": gevent.core.child,
    "evening.core.Stat": type(LOOP.stat("/")),
    "evening.core.Prepare": type(LOOP.prepare()),
    "evening.core.Check": type(LOOP.check()),
    "evening.core.Idle": type(LOOP.idle()),
    "evening.core.Fork": type(LOOP.fork()),
    "evening.core.Callback": type(LOOP.run_callback(int)),
}

OURS = {
    "evening.core.Epoll": "gevent's backends are libev's, in C",
    "evening.core.Kqueue": "gevent's backends are libev's, in C",
    "evening.core.Poll": "gevent's backends are libev's, in C",
    "evening.greenlet.ThreadGreenlet": "the twin is for contrast",
    "evening.greenlet.engine": "greenlet has one engine",
}

# What one layer of ours asks of another, where gevent's asks libev, in C.
BETWEEN_LAYERS = {
    "evening.core.Loop": ["alarm", "anfd", "cancel", "fd_change", "forget"],
    "evening.core.Callback": ["switch"],
}

# Parameters of gevent's that we don't have (yet).
NOT_YET = {
    "evening.core.Timer.again": {"update"},
    "evening.socket.socket.send": {"timeout"},
    "evening.socket.wait_readwrite": {"event"},  # deprecated: it is ignored
    "evening.socket.wait_write": {"event"},
}

# Constructors that differ on purpose.
OWN_CONSTRUCTORS = {
    "evening.core.Loop": "takes a backend and a clock, for tests",
    "evening.socket.socket": "takes the standard library's defaults",
}

MODULES = list(COUNTERPARTS)


# What stands for a parameter that nobody gave, here and there.
UNSET = {repr(evening.socket.DEFAULT), "<default value>"}


def public():
    """Yield (full name, our object) of each public name.

    What is the standard library's own has its name and parameters.
    """
    for name in MODULES:
        module = importlib.import_module(name)
        for short in module.__all__:
            ours = getattr(module, short)
            if ours is not getattr(socket, short, module):
                yield f"{name}.{short}", ours


def counterpart(full):
    """Return gevent's object for our *full* name."""
    if full in RENAMED:
        return RENAMED[full]
    module, _, short = full.rpartition(".")
    for theirs in COUNTERPARTS[module]:
        if hasattr(theirs, short):
            return getattr(theirs, short)
    pytest.fail(f"gevent has no {full}; is it in OURS, with a reason?")


def parameters(function):
    """Return [(name, default)] of the public ones, None if nobody knows."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [
        (one.name, default(one.default))
        for one in signature.parameters.values()
        if one.name not in ("self", "cls", "loop")
        and not one.name.startswith("_")
    ]


def default(value):
    """Return a parameter's default in words that both libraries share."""
    text = getattr(value, "__name__", repr(value))
    return "unset" if text in UNSET else text


def compare(ours, theirs):
    """Assert that *ours* can be called as *theirs*."""
    mine, reference = parameters(ours), parameters(theirs)
    if mine is None or reference is None:
        return
    if reference and {one for one, _ in reference} <= {"args", "kwargs"}:
        return  # gevent hands over what it gets
    missing = NOT_YET.get(f"{ours.__module__}.{ours.__qualname__}", set())
    kept = [one for one in reference if one[0] not in missing]
    assert len(reference) - len(kept) == len(missing), "NOT_YET is stale"
    assert mine == kept


NAMES = [pytest.param(full, ours, id=full) for full, ours in public()]


@pytest.mark.parametrize(("full", "ours"), NAMES)
def test_a_public_name_is_gevents(full, ours):
    if full in OURS:
        module, _, short = full.rpartition(".")
        assert not any(
            hasattr(theirs, short) for theirs in COUNTERPARTS[module]
        ), "OURS is stale"
        return
    theirs = counterpart(full)
    assert callable(ours) == callable(theirs)
    if callable(ours) and not inspect.isclass(ours):
        compare(ours, theirs)


def full_name(one):
    """Return the name of a class, with its module's."""
    return f"{one.__module__}.{one.__qualname__}"


def methods(one):
    """Return the names of the public methods that *one* defines.

    What it inherits counts only from the class that is not public itself.
    """
    family = [one, *({evening.hub.AbstractLinkable} & {*one.__mro__})]
    names = dict.fromkeys(name for each in family for name in vars(each))
    return [
        name
        for name in names
        if not name.startswith("_")
        and name not in BETWEEN_LAYERS.get(full_name(one), [])
        and callable(getattr(one, name))
    ]


METHODS = [
    pytest.param(full, ours, name, id=f"{full}.{name}")
    for full, ours in [
        *public(),
        *(
            (full, getattr(evening.core, full.split(".")[-1]))
            for full in RENAMED
            if "Loop" not in full
        ),
    ]
    if inspect.isclass(ours) and full not in OURS
    for name in methods(ours)
]


@pytest.mark.parametrize(("full", "ours", "name"), METHODS)
def test_a_public_method_is_gevents(full, ours, name):
    theirs = counterpart(full)
    assert hasattr(theirs, name), f"gevent's {theirs} has no {name}"
    compare(getattr(ours, name), getattr(theirs, name))


CLASSES = [
    pytest.param(full, ours, id=full)
    for full, ours in public()
    if inspect.isclass(ours)
    and full not in OURS
    and full not in OWN_CONSTRUCTORS
    and "__init__" in vars(ours)
]


@pytest.mark.parametrize(("full", "ours"), CLASSES)
def test_a_constructor_takes_what_gevents_takes(full, ours):
    compare(ours.__init__, counterpart(full).__init__)


@pytest.mark.parametrize(("full", "ours"), NAMES)
def test_a_public_name_has_a_docstring(full, ours):
    module = getattr(ours, "__module__", None) or "evening"  # C has none
    if callable(ours) and module.startswith("evening"):
        assert inspect.getdoc(ours)
