"""Record the real run of a snippet: lanes, and steps in their order.

Greenlets are watched on gevent, by greenlet's own trace hook: who switches
to whom, and what is printed.  The loop is watched on evening: the steps of
each turn.  ``python record.py FILE`` is the child that ``recorded`` starts.
"""

import contextlib
import doctest
import functools
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

from run_snippet import SNIPPETS, TIMEOUT

#: The steps of a turn, as evening's Loop names its methods.
STEPS = (
    "_run_callbacks",
    "_fd_reify",
    "_backend_poll",
    "_timers_reify",
    "_invoke_pending",
)


class Recorder(io.TextIOBase):
    """A standard output that notes who prints what."""

    def __init__(self, who):
        self.who, self.steps, self.rest = who, [], ""

    def write(self, text):
        """Note each whole line."""
        *lines, self.rest = (self.rest + text).split("\n")
        self.steps += [[self.who(), line] for line in lines]
        return len(text)


def load(path):
    """Return the snippet at *path* as a module, its session not yet run."""
    source = Path(path).read_text("utf-8")
    module = types.ModuleType(Path(path).stem)
    exec(compile(source, path, "exec"), vars(module))
    return module


def run_session(module):
    """Run the examples of the module's docstring, one after the other."""
    for example in doctest.DocTestParser().get_examples(module.__doc__):
        exec(compile(example.source, "<session>", "single"), vars(module))


def record_switches(path):
    """Return lanes and steps of a run on gevent: switches and prints."""
    import gevent
    import gevent.hub
    from greenlet import getcurrent, settrace

    module = load(path)
    lanes, names = {}, {}

    def name(greenlet):
        # By identity, and kept alive: a name must not pass to another one.
        if id(greenlet) not in names:
            label, kind = describe(greenlet)
            count = sum(given.startswith(label) for given in lanes)
            label = label if label not in lanes else f"{label} {count + 1}"
            names[id(greenlet)] = label, greenlet
            lanes[label] = kind
        return names[id(greenlet)][0]

    def describe(greenlet):
        if greenlet.parent is None:
            return "main", "greenlet"
        if isinstance(greenlet, gevent.hub.Hub):
            return "hub", "hub"
        for key, value in vars(module).items():
            if value is greenlet:
                return key, "greenlet"
        run = getattr(greenlet, "_run", None) or getattr(greenlet, "run", "")
        words = [getattr(run, "__name__", "greenlet")]
        words += [a for a in getattr(greenlet, "args", ()) if type(a) is str]
        return " ".join(words[:2]), "greenlet"

    out = Recorder(lambda: name(getcurrent()))

    def trace(event, pair):
        target = name(pair[1])
        out.steps.append([target, "throw" if event == "throw" else ""])

    name(getcurrent())
    with contextlib.redirect_stdout(out):
        out.steps.append(["main", ""])
        settrace(trace)
        try:
            run_session(module)
        finally:
            settrace(None)
    return {"lanes": lanes, "steps": merged(out.steps)}


def merged(steps):
    """Return *steps*, an arrival and what is said there in one row."""
    rows = []
    for lane, text in steps:
        if rows and rows[-1] == [lane, ""]:
            rows[-1] = [lane, text]
        else:
            rows.append([lane, text])
    return rows


def record_turns(path):
    """Return lanes and steps of a run on evening: turns, calls, prints."""
    from evening.trace.stand_in import stand_in

    stand_in("evening")
    from evening import core

    lanes = {"callbacks": "callback", "loop": "loop", "kernel": "kernel"}
    out = Recorder(lambda: "callbacks")

    def note(owner, method, lane, text):
        original = getattr(owner, method)

        @functools.wraps(original)
        def noted(self, *args):
            said = text(self, *args) if callable(text) else text
            if said is not None:
                out.steps.append([lane, said])
            return original(self, *args)

        setattr(owner, method, noted)

    for step in STEPS:
        note(core.Loop, step, "loop", step.strip("_"))
    backend = type(core.default_backend())
    note(backend, "poll", "kernel", sleep_of)
    module = load(path)
    note(backend, "modify", "kernel", "modify(fd)")
    with contextlib.redirect_stdout(out):
        run_session(module)
    return {"lanes": lanes, "steps": out.steps}


def sleep_of(backend, timeout):
    """Return how long a poll may sleep, in words that don't vary."""
    if timeout == 0:
        return "poll: look, don't sleep"
    return "poll: sleep" if timeout is None else "poll: sleep till a timer"


def from_child(recorder, name, **variables):
    """Return what the script *recorder* says of the snippet *name*.

    Raise ValueError with its last words where it fails.
    """
    child = subprocess.run(
        [sys.executable, "-X", "utf8", recorder, SNIPPETS / f"{name}.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | variables,
        timeout=TIMEOUT,
    )
    if child.returncode:
        said = child.stderr.strip().splitlines()
        raise ValueError(said[-1] if said else f"exit {child.returncode}")
    return json.loads(child.stdout)


@functools.cache
def recorded(name):
    """Return the lanes and steps of the snippet *name*."""
    return from_child(__file__, name)


if __name__ == "__main__":
    snippet = Path(sys.argv[1])
    record = record_turns if snippet.parent.name == "core" else record_switches
    json.dump(record(snippet), sys.__stdout__)
