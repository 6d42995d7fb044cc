"""Run one snippet's session on one library, in a process of its own.

``check(name, library)`` is what the doctest builder and the tests call;
``python run_snippet.py FILE LIBRARY`` is the child that it starts.
"""

import difflib
import doctest
import functools
import importlib.util
import os
import re
import subprocess
import sys
import textwrap
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SNIPPETS = Path(__file__).parents[2] / "snippets"
TIMEOUT = 30  # seconds; each takes a fraction of one
RUNS = ThreadPoolExecutor(os.cpu_count())

# A greenlet made of a thread can't hold these: each says why it is left out.
NOT_ON_THREADS = {
    f"greenlet/{name}": reason
    for reason, names in {
        "a thread holds a reference to its greenlet": [
            "dropped_elsewhere",
            "error_while_ending",
            "last_reference",
            "nobody_keeps_it",
            "refuses_twice",
        ],
        "it copies nothing, so it has no _stack_saved": [
            "python_calls_are_not_copied"
        ],
        "each greenlet is a thread, and has its own": [
            "thread_local_is_shared"
        ],
        "it has no gr_frame": ["where_it_waits"],
        "it has no settrace": ["every_switch_is_seen"],
        "it has no gr_context": ["given_context"],
    }.items()
    for name in names
}

# The package greenlet can't hold these, and where evening runs on it they
# are not run: each says why.
ON_SLICES_ONLY = {
    "greenlet/slicing_rule": "greenlet keeps its addresses to itself",
}


def libraries(name):
    """Return the libraries that must show what the snippet *name* says."""
    if name in ON_SLICES_ONLY:
        return ["evening"]
    if name.startswith("greenlet/") and name not in NOT_ON_THREADS:
        return ["gevent", "evening", "evening-thread"]
    return ["gevent", "evening"]


def left_out(name, library):
    """Return whether it is not run: evening's own engine is not built."""
    return (
        name in ON_SLICES_ONLY
        and library == "evening"
        and importlib.util.find_spec("evening._slice") is None
    )


def check(name, library):
    """Return "" where the session holds, else a report of what differs."""
    return start(name, library).result()


@functools.cache
def start(name, library):
    """Start a run beside the others; return the future of its report."""
    return RUNS.submit(run, name, library)


def run(name, library):
    """Run the session in a child; return the report of ``check``."""
    path = SNIPPETS / f"{name}.py"
    package, _, engine = library.partition("-")
    if left_out(name, library):
        sys.stderr.write(f"snippets/{name}.py: not run: no _slice here\n")
        return ""
    if name in ON_SLICES_ONLY and package == "evening":
        engine = "slice"
    env = os.environ | {"PYTHONUTF8": "1"}
    if engine:
        env["EVENING_ENGINE"] = engine
    try:
        child = subprocess.run(
            [sys.executable, __file__, path, package],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=env,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.output or b"").decode("utf-8", "replace")
        return (
            f"snippets/{name}.py on {library}: "
            f"no end after {TIMEOUT} s\n{said}\n"
        )
    if child.returncode:
        return f"snippets/{name}.py on {library}:\n{child.stdout}"
    return ""


class Differences(doctest.OutputChecker):
    """Tell every output that is another one as a diff, however short."""

    def output_difference(self, example, got, optionflags):
        """Return the lines that differ."""
        got = re.sub(r"(?m)^ *(?=\n)", doctest.BLANKLINE_MARKER, got)
        lines = difflib.unified_diff(
            example.want.splitlines(), got.splitlines(), lineterm=""
        )
        diff = "\n".join([*lines][2:])  # without the names of files
        return f"-expected +actual:\n{textwrap.indent(diff, '    ')}\n"


def main(path, package):
    """Run the session of the snippet at *path*; return how much failed."""
    if package != "gevent":  # where it is, ours is not even imported
        from evening.trace.stand_in import stand_in

        stand_in(package)
    source = Path(path).read_text("utf-8")
    snippet = types.ModuleType(Path(path).stem)
    snippet.__file__ = path
    exec(compile(source, path, "exec"), vars(snippet))
    runner = doctest.DocTestRunner(Differences())
    for test in doctest.DocTestFinder().find(snippet):
        test.filename = os.path.relpath(path, SNIPPETS.parent)
        runner.run(test)
    return runner.failures


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) != 0)
