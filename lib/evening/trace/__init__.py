"""See a run: who switches to whom, what is passed, what the loop does.

``python -m evening.trace script.py`` runs a script that uses gevent, or
greenlet alone, and prints what happened in lanes.  :func:`record` returns
the same as data.  A run is::

    {"greenlets": {name: {"kind": ..., "parent": ...}}, "events": [...]}

and each event says who ran and at which line of the script.  Nothing here
is imported, and nothing patched, unless you record.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["dumps", "record"]


def record(
    script: str | os.PathLike[str],
    library: str = "gevent",
    *,
    session: bool = False,
    slices: bool = False,
    args: Sequence[str] = (),
    timeout: float = 30,
) -> dict[str, Any]:
    """Run *script* on *library* in a process of its own; return the run.

    With *session*, run the examples of its docstring instead.  With
    *slices*, on evening's own engine, each switch says where the stacks lie:
    the start and the stop of each greenlet's slice, counted from where main
    was first left, and how many of its bytes are in the heap.
    Raise ValueError, with its last words, where the script fails, and
    TimeoutError where it takes over *timeout* seconds.
    """
    command = ["--library", library, *["--session"] * session]
    run = from_child(command, script, args, timeout)
    if slices:  # the recorder itself would lie on the stack: a second run
        bare = from_child([*command, "--slices"], script, args, timeout)
        pairs = zip(moves(run), moves(bare), strict=True)
        for event, its_twin in pairs:
            event["slices"] = its_twin["slices"]
    return run


def moves(run):
    """Yield the events of *run* by which control goes elsewhere."""
    for event in run["events"]:
        # Where a greenlet returned, its death comes with it.
        if event["event"] in ("switch", "throw", "return") or (
            event["event"] == "die" and event["error"]
        ):
            yield event


def from_child(options, script, args, timeout):
    """Return what the command writes with these *options*."""
    where = f"{os.fspath(script)} on {options[1]}"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.json")
        command = [sys.executable, "-X", "utf8", "-m", "evening.trace"]
        command += [*options, "--json", path, os.fspath(script), *args]
        try:
            child = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout,
                env={**os.environ},  # which another thread may change
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{where}: no end after {timeout} s") from None
        if child.returncode:
            said = child.stderr.decode("utf-8", "replace").strip()
            last = said.splitlines()[-1] if said else "it said nothing"
            raise ValueError(f"{where}: {last}")
        with open(path, encoding="utf-8") as file:
            run, *_ = json.load(file)["runs"].values()
    return run


def dumps(trace: dict[str, Any]) -> str:
    """Return *trace* as JSON, with an event to a line.

    *trace* is ``{"snippet": name, "runs": {library: run}}``.
    """
    return "".join(lines(trace))


def lines(trace: dict[str, Any]) -> Iterator[str]:
    """Yield the JSON of *trace* in pieces."""

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    yield f'{{\n "snippet": {text(trace["snippet"])},\n "runs": {{'
    for n, (library, run) in enumerate(trace["runs"].items()):
        yield ",\n" if n else "\n"
        yield f'  {text(library)}: {{\n   "greenlets": {{\n    '
        yield ",\n    ".join(
            f"{text(name)}: {text(known)}"
            for name, known in run["greenlets"].items()
        )
        yield '\n   },\n   "events": [\n    '
        yield ",\n    ".join(map(text, run["events"]))
        yield "\n   ]\n  }"
    yield "\n }\n}\n"
