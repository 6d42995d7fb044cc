"""Measure layer 1: what a switch costs, by engine and by depth.

Our engine runs against the greenlet package and against its twin; beside
them run generators, asyncio tasks, threads, and goroutines where Go is
installed.  All take turns in rounds, and medians count: a ratio is the
median of the ratios that the rounds gave.  Time is the process's CPU time,
the kernel's share included.  A switch is half of the way there and back.
All run on one processor.

    python tests/bench/greenlet.py          prints a table, and keeps it
    python tests/bench/greenlet.py --kept   prints what the book draws, as
                                            JSON; measures, if nothing holds
    python tests/bench/greenlet.py --found  the same, or null: measures nothing
    python tests/bench/greenlet.py --quick  takes seconds: it runs, no more

The targets stand beside the ratios.  Nothing fails where one is missed: a
busy machine is no mistake of the engine.
"""

import asyncio
import functools
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

# This file has the package's name: look here last.
sys.path.sort(key=str(Path(__file__).parent).__eq__)

import greenlet
import kept

from cost import in_thread, measured_with, processor, resident, timed
from evening.greenlet import ThreadGreenlet, current_thread_greenlet

try:
    from evening import _slice
except ImportError:
    _slice = None  # told by main

KEPT = kept.BUILT / "greenlet.json"
GO_SOURCE = Path(__file__).with_name("channels.go")
SOURCES = [kept.HERE / "cost.py", Path(__file__), GO_SOURCE]
NOT_BUILT = (
    "tests/bench/greenlet.py: evening._slice is not built here, so there is "
    "nothing to compare: pip install -e . builds it where a C compiler is"
)


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int = 5
    seconds: float = 0.01  # of each sample
    children: int = 3  # fresh processes, for the memory's layout counts
    waiting: int = 10_000
    dropped: int = 1_000_000


QUICK = Effort(
    rounds=2, seconds=0.001, children=1, waiting=2_000, dropped=5_000
)


class Engine(NamedTuple):
    """A type of greenlets, and how to get the one that runs."""

    greenlet: type
    getcurrent: Callable

    @classmethod
    def of(cls, module):
        """Return the engine that the *module* brings: greenlet or ours."""
        return cls(module.greenlet, module.greenlet.getcurrent)


ENGINES = {
    "ours": _slice and Engine.of(_slice),
    "greenlet": Engine.of(greenlet),
    "twin": Engine(ThreadGreenlet, current_thread_greenlet),
}
SLICING = ["ours", "greenlet"]
PYTHON_DEPTHS = [1, 10, 100, 300, 900]
C_DEPTHS = [1, 10, 50, 150]

#: How many times as fast as the greenlet package ours shall be.
TARGETS = {
    "shallow": 2,
    "900 Python frames": 3,
    "250 KB of C stack": 1,
    "750 KB of C stack": 1,
    "create, run, die": 7,
}
#: What part of its memory ours may take.
MEMORY_TARGET = 0.6


# -- How deep the stack is at the switch.


def python_frames(depth):
    """Return what calls a body below so many frames of Python."""

    def nest(body, left=depth):
        return nest(body, left - 1) if left else body()

    return nest


def c_frames(depth):
    """Return what calls a body below so many sorts, each some frames of C."""

    def nest(body, left=depth):
        if left == 0:
            return body()
        return sorted([0], key=lambda _: nest(body, left - 1))

    return nest


def c_depth(size):
    """Return how many sorts it takes until so many bytes are saved."""
    depth = 1
    while saved(ENGINES["ours"], c_frames(depth)) < size:
        depth += 1
    return depth


# -- One switch.  Each returns the CPU seconds of one, of many.


@contextmanager
def suspended(engine, nest):
    """Give a greenlet that switches back each time, and end it."""
    main = engine.getcurrent()

    def wait():
        switch = main.switch
        while True:
            switch()

    one = engine.greenlet(lambda: nest(wait))
    one.switch()
    try:
        yield one
    finally:
        one.throw()


def saved(engine, nest):
    """Return how many bytes of its stack are on the heap meanwhile."""
    with suspended(engine, nest) as one:
        return one._stack_saved


def engine_switch(turns, engine, nest):
    """Switch between two greenlets."""
    with suspended(engine, nest) as one:
        return timed(one.switch, turns) / 2


