"""Measure where an echo's time goes: gevent peeled, and evening's ladder.

One work, the echo of workloads.py among 100 connections: on gevent, with one
thing after the other taken away (peel.py), and on evening, from a slow way to
wait up to the one we ship (climb.py).  All take turns in rounds, each in a
process of its own; what counts is the CPU time of a round trip.

    python tests/bench/ladder.py          measures long, prints, keeps
    python tests/bench/ladder.py --kept   prints what the book draws, as JSON;
                                          measures, if nothing kept holds
    python tests/bench/ladder.py --found  the same, or null: measures nothing
    python tests/bench/ladder.py --quick  takes seconds: it runs, no more

What is kept lies in build/bench/ladder.json, as with loop.py.
"""

import itertools
import select
import statistics
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

# A bench beside this one has a package's name: look here last.
sys.path.sort(key=str(Path(__file__).parent).__eq__)

import kept
import loop
from kept import HERE
from loop import ROOM

KEPT = kept.BUILT / "ladder.json"
SOURCES = [HERE / name for name in ("climb.py", "ladder.py", "peel.py")]
CONNECTIONS = 100


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int
    trips: int


LONG = Effort(rounds=9, trips=20_000)
#: For a book that is built where nobody has measured.
BRIEF = Effort(rounds=2, trips=5_000)
QUICK = Effort(rounds=1, trips=CONNECTIONS)


class Rung(NamedTuple):
    """A way to echo: a script, its word, and on which engine."""

    script: str
    word: str
    timeouts: int = 0
    engine: str = "greenlet"


#: Both lists are in order: each takes one step away from the one before.
PEEL = {
    word: Rung("peel.py", word)
    for word in (
        "gevent",
        "one send",
        "bare send",
        "wait first",
        "hub.wait",
        "switch",
    )
}
CLIMB = {
    word: Rung("climb.py", word)
    for word in ("ask each time", "level", "edge", "remember", "shipped")
} | {"own engine": Rung("climb.py", "shipped", engine="slice")}
OTHERS = {
    "gevent, timeouts": Rung("peel.py", "gevent", 1),
    "alarms, timeouts": Rung("climb.py", "alarms", 1),
    "shipped, timeouts": Rung("climb.py", "shipped", 1),
    "bare epoll loop": Rung("workloads.py", "bare"),
}
RUNGS = PEEL | CLIMB | OTHERS


def missing():
    """Return why a rung can't be measured here, by name."""
    reasons = {}
    if not hasattr(select, "epoll"):
        asks = [*CLIMB, "alarms, timeouts", "bare epoll loop"]
        reasons |= dict.fromkeys(asks, "it asks for Linux's epoll")
    if find_spec("evening._slice") is None:
        reasons["own engine"] = "our own engine is not built"
    return reasons


def sample(name, trips):
    """Have a fresh process echo; return the µs of a round trip."""
    rung = RUNGS[name]
    loop.stay_on(loop.MEASURED)
    work = ["echo"] if rung.script == "workloads.py" else []
    numbers = [str(n) for n in (trips, CONNECTIONS, rung.timeouts)]
    words = loop.command(name, rung.script, *work, rung.word, *numbers)
    env = {"EVENING_ENGINE": rung.engine, "GEVENT_LOOP": "libev-cext"} | ROOM
    return loop.per_unit(name, words, loop.finished(words, env))


def measure(effort):
    """Return all figures and what they were measured with."""
    absent = missing()
    samples = {
        name: partial(sample, name, effort.trips)
        for name in RUNGS
        if name not in absent
    }
    taken = loop.told_rounds("the ladder", samples, effort.rounds)
    return {
        **loop.summary("echo", taken),
        "saved": saved(taken, PEEL) | saved(taken, CLIMB),
        "missing": absent,
        "effort": effort._asdict(),
        "library": loop.library(),
    }


def saved(taken, rungs):
    """Return what each rung saves beside the one before it."""
    names = [name for name in rungs if name in taken[0]]
    return {
        name: statistics.median(one[before] - one[name] for one in taken)
        for before, name in itertools.pairwise(names)
    }


# -- Keeping and telling them.


def key():
    """Return what changes when the figures would, as in loop.py."""
    return kept.key(SOURCES, loop.key())


def for_the_book(figures):
    """Add whether they are of the library that lies here now."""
    return figures | {"current": figures["library"] == loop.library()}


def print_figures(figures):
    """Print each rung, and what it saves."""
    print("µs of a round trip: median, least, saved by this step")
    for name, median in figures["medians"].items():
        step = figures["saved"].get(name)
        print(
            f"  {name:20} {median:9.2f} {figures['minima'][name]:9.2f} "
            f"{'-' if step is None else format(step, '.2f'):>9}"
        )
    for name, reason in figures["missing"].items():
        print(f"{name} is left out: {reason}")


def main(arguments):
    """Do as the module's docstring says."""
    try:
        brief = partial(measure, BRIEF)
        if kept.answered(arguments, KEPT, key(), brief, for_the_book):
            return
        if "--quick" in arguments:
            print_figures(measure(QUICK))
            print("it runs")
        else:
            print_figures(kept.keep(KEPT, key(), measure(LONG)))
    except (loop.Died, subprocess.TimeoutExpired) as error:
        sys.exit(f"tests/bench/ladder.py: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
