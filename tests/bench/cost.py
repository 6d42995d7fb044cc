"""Measure what it costs to hand over control, and to wait.

Four ways to run a second thing: a plain call, a generator, a greenlet, a
thread.  Rounds are interleaved and the median counts, for the machine may be
busy.  Time is the process's CPU time, the kernel's share included.

    python tests/bench/cost.py          prints a table, and keeps it
    python tests/bench/cost.py --kept   prints what the book draws, as JSON;
                                        measures, if nothing kept holds
    python tests/bench/cost.py --found  the same, or null: measures nothing
"""

import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

# The bench beside this one has a package's name: look here last.
sys.path.sort(key=str(Path(__file__).parent).__eq__)

import kept
from greenlet import getcurrent, greenlet

KEPT = kept.BUILT / "cost.json"
ROUNDS, TURNS = 9, 5_000
WAITERS = 2_000


def call(turns):
    """Call a function and come back."""

    def other():
        pass

    return timed(other, turns)


def generator(turns):
    """Resume a generator up to its next ``yield``."""

    def other():
        while True:
            yield

    return timed(other().__next__, turns)


def in_greenlet(turns):
    """Switch to a greenlet and back."""
    main = getcurrent()

    def other():
        while True:
            main.switch()

    return timed(greenlet(other).switch, turns)


def in_thread(turns, nest=lambda body: body()):
    """Wake a thread and wait until it wakes us; *nest* makes it deeper."""
    ours, theirs = threading.Semaphore(0), threading.Semaphore(0)
    done = False

    def other():
        while True:
            theirs.acquire()
            if done:
                return
            ours.release()

    def there_and_back():
        theirs.release()
        ours.acquire()

    thread = threading.Thread(target=nest, args=(other,))
    thread.start()
    try:
        return timed(there_and_back, turns)
    finally:
        done = True
        theirs.release()
        thread.join()


def timed(step, turns):
    """Return the CPU seconds of one *step*."""
    start = time.process_time()
    for _ in range(turns):
        step()
    return (time.process_time() - start) / turns


WAYS = {
    "call": call,
    "generator": generator,
    "greenlet": in_greenlet,
    "thread": in_thread,
}


def time_of_switch():
    """Return microseconds of CPU there and back, by way."""
    rounds = [
        {name: way(TURNS) for name, way in WAYS.items()} for _ in range(ROUNDS)
    ]
    return {
        name: statistics.median(one[name] for one in rounds) * 1e6
        for name in WAYS
    }


def wait_in(kind):
    """Print the kilobytes that each of many waiting ones takes."""
    before = resident()
    if kind == "greenlet":
        main = getcurrent()

        def wait():
            main.switch()

        waiting = [greenlet(wait) for _ in range(WAITERS)]
        for one in waiting:
            one.switch()
        print((resident() - before) / WAITERS)
        return
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(WAITERS)]
    for one in threads:
        one.start()
    print((resident() - before) / WAITERS)
    gate.set()
    for one in threads:
        one.join()


def resident():
    """Return the kilobytes of memory that this process now has."""
    try:
        pages = Path("/proc/self/statm").read_text("utf-8").split()[1]
    except FileNotFoundError:  # a Mac: the most that it ever had
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(pages) * resource.getpagesize() / 1024


def memory_of_wait():
    """Return kilobytes of one that waits, each kind in its own process."""
    return {
        kind: float(
            subprocess.run(
                [sys.executable, __file__, "--wait-in", kind],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            ).stdout
        )
        for kind in ("greenlet", "thread")
    }


def measure():
    """Return all figures and what they were measured with."""
    return {
        "switch": time_of_switch(),
        "memory": memory_of_wait(),
        "with": measured_with(),
    }


def measured_with():
    """Return the versions and the machine that figures hold for."""
    return {
        "python": platform.python_version(),
        "greenlet": version("greenlet"),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def processor():
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return "unnamed processor"
    names = [
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith("model name")
    ]
    return names[0] if names else "unnamed processor"


def main(arguments):
    """Do as the module's docstring says."""
    if arguments[:1] == ["--wait-in"]:
        wait_in(arguments[1])
        return
    key = kept.key([Path(__file__)])
    if kept.answered(arguments, KEPT, key, measure):
        return
    figures = kept.keep(KEPT, key, measure())
    print(*figures["with"].values())
    for name, microseconds in figures["switch"].items():
        print(f"switch {name:10} {microseconds:8.2f} µs")
    for name, kilobytes in figures["memory"].items():
        print(f"waits  {name:10} {kilobytes:8.1f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
