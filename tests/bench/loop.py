"""Measure layers 2 to 4: what it costs to wait in the hub, and to echo.

evening, on its own engine and on the package greenlet, runs beside gevent,
asyncio, uvloop, threads, a bare loop, C, and Go.  All take turns in rounds,
each in a process of its own, and medians and minima are kept: a ratio is the
median of the ratios that the rounds gave.  What counts is the CPU time of a
unit of work, the kernel's share included.  A server and the load upon it
have a processor each, where there are two.

    python tests/bench/loop.py          measures long, prints, keeps
    python tests/bench/loop.py --kept   prints what the book draws, as JSON;
                                        measures, if nothing kept holds
    python tests/bench/loop.py --found  the same, or null: it does not measure
    python tests/bench/loop.py --quick  takes seconds: it runs, no more

What is kept lies in build/bench/loop.json.  Who is missing here is named.
The targets stand beside the ratios.  Nothing fails where one is missed.
"""

import hashlib
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

# A bench beside this one has a package's name: look here last.
sys.path.sort(key=str(Path(__file__).parent).__eq__)

import kept
from kept import BUILT, HERE

from cost import measured_with, processor

KEPT = BUILT / "loop.json"
SOURCES = [
    HERE / name
    for name in (
        "cost.py",
        "echo.c",
        "echo.go",
        "loadgen.c",
        "loop.py",
        "servers.py",
        "workloads.py",
    )
]
TIMEOUT = 120  # seconds, for any child


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int = 5
    memory_rounds: int = 2
    trips: int = 20_000  # round trips of all connections together
    switches: int = 100_000
    spawned: int = 100_000
    sleepers: int = 50_000
    nap: float = 1
    load: float = 0.6  # seconds of the load generator
    churned: int = 6_000
    idle: int = 10_000
    connections: tuple[int, ...] = (1, 100, 1000)
    clients: tuple[int, ...] = (10, 100, 1000)


#: For a book that is built where nobody has measured.
BRIEF = Effort(
    rounds=2,
    memory_rounds=1,
    trips=4_000,
    switches=30_000,
    spawned=30_000,
    sleepers=10_000,
    nap=0.3,
    load=0.2,
    churned=500,
    idle=3_000,
)
QUICK = Effort(
    rounds=1,
    memory_rounds=1,
    trips=1,
    switches=100,
    spawned=100,
    sleepers=100,
    nap=0.01,
    load=0.01,
    churned=70,
    idle=50,
)


# -- Who takes part.


class Peer(NamedTuple):
    """A way to do the works: a word for the scripts, and variables."""

    way: str
    env: Mapping[str, str] = MappingProxyType({})
    needs: str = ""  # a module that must be there
    cure: str = ""


UVLOOP = {"needs": "uvloop", "cure": "pip install uvloop"}
PEERS = {
    "evening": Peer(
        "evening",
        {"EVENING_ENGINE": "slice"},
        "evening._slice",
        "pip install -e . builds it where a C compiler is",
    ),
    "evening on greenlet": Peer("evening", {"EVENING_ENGINE": "greenlet"}),
    "gevent": Peer("gevent", {"GEVENT_LOOP": "libev-cext"}),
    "gevent on libuv": Peer(
        "gevent",
        {"GEVENT_LOOP": "libuv-cffi"},
        "gevent.libuv.loop",
        "pip install cffi",
    ),
    "asyncio": Peer("asyncio"),
    "asyncio streams": Peer("asyncio streams"),
    "asyncio Protocol": Peer("asyncio Protocol"),
    "uvloop": Peer("uvloop", **UVLOOP),
    "uvloop streams": Peer("uvloop streams", **UVLOOP),
    "uvloop Protocol": Peer("uvloop Protocol", **UVLOOP),
    "threads": Peer("thread"),
    "bare epoll loop": Peer("bare"),
    "C": Peer("C"),
    "Go": Peer("Go", {"GOMAXPROCS": "1"}),
}
GREEN = ["evening", "evening on greenlet", "gevent", "gevent on libuv"]
STREAMS = ["asyncio streams", "uvloop streams"]
PROTOCOLS = ["asyncio Protocol", "uvloop Protocol"]
MEMORY = ["asleep", "idle"]  # works that count kilobytes, not µs
TASKS = [*GREEN, "asyncio", "uvloop", "threads"]
SERVERS = [*GREEN, *STREAMS, *PROTOCOLS, "threads", "bare epoll loop"]
COMPILED = ["C", "Go"]
#: Not every system allows as many threads: one for so many of the others.
THREADS_FOR = 10
#: glibc gives what is free at the top of the heap back to the kernel, and
#: takes it again with a page fault each.  asyncio reads into 256 KB: where
#: these lie on top, as in a small program, each of its reads costs twenty
#: times what it costs in a large one.  So all keep some room there, but not
#: where memory is what we measure.
ROOM = {"MALLOC_TOP_PAD_": "4000000"}