def generator_switch(turns, depth=0):
    """Resume a generator, through *depth* others by ``yield from``."""

    def chain(left):
        if left:
            yield from chain(left - 1)
        while True:
            yield

    return timed(chain(depth).__next__, turns) / 2


def task_switch(turns, depth=0):
    """Let two tasks take turns, each *depth* calls below its first."""

    async def task(left):
        if left:
            await task(left - 1)
            return
        for _ in range(turns):
            await asyncio.sleep(0)

    async def both():
        start = time.process_time()
        await asyncio.gather(task(depth), task(depth))
        return (time.process_time() - start) / turns / 2

    return asyncio.run(both())


def thread_switch(turns):
    """Let two threads wake each other."""
    return in_thread(turns) / 2


# -- One life: create, run, die.


def nothing():
    """Be the shortest life there is."""


def engine_life(turns, engine):
    """Run a greenlet from birth to death."""
    return timed(lambda: engine.greenlet(nothing).switch(), turns)


def generator_life(turns):
    """Run a generator from birth to death."""

    def short():
        return
        yield

    return timed(lambda: next(short(), None), turns)


def task_life(turns):
    """Run a task from birth to death."""

    async def short():
        pass

    async def all_of_them():
        start = time.process_time()
        for _ in range(turns):
            await asyncio.create_task(short())
        return (time.process_time() - start) / turns

    return asyncio.run(all_of_them())


def thread_life(turns):
    """Run a thread from birth to death."""

    def live():
        thread = threading.Thread(target=nothing)
        thread.start()
        thread.join()

    return timed(live, turns)


# -- Many that wait.  Each returns what *look* saw while *count* waited.


def engine_wait(count, look, engine):
    """Suspend many greenlets."""
    main = engine.getcurrent()

    def wait():
        main.switch()

    waiting = [engine.greenlet(wait) for _ in range(count)]
    for one in waiting:
        one.switch()
    seen = look()
    for one in waiting:
        one.throw()
    return seen


def generator_wait(count, look):
    """Suspend many generators."""

    def wait():
        yield

    waiting = [wait() for _ in range(count)]
    for one in waiting:
        next(one)
    return look()


def task_wait(count, look):
    """Have many tasks wait for one event."""

    async def all_of_them():
        gate = asyncio.Event()
        waiting = [asyncio.create_task(gate.wait()) for _ in range(count)]
        await asyncio.sleep(0)
        seen = look()
        gate.set()
        await asyncio.gather(*waiting)
        return seen

    return asyncio.run(all_of_them())


def thread_wait(count, look):
    """Have many threads wait for one event."""
    gate = threading.Event()
    waiting = [threading.Thread(target=gate.wait) for _ in range(count)]
    for one in waiting:
        one.start()
    seen = look()
    gate.set()
    for one in waiting:
        one.join()
    return seen


WAITS = {
    **{
        name: partial(engine_wait, engine=engine)
        for name, engine in ENGINES.items()
    },
    "generator": generator_wait,
    "task": task_wait,
    "thread": thread_wait,
}
#: A tenth of the others will do, and not every system allows more threads.
FEWER = ["twin", "thread"]


def kilobytes_of_wait(name, count):
    """Return how much each of many waiting ones takes."""
    before = resident()
    return (WAITS[name](count, resident) - before) / count


