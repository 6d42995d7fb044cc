"""Write a run in Chrome's trace-event format, which Perfetto opens.

Each greenlet is a thread there.  While it runs it has a slice, an arrow goes
with each switch, and all else is an instant.  Time is local: an event takes
a microsecond.
"""

from collections.abc import Iterator
from typing import Any

from .recorder import Event
from .timeline import words

#: After these, the target runs.  A return is told, and then the death.
MOVES = ("switch", "throw", "die")


def chrome(run: dict[str, Any], script: str) -> dict[str, Any]:
    """Return what the file holds for *run*, the run of a *script*."""
    threads = {name: n for n, name in enumerate(run["greenlets"], 1)}
    names = [entry("M", 0, "process_name", args={"name": script})]
    for name, thread in threads.items():
        names.append(entry("M", thread, "thread_name", args={"name": name}))
        order = {"sort_index": thread}
        names.append(entry("M", thread, "thread_sort_index", args=order))
    return {"traceEvents": [*names, *told(run["events"], threads)]}


def told(events: list[Event], threads: dict[str, int]) -> Iterator[Event]:
    """Yield the run itself."""
    runs = threads["main"]
    yield entry("B", runs, "runs", ts=0)
    for n, event in enumerate(events, 1):
        yield entry("i", runs, words(event), ts=n, s="t", args=event)
        if event["event"] in MOVES:
            yield entry("s", runs, event["event"], ts=n, id=n)
            yield entry("E", runs, "runs", ts=n + 0.5)
            runs = threads[event["target"]]
            yield entry("B", runs, "runs", ts=n + 0.5)
            yield entry("f", runs, event["event"], ts=n + 0.5, id=n, bp="e")
    yield entry("E", runs, "runs", ts=len(events) + 1)


def entry(phase, thread, name, **more):
    """Return one event of the format."""
    first = {"ph": phase, "pid": 1, "tid": thread, "name": name}
    return first | {"cat": "greenlet"} | more
