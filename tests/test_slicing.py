"""A rule of three lines foretells what slicing saves.

The rule is that of the snippet ``slicing_rule``: of a greenlet that waits,
the heap has what lies below the highest end of all that have run since.  It
sees only the real ends of the stacks, and must hold after every switch.
"""

import importlib
import importlib.util
import random
import sys

import pytest

from conftest import need
from run_snippet import ON_SLICES_ONLY, SNIPPETS, check


@pytest.fixture
def engine(monkeypatch):
    """Our engine, whichever one runs; it stands in for greenlet."""
    need(importlib.util.find_spec("evening._slice"), "evening._slice")
    engine = importlib.import_module("evening._slice").greenlet
    monkeypatch.setitem(sys.modules, "greenlet", Names(engine))
    return engine


class Names:
    """The names of greenlet that the snippet imports."""

    def __init__(self, greenlet):
        self.greenlet = greenlet
        self.getcurrent = greenlet.getcurrent
        self.settrace = greenlet.settrace


@pytest.fixture
def rule(engine):
    path = SNIPPETS / "greenlet/slicing_rule.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    snippet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(snippet)
    return snippet.stack_saved


class Crowd:
    """Greenlets that switch to each other at random, watched on arrival."""

    def __init__(self, engine, rule, seed, size=12):
        self.engine, self.rule = engine, rule
        self.dice = random.Random(seed)
        self.main = engine.getcurrent()
        self.saved = {self.main: 0}
        self.size = size
        self.switches = self.wrong = self.partly = 0
        self.births, self.ends = 0, {"of itself": 0, "thrown": 0}

    def arrive(self, event, switch):
        """Foretell what is saved of each, and compare."""
        self.switches += 1
        for g, before in self.saved.items():
            self.saved[g] = self.rule(g, switch[1], before)
            self.wrong += not g.dead and self.saved[g] != g._stack_saved
            self.partly += 0 < g._stack_saved < g._stack_stop - g._stack_start
        for g in [g for g in self.saved if g.dead]:
            self.wrong += g._stack_saved != 0
            del self.saved[g]

    def live(self):
        self.births += 1
        for _ in range(self.dice.randrange(60)):
            self.deep(self.dice.randrange(9))
        self.ends["of itself"] += 1

    def deep(self, n):
        """Leave from below *n* runs of sorted(), 4 KB of stack each."""
        if n:
            sorted([n - 1], key=self.deep)
        else:
            self.dice.choice(list(self.saved)).switch()

    def end_one(self):
        """Let one of those who wait end before its time."""
        waiting = [g for g in self.saved if g and g is not self.main]
        if waiting and self.dice.random() < 0.1:
            self.dice.choice(waiting).throw()
            self.ends["thrown"] += 1

    def run(self, switches):
        previous = self.engine.settrace(self.arrive)
        while self.switches < switches:
            while len(self.saved) < self.size:
                self.saved[self.engine(self.live)] = 0
            self.deep(self.dice.randrange(9))
            self.end_one()
        self.engine.settrace(previous)


@pytest.mark.parametrize("seed", range(4))
def test_the_rule_holds_after_every_switch(engine, rule, seed):
    crowd = Crowd(engine, rule, seed)
    crowd.run(switches=5000)
    assert crowd.wrong == 0
    assert crowd.partly > 100, "some were saved in part"
    assert crowd.births > 100 and min(crowd.ends.values()) > 20


def test_the_rule_can_fail(engine, rule):
    crowd = Crowd(engine, lambda g, to, before: rule(g, to, 0), seed=0)
    crowd.run(switches=500)
    assert crowd.wrong > 0


def test_the_list_of_what_only_slices_show_is_not_stale():
    for name in ON_SLICES_ONLY:
        assert check(name, "gevent") != "", name