COMPILERS = {
    "loadgen": ["cc", "-O2", "-o"],
    "C": ["cc", "-O2", "-o"],
    "Go": ["go", "build", "-o"],
}
PROGRAMS = {"loadgen": "loadgen.c", "C": "echo.c", "Go": "echo.go"}


def build():
    """Compile what needs it; return why something could not be, by name."""
    BUILT.mkdir(parents=True, exist_ok=True)
    return {
        name: reason
        for name in PROGRAMS
        if (reason := build_one(name)) is not None
    }


def build_one(name):
    """Return why a program can't be had; None where it is built."""
    compiler, *options = COMPILERS[name]
    if sys.platform != "linux":
        return "it asks for Linux's epoll and /proc"
    if shutil.which(compiler) is None:
        return f"there is no {compiler} command"
    mine = BUILT / f"{name}-{os.getpid()}"  # another run may use the old one
    child = subprocess.run(
        [compiler, *options, mine, HERE / PROGRAMS[name]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    if child.returncode:
        return child.stderr.strip()
    mine.replace(program(name))
    return None


def program(name):
    """Return the path of a compiled program."""
    return BUILT / f"echo-{name}" if name in COMPILED else BUILT / name


def absent():
    """Return why a peer can't take part, by name."""
    reasons = build()
    for name, peer in PEERS.items():
        if peer.needs:
            look = [sys.executable, "-P", "-c", f"import {peer.needs}"]
            probe = finished(look, peer.env)
            if probe.returncode:
                said = probe.stderr.strip().splitlines()[-1]
                reasons[name] = f"{said}: {peer.cure}"
    return reasons


def command(name, script, *words):
    """Return what runs a peer's program, or *script* in its way."""
    if name in COMPILED:
        return [program(name), *words]
    # -P: a bench beside the script has a package's name
    return [sys.executable, "-P", HERE / script, *words]


def finished(words, env):
    """Return the child that ran a command."""
    return subprocess.run(
        words,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


# -- Where they run.


def processors():
    """Return one for those who are measured, one for the load upon them."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    ours = os.sched_getaffinity(0)
    return max(ours), min(ours)


MEASURED, LOADING = processors()


def stay_on(one):
    """Run here from now on, as will the children that we start."""
    if one is not None:
        os.sched_setaffinity(0, {one})


def room_for_files():
    """Allow ourselves as many open files as we may; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# -- One sample: what a unit of work costs, in µs or KB.


class Died(Exception):
    """A child ended badly; the text says which, and its last words."""


def per_unit(name, words, child):
    """Return what a child's line says of one unit of a peer's work."""
    if child.returncode:
        ran = " ".join(str(word) for word in words)
        raise Died(
            f"{name}: {ran} ended with {child.returncode}: "
            f"{child.stderr.strip()}"
        )
    line = json.loads(child.stdout)
    if "cpu" in line:
        return line["cpu"] / line["units"] * 1e6
    return line["kilobytes"] / line["units"]


def done_by(name, work, *numbers):
    """Have a peer do a work in a fresh process."""
    peer = PEERS[name]
    stay_on(MEASURED)
    details = [str(number) for number in numbers]
    words = (
        [work, *details] if name in COMPILED else [work, peer.way, *details]
    )
    words = command(name, "workloads.py", *words)
    room = {} if work in MEMORY else ROOM
    return per_unit(name, words, finished(words, peer.env | room))


class Server(NamedTuple):
    """An echo server that runs."""

    pid: int
    port: int


@contextmanager
def serving(name, room=ROOM):
    """Run a peer's echo server meanwhile."""
    peer = PEERS[name]
    stay_on(MEASURED)
    words = command(
        name, "servers.py", "serve" if name in COMPILED else peer.way
    )
    env = os.environ | peer.env | room
    child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    try:
        port = child.stdout.readline()
        if not port:
            raise Died(f"the server of {name}: it said why above")
        yield Server(child.pid, int(port))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def loaded(name, server, work, *numbers):
    """Put load on a server that runs."""
    stay_on(LOADING)
    words = [
        program("loadgen"),
        *(str(one) for one in (server.port, server.pid, work, *numbers)),
    ]
    return per_unit(name, words, finished(words, {}))


def idle(name, count):
    """Have many connections that stay idle, on a fresh server."""
    with serving(name, room={}) as server:
        return loaded(name, server, "idle", fewer(name, count))


def fewer(name, count):
    """Return how many of so many *name* can bear."""
    return max(1, count // THREADS_FOR) if name == "threads" else count


# -- All of them, in rounds.


def rounds(samples, count):
    """Return what each sample gave, round by round.

    Every other round goes backwards, so that nobody always follows the same.
    """
    names, taken = list(samples), []
    for _ in range(count):
        taken.append({name: samples[name]() for name in names})
        names.reverse()
    return taken


def works(effort):
    """Return the words of each work in one process, and who does it."""
    found = {}
    for count in effort.connections:
        trips = max(effort.trips, count)
        found[f"echo {count}"] = (
            ["echo", trips, count, 0],
            [*SERVERS],
        )
        found[f"echo {count} timeouts"] = (
            ["echo", trips, count, 1],
            [*GREEN, *STREAMS, "threads"],
        )
    return found | {
        "events": (["events", effort.switches // 2], TASKS),
        "yields": (["yields", effort.switches], TASKS),
        "spawn": (["spawn", effort.spawned], [*TASKS, "Go"]),
        "sleepers": (
            ["sleepers", effort.sleepers, effort.nap],
            [*TASKS, "Go"],
        ),
    }


def in_process(effort, here):
    """Return the rounds of each work in one process."""
    return {
        work: told_rounds(
            work,
            {
                name: partial(done_by, name, *counted(name, words))
                for name in here(names)
            },
            effort.rounds,
        )
        for work, (words, names) in works(effort).items()
    }


def counted(name, words):
    """Return a work's words, with as many as *name* can bear."""
    work, count, *rest = words
    if work in ("spawn", "sleepers", "asleep"):
        count = fewer(name, count)
    return work, count, *rest


def told_rounds(work, samples, count):
    """Say what is measured now, and measure it."""
    print(f"measuring {work} ...", file=sys.stderr, flush=True)
    return rounds(samples, count)


def served(effort, here):
    """Return the rounds of each load upon the servers, which all run."""
    loads = {
        f"tcp {count}": ["echo", count, effort.load]
        for count in effort.clients
    }
    loads["churn"] = ["churn", effort.churned]
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(serving(name))
            for name in here([*SERVERS, *COMPILED])
        }
        samples = {
            (load, name): partial(loaded, name, server, *words)
            for load, words in loads.items()
            for name, server in running.items()
        }
        taken = told_rounds(", ".join(loads), samples, effort.rounds)
    return {
        load: [{name: one[load, name] for name in running} for one in taken]
        for load in loads
    }


def memory(effort, here, files):
    """Return the rounds of what waits and takes memory."""
    asleep = {
        name: partial(
            done_by, name, *counted(name, ["asleep", effort.sleepers])
        )
        for name in here([*TASKS, "Go"])
    }
    count = min(effort.idle, files - 200)
    connected = {
        name: partial(idle, name, count) for name in here(SERVERS + COMPILED)
    }
    return {
        "asleep": told_rounds("asleep", asleep, effort.memory_rounds),
        "idle": told_rounds("idle", connected, effort.memory_rounds),
    }


def measure(effort):
    """Return all figures and what they were measured with."""
    files = room_for_files()
    missing = absent()

    def here(names):
        return [name for name in names if name not in missing]

    taken = in_process(effort, here)
    if "loadgen" not in missing:
        taken |= served(effort, here)
        taken |= memory(effort, here, files)
    return {
        "works": {work: summary(work, one) for work, one in taken.items()},
        "growth": growth(taken),
        "missing": missing,
        "idle": min(effort.idle, files - 200),
        "effort": effort._asdict(),
        "with": made_with(missing),
    }


def summary(work, taken):
    """Return medians, minima and all rounds of a work."""
    return {
        "unit": "KB" if work in MEMORY else "µs",
        "medians": by_name(statistics.median, taken),
        "minima": by_name(min, taken),
        "rounds": taken,
    }


def by_name(sum_up, taken):
    """Return one figure of all rounds for each name."""
    return {name: sum_up(one[name] for one in taken) for name in taken[0]}


def growth(taken):
    """Return how many times as dear a request gets with many connections."""
    loads = [taken[work] for work in ("tcp 10", "tcp 1000") if work in taken]
    if len(loads) < 2:
        return {}
    return by_name(
        statistics.median,
        [
            {name: many[name] / few[name] for name in few}
            for few, many in zip(*loads, strict=True)
        ],
    )


def made_with(missing):
    """Return the machine, the versions and the day."""
    return measured_with() | {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0) | {MEASURED, LOADING})
        if LOADING is not None
        else 1,
        "kernel": platform.release(),
        **versions(),
        **{
            name.lower(): first_line(command)
            for name, command in (
                ("C", ["cc", "--version"]),
                ("Go", ["go", "version"]),
            )
            if name not in missing
        },
        "library": library(),
        "day": time.strftime("%Y-%m-%d"),
    }


def versions():
    """Return the versions of the packages that are compared."""
    found = {}
    for name in ("gevent", "uvloop"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def first_line(command):
    """Return what a program says of itself."""
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT
    ).stdout
    return said.partition("\n")[0]


# -- What was to be reached.


class Target(NamedTuple):
    """What *ours* shall be beside *theirs*.

    A bound below says how many times as cheap at least, one above says what
    part of their memory at most.
    """

    work: str
    theirs: str
    bound: float
    most: bool = False
    ours: str = "evening"


TARGETS = [
    Target("echo 100", "gevent", 2.7),
    Target("echo 100 timeouts", "gevent", 3),
    Target("echo 1000", "gevent", 2.5),
    Target("tcp 100", "uvloop Protocol", 1),
    Target("tcp 100", "Go", 1),
    Target("tcp 100", "bare epoll loop", 0.9),
    Target("yields", "gevent", 3),
    Target("spawn", "gevent", 5),
    Target("spawn", "uvloop", 1.5),
    Target("sleepers", "gevent", 3),
    Target("sleepers", "uvloop", 1.3),
    Target("asleep", "gevent", 0.6, most=True),
    Target("idle", "gevent", 0.6, most=True),
    Target("echo 100", "gevent", 2.2, ours="evening on greenlet"),
]
#: How many times as dear a request may get from 10 connections to 1000.
GROWTH = 1.3


def judged(figures):
    """Return each target with its ratio; None where one was missing."""
    return [
        target._asdict()
        | verdict(target, ratio(figures, target))
        | {"bare": bare(figures, target)}
        for target in TARGETS
    ] + [grown(figures)]


def bare(figures, target):
    """Return what a loop with nothing above the kernel reaches of it."""
    floor = target._replace(ours="bare epoll loop")
    return None if target.most else ratio(figures, floor)


def verdict(target, ratio):
    """Return a ratio and whether it reaches its bound."""
    if ratio is None:
        return {"ratio": None, "reached": None}
    reached = ratio <= target.bound if target.most else ratio >= target.bound
    return {"ratio": ratio, "reached": reached}


def ratio(figures, target):
    """Return the median of the rounds' ratios, the way the target asks."""
    taken = figures["works"].get(target.work, {"rounds": []})["rounds"]
    names = [target.theirs, target.ours]
    if target.most:
        names.reverse()
    over, under = names
    ratios = [
        one[over] / one[under]
        for one in taken
        if over in one and under in one and one[under] > 0
    ]
    return statistics.median(ratios) if ratios else None


def grown(figures):
    """Return the target of growth as the others are."""
    ours = "evening"
    target = Target("growth", "10 connections", GROWTH, most=True, ours=ours)
    ours, bare = (figures["growth"].get(n) for n in (ours, "bare epoll loop"))
    return target._asdict() | verdict(target, ours) | {"bare": bare}


# -- Keeping them.


def key():
    """Return what changes when the figures would, but for the library.

    With that one they would be taken anew at each change of a line; so we
    keep its hash among them, and the book says when it is another one.
    """
    return kept.key(SOURCES, *versions().values())


def library():
    """Return a hash of the library's layers."""
    package = Path(find_spec("evening").origin).parent
    parts = [path.read_bytes() for path in sorted(package.glob("*.py"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def for_the_book(figures):
    """Add what became of the targets, and whether the library is the same."""
    current = figures["with"]["library"] == library()
    return figures | {"targets": judged(figures), "current": current}


# -- Telling them.


def print_figures(figures):
    """Print all works, then who was missing, then the targets."""
    print(*(v for k, v in figures["with"].items() if k != "library"))
    for work, one in figures["works"].items():
        print(f"\n{work}, {one['unit']}: median, least, times as cheap as")
        for name, median in one["medians"].items():
            print(
                f"  {name:20} {median:9.2f} {one['minima'][name]:9.2f} "
                f"{cheaper(one['rounds'], name)}"
            )
    if figures["growth"]:
        print("\ntcp 1000 / tcp 10")
    for name, times in figures["growth"].items():
        print(f"  {name:20} {times:9.2f}")
    for name, reason in figures["missing"].items():
        print(f"\n{name} is left out: {reason}", end="")
    print("\n")
    if figures["idle"] < figures["effort"]["idle"]:
        print(
            f"idle: {figures['idle']} connections only, for the system "
            "allows no more open files (ulimit -Hn)"
        )
    for target in judged(figures):
        print(sentence(target))


def cheaper(taken, name):
    """Return how many times as cheap as gevent, in words."""
    ratios = [
        one["gevent"] / one[name]
        for one in taken
        if one[name] > 0 and one["gevent"] > 0
    ]
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):6.2f} gevent"


def sentence(target):
    """Return a target and what became of it, in a line."""
    bound = "at most" if target["most"] else "at least"
    beside = f"{target['work']}, {target['ours']} beside {target['theirs']}"
    if target["ratio"] is None:
        said = "not measured"
    else:
        said = "reached" if target["reached"] else "NOT reached"
        said = f"{target['ratio']:.2f}: {said}"
    if target["bare"] is not None:
        said += f" (a bare loop: {target['bare']:.2f})"
    return f"{beside}: {bound} {target['bound']}: {said}"


def main(arguments):
    """Do as the module's docstring says."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end the servers
    try:
        brief = partial(measure, BRIEF)
        if kept.answered(arguments, KEPT, key(), brief, for_the_book):
            return
        if "--quick" in arguments:
            print("too quick to judge anything by")
            print_figures(measure(QUICK))
            print("it runs")
        else:
            print_figures(kept.keep(KEPT, key(), measure(Effort())))
    except (Died, subprocess.TimeoutExpired) as error:
        sys.exit(f"tests/bench/loop.py: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
