"""What the chapter says of CPython's inside is so, on this CPython."""

import importlib
import importlib.util
import sys

import pytest

from conftest import need

# -- What calls add to the C stack


def leave(engine):
    engine.getcurrent().parent.switch()


def plainly(engine, n):
    plainly(engine, n - 1) if n else leave(engine)


def by_a_key(engine, n):
    if n:
        max([n - 1], key=lambda n: by_a_key(engine, n))
    else:
        leave(engine)


def by_a_star(engine, n):
    by_a_star(*(engine, n - 1)) if n else leave(engine)


class ByAnInit:
    def __init__(self, engine, n):
        ByAnInit(engine, n - 1) if n else leave(engine)


class ByAnEnter:
    def __init__(self, engine, n):
        self.engine, self.n = engine, n

    def __enter__(self):
        by_an_enter(self.engine, self.n)

    def __exit__(self, *_):
        pass


def by_an_enter(engine, n):
    if n:
        with ByAnEnter(engine, n - 1):
            pass
    else:
        leave(engine)


@pytest.fixture
def engine():
    need(importlib.util.find_spec("evening._slice"), "evening._slice")
    return importlib.import_module("evening._slice").greenlet


def added(engine, descend):
    """Return how many bytes of C stack twenty more calls take."""
    for _ in range(5):  # the interpreter learns how to call, as it runs
        few, many = (saved(engine, descend, n) for n in (20, 40))
    return many - few


def saved(engine, descend, n):
    waits = engine(descend)
    waits.switch(engine, n)
    return waits._stack_saved


def test_a_plain_call_adds_nothing_to_the_c_stack(engine):
    assert added(engine, plainly) == 0


def test_a_call_through_c_adds_to_the_c_stack(engine):
    assert added(engine, by_a_key) > 20 * 100


@pytest.mark.parametrize(
    ("descend", "last"),
    [(by_a_star, (3, 11)), (ByAnInit, (3, 12)), (by_an_enter, (3, 13))],
)
def test_some_calls_pass_through_c_unseen(engine, descend, last):
    if sys.version_info[:2] <= last:
        assert added(engine, descend) > 20 * 100
    elif last < (3, 13):  # the book leaves open what 3.14 does with a with
        assert added(engine, descend) == 0
