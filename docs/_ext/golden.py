"""The golden traces: what a snippet's run was when somebody last looked.

A snippet that a page shows with ``:trace:`` has one beside it.  The doctest
builder records again and compares; ``python golden.py`` renews.
"""

import difflib
import functools
import json
import sys

from evening.trace import dumps, record
from evening.trace.timeline import words
from run_snippet import RUNS, SNIPPETS, TIMEOUT

LIBRARIES = "gevent", "evening"
#: A machine that is busy may let two timers be due at once: we look again.
TRIES = 3


def golden(name):
    """Return the file of a snippet's golden trace."""
    return SNIPPETS / f"{name}.trace.json"


def read(name):
    """Return the golden trace of the snippet *name*.

    Raise ValueError where there is none that can be read.
    """
    try:
        return json.loads(golden(name).read_text("utf-8"))
    except FileNotFoundError:
        message = "it has no golden trace: `make accept` records it"
        raise ValueError(message) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its golden trace can't be read: {error}") from None


def recorded(name):
    """Return the trace of the snippet *name*, as it is now."""
    path = SNIPPETS / f"{name}.py"
    runs = {
        library: record(path, library, session=True, timeout=TIMEOUT)
        for library in LIBRARIES
    }
    return {"snippet": name, "runs": runs}


@functools.cache
def start_trace(name):
    """Start to record beside the others; return the future of the report."""
    return RUNS.submit(report, name)


def check_trace(name):
    """Return "" where a run is as its golden trace says, else a report."""
    return start_trace(name).result()


def report(name):
    """Record a run, and return what differs."""
    path = f"snippets/{name}.trace.json"
    try:
        expected = json.loads(golden(name).read_text("utf-8"))
    except FileNotFoundError:
        return f"{path}: there is none: make it, with `make accept`\n"
    except ValueError as error:
        return f"{path}: {error}: renew it, with `make accept`\n"
    try:
        for _ in range(TRIES):
            said = difference(expected, recorded(name))
            if not said:
                break
    except (ValueError, TimeoutError) as error:
        return f"{path}: not recorded: {error}\n"
    if said:
        cure = "if the new one is right, renew it, with `make accept`"
        return f"{path}: the run is another one: {cure}\n{said}\n"
    said = disagreement(expected["runs"])
    return said and f"{path}: gevent and evening disagree: {said}\n"


def difference(expected, actual):
    """Return a diff of two traces, an event to a line; "" if there is none."""
    if expected == actual:
        return ""
    lines = [[*told(trace)] for trace in (expected, actual)]
    if lines[0] == lines[1]:  # what differs has no words
        lines = [dumps(trace).splitlines() for trace in (expected, actual)]
    return "\n".join(
        difflib.unified_diff(*lines, "golden", "now", lineterm="")
    )


def told(trace):
    """Yield the events of *trace* in words."""
    for library, run in trace["runs"].items():
        for name, known in run["greenlets"].items():
            yield f"{library}: {name} is a {known['kind']}, " + (
                f"its parent is {known['parent']}"
            )
        for event in run["events"]:
            turn = f" turn {event['turn']}" if "turn" in event else ""
            line = event["line"] or "-"
            yield f"{library}:{line}{turn} {event['greenlet']}: " + (
                words(event)
            )


def shared(run):
    """Yield what both libraries must say: the events of user's greenlets."""
    kinds = {name: one["kind"] for name, one in run["greenlets"].items()}
    for event in run["events"]:
        names = [event["greenlet"], event.get("target", event["greenlet"])]
        mine = "hub" not in [kinds[name] for name in names]
        kind = event["event"]
        if (
            (kind in ("start", "die") and kinds[names[0]] == "greenlet")
            or kind == "print"
            or (kind == "return" and kinds[names[0]] == "greenlet")
            or (kind in ("switch", "throw") and mine and event["value"])
        ):
            yield f"line {event['line']}, {names[0]}: {words(event)}"


def disagreement(runs):
    """Return the first shared event in which the runs differ, or ""."""
    ours, theirs = ([*shared(runs[library]), "the end"] for library in runs)
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return f"{one} / {other}"
    return ""


def steady(name):
    """Return the trace of *name*, once two recordings are alike.

    Raise ValueError where none are: such a run can't have a golden trace.
    """
    trace = recorded(name)
    for _ in range(TRIES):
        before, trace = trace, recorded(name)
        if trace == before:
            return trace
    raise ValueError(f"snippets/{name}.py has another trace each time")


def accept(names):
    """Renew the golden traces of *names*, and remove all others.

    Exit with the reason where one can't be recorded, or where the libraries
    disagree.
    """
    try:
        traces = [*RUNS.map(steady, names)]
    except (ValueError, TimeoutError) as error:
        sys.exit(f"golden traces: {error}")
    for path in {*SNIPPETS.rglob("*.trace.json")} - {*map(golden, names)}:
        path.unlink()
        print(f"removed {path.relative_to(SNIPPETS.parent)}")
    apart = []
    for name, trace in zip(names, traces, strict=True):
        path, text = golden(name), dumps(trace)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"renewed {path.relative_to(SNIPPETS.parent)}")
        said = disagreement(trace["runs"])
        apart += [f"{name}: gevent and evening disagree: {said}"] * bool(said)
    if apart:
        sys.exit("\n".join(apart))


if __name__ == "__main__":
    from snippet import traced

    root = SNIPPETS.parent
    accept(sorted({*traced(root / "docs"), *traced(root / "talk")}))