def kilobytes_of_drop(name, count):
    """Return the process's memory after a tenth of *count*, and at last.

    Each greenlet is created, switched to, and dropped while it waits.
    """
    engine = ENGINES[name]
    main = engine.getcurrent()

    def wait():
        main.switch()

    def drop(many):
        for _ in range(many):
            engine.greenlet(wait).switch()
        return resident()

    return drop(count // 10), drop(count - count // 10)


def in_child(work, *details):
    """Return what *work* gives in a fresh process."""
    words = [json.dumps(one) for one in details]
    return json.loads(output([sys.executable, __file__, work, *words]))


def output(command):
    """Return what *command* prints; what it complains of is seen."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=300
    ).stdout


# -- Go, where it is.


@functools.cache
def go_folder():
    """Return the folder of the built program; it goes when we do."""
    folder = tempfile.TemporaryDirectory()
    built = subprocess.run(
        ["go", "build", "-o", folder.name, GO_SOURCE],
        capture_output=True,
        text=True,
    )
    if built.returncode:
        print(f"Go is left out: {built.stderr.strip()}", file=sys.stderr)
        folder.cleanup()
        return None
    return folder


def go(count, work):
    """Return the figure of *work* that the program prints."""
    program = Path(go_folder().name) / GO_SOURCE.stem
    return float(output([program, work, str(count)]))


def with_go(samples, work):
    """Return *samples*, with Go's among them where it can be had."""
    if shutil.which("go") is None or go_folder() is None:
        return samples
    return samples | {"goroutine": partial(go, work=work)}


# -- Taking the figures.


def works(depths):
    """Return what is measured, by work and by who does it."""
    small, large = (c_frames(depth) for depth in depths)
    others = {
        "generator": generator_switch,
        "task": task_switch,
        "thread": thread_switch,
    }
    deep = {
        "generator": partial(generator_switch, depth=900),
        "task": partial(task_switch, depth=900),
    }
    return {
        "shallow": with_go(switches(python_frames(0)) | others, "switch"),
        "900 Python frames": switches(python_frames(900)) | deep,
        "250 KB of C stack": switches(small),
        "750 KB of C stack": switches(large),
        "create, run, die": with_go(lives(), "create"),
    }


def lives():
    """Return what a life is, by who lives it."""
    engines = {
        name: partial(engine_life, engine=engine)
        for name, engine in ENGINES.items()
    }
    return engines | {
        "generator": generator_life,
        "task": task_life,
        "thread": thread_life,
    }


def switches(nest, names=tuple(ENGINES)):
    """Return the switch of each engine, so deep."""
    return {
        name: partial(engine_switch, engine=ENGINES[name], nest=nest)
        for name in names
    }


def rounds_of_works(count, seconds):
    """Return the rounds of each work."""
    gc.disable()
    depths = c_depth(250_000), c_depth(750_000)
    return {
        work: rounds(samples, count, seconds)
        for work, samples in works(depths).items()
    }


def rounds(samples, count, seconds):
    """Return the seconds of each sample, round by round.

    Every other round goes backwards, so that nobody always follows the same.
    """
    turns = {name: enough(sample, seconds) for name, sample in samples.items()}
    names, taken = list(samples), []
    for _ in range(count):
        taken.append({name: samples[name](turns[name]) for name in names})
        names.reverse()
    return taken


def enough(sample, seconds):
    """Return how many turns make a sample last so long."""
    turns = 1
    while sample(turns) * turns < seconds:
        turns *= 2
    return turns


def medians(taken, unit=1):
    """Return the median of each one's figures, in *unit*."""
    return {
        name: statistics.median(one[name] for one in taken) / unit
        for name in taken[0]
    }


def ratios(taken):
    """Return how many times as much as ours greenlet's takes, by round."""
    return sorted(one["greenlet"] / one["ours"] for one in taken)


def waits(effort):
    """Return the kilobytes of one that waits, round by round."""
    samples = {
        name: partial(
            in_child,
            "--wait",
            name,
            effort.waiting // 10 if name in FEWER else effort.waiting,
        )
        for name in WAITS
    }
    goroutine = with_go({}, "wait")
    samples |= {
        name: partial(sample, effort.waiting)
        for name, sample in goroutine.items()
    }
    return [
        {name: sample() for name, sample in samples.items()}
        for _ in range(effort.children)
    ]


def by_depth(frames, depths, effort):
    """Return a row for each depth: time and bytes of both that slice."""
    rows = []
    for depth in depths:
        nest = frames(depth)
        taken = rounds(switches(nest, SLICING), effort.rounds, effort.seconds)
        rows.append(
            {
                "depth": depth,
                "ns": medians(taken, 1e-9),
                "bytes": {
                    name: saved(ENGINES[name], nest) for name in SLICING
                },
            }
        )
    return rows


def switched(effort):
    """Return the rounds of each work, those of several processes."""
    children = [
        in_child("--works", effort.rounds, effort.seconds)
        for _ in range(effort.children)
    ]
    return {
        work: [one for child in children for one in child[work]]
        for work in children[0]
    }


def stay_on_one_processor():
    """Have us and our children take turns on one, where the system can.

    One runs at a time anyway.  On two processors it is the kernel's choice
    whether a thread wakes the other next to it or far away, and threads cost
    several times as much in one run as in the next.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(effort):
    """Return all figures and what they were measured with."""
    stay_on_one_processor()
    taken = switched(effort)
    waited = waits(effort)
    return {
        "ns": {work: medians(one, 1e-9) for work, one in taken.items()},
        "ratios": {work: ratios(one) for work, one in taken.items()},
        "faster": {
            work: statistics.median(ratios(one)) for work, one in taken.items()
        },
        "waits": medians(waited),
        "smaller": statistics.median(ratios(waited)),
        "drops": {
            name: in_child("--drop", name, effort.dropped) for name in SLICING
        },
        "dropped": effort.dropped,
        "depths": {
            "Python": by_depth(python_frames, PYTHON_DEPTHS, effort),
            "C": by_depth(c_frames, C_DEPTHS, effort),
        },
        "with": measured_with() | {"processor": processor()},
    }


# -- Telling them.


def verdict(met):
    """Return whether a target is met, in a word."""
    return "met" if met else "MISSED"


def print_times(figures):
    """Print a line for each work and each who does it."""
    for work, times in figures["ns"].items():
        faster, target = figures["faster"][work], TARGETS[work]
        least, *_, most = figures["ratios"][work]
        print(
            f"\n{work}: {faster:.2f} times as fast as greenlet "
            f"({least:.2f} to {most:.2f}), "
            f"at least {target}: {verdict(faster >= target)}"
        )
        for name, nanoseconds in times.items():
            print(f"  {name:10} {nanoseconds:12,.0f} ns")


def print_memory(figures):
    """Print what waits and what is dropped."""
    part = 1 / figures["smaller"]
    print(
        f"\none that waits: {part:.2f} of greenlet's memory, "
        f"at most {MEMORY_TARGET}: {verdict(part <= MEMORY_TARGET)}"
    )
    for name, kilobytes in figures["waits"].items():
        print(f"  {name:10} {kilobytes:12.2f} KB")
    count = figures["dropped"]
    print(
        f"\n{count:,} created, switched to, dropped, the first tenth "
        "not counted; less than a byte each is flat"
    )
    for name, (before, after) in figures["drops"].items():
        each = (after - before) * 1024 / (count - count // 10)
        print(
            f"  {name:10} {before:,.0f} KB to {after:,.0f} KB, "
            f"{each:.2f} bytes each: {verdict(each < 1)}"
        )


def print_depths(figures):
    """Print time and bytes by depth."""
    for kind, rows in figures["depths"].items():
        print(f"\ndepth in {kind:8} ns a switch        bytes saved")
        print("               ours   greenlet       ours   greenlet")
        for row in rows:
            cells = [
                row[what][who] for what in ("ns", "bytes") for who in SLICING
            ]
            print(
                f"{row['depth']:8} {cells[0]:10,.0f} {cells[1]:10,.0f} "
                f"{cells[2]:10,} {cells[3]:10,}"
            )


CHILDREN = {
    "--works": rounds_of_works,
    "--wait": kilobytes_of_wait,
    "--drop": kilobytes_of_drop,
}


def for_the_book():
    """Return all figures, or why there are none."""
    return measure(Effort()) if _slice else {"missing": NOT_BUILT}


def main(arguments):
    """Do as the module's docstring says."""
    if arguments and arguments[0] in CHILDREN:
        work, *details = arguments
        done = CHILDREN[work](*(json.loads(one) for one in details))
        json.dump(done, sys.stdout)
        return
    key = kept.key(SOURCES)
    if kept.answered(arguments, KEPT, key, for_the_book):
        return
    if _slice is None:
        print(NOT_BUILT)
        sys.exit("--quick" not in arguments)
    if shutil.which("go") is None:
        print("Go is left out: there is no go command", file=sys.stderr)
    if "--quick" in arguments:
        figures = measure(QUICK)
        print("it runs; too quick to judge anything by")
    else:
        figures = kept.keep(KEPT, key, measure(Effort()))
    print(*figures["with"].values())
    print_times(figures)
    print_memory(figures)
    print_depths(figures)


if __name__ == "__main__":
    main(sys.argv[1:])
