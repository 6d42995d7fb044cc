"""Run a snippet in a child process that notes what it sees of the run."""

import doctest
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

from run_snippet import SNIPPETS, TIMEOUT


class Recorder(io.TextIOBase):
    """A standard output that notes what is printed between the steps."""

    def __init__(self):
        self.steps, self.rest = [], ""

    def write(self, text):
        """Note each whole line."""
        *lines, self.rest = (self.rest + text).split("\n")
        self.steps += lines
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
