"""Find names for what has none, which are the same in each run."""

import functools
import re
import reprlib
from collections import Counter
from collections.abc import Callable
from typing import Any

LONGEST = 60  # characters of a value
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
PORT = re.compile(r"(?<=\('127\.0\.0\.1', )\d+(?=\))")
FD = re.compile(r"\bfd=\d+")


class Numbers:
    """What is called by its kind and a number, in the order it comes."""

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()
        self._fds: dict[int, str] = {}

    def next(self, kind: str) -> str:
        """Return the name of one more of a *kind*."""
        self._last[kind] += 1
        return f"{kind} {self._last[kind]}"

    def fd(self, number: int) -> str:
        """Return the name of the descriptor *number*."""
        if number not in self._fds:
            self._fds[number] = self.next("fd")
        return self._fds[number]


def stable(text: str) -> str:
    """Return *text* without addresses, ports and descriptors."""
    return FD.sub("fd", PORT.sub("port", ADDRESS.sub("", text)))


class Words(reprlib.Repr):
    """Says what a value is, shortly and the same in each run.

    *name_of* returns the name of what has one, else None.
    """

    def __init__(self, name_of: Callable[[object], str | None]) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST
        self.name_of = name_of

    def word(self, value: object) -> str:
        """Return the repr of *value*, fit for a label."""
        text = stable(self.repr(value))
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

    def repr1(self, x: Any, level: int) -> str:
        """Return a name, or the repr."""
        return self.name_of(x) or error_name(x) or super().repr1(x, level)


def error_name(one: object) -> str:
    """Return the name of *one* where it is a class of exceptions, or ""."""
    if isinstance(one, type) and issubclass(one, BaseException):
        return one.__name__
    return ""


def is_error(one: object) -> bool:
    """Return whether *one* is an exception, or a class of them."""
    return isinstance(one, BaseException) or bool(error_name(one))


def function_of(greenlet: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the function that *greenlet* will call, and its arguments."""
    names = ("_target", "_run", "run")  # evening's, gevent's, greenlet's
    found = (getattr(greenlet, name, None) for name in names)
    function = next((one for one in found if one is not None), None)
    args = getattr(greenlet, "args", ())
    if isinstance(function, functools.partial):
        return function.func, args + function.args
    return function, args


def after_function(greenlet: Any, function: Any, args: tuple[Any, ...]) -> str:
    """Return a name made of a function's and of the first word it gets.

    Where a type of greenlets brings its own function, it is the type's.
    """
    own = getattr(function, "__self__", None) is greenlet
    called = type(greenlet) if own else function
    name = getattr(called, "__name__", "greenlet").strip("<>")
    words = [one for one in args if type(one) is str]
    return " ".join([name, *words[:1]])
