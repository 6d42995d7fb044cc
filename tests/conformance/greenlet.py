"""Run greenlet's own tests on evening.greenlet, and judge the outcome.

The suite lies in the installed package; nothing of it is here.  Each of its
modules runs in a process of its own, where the name greenlet is ours (see
alias/greenlet).  left_out.toml names the tests that can't pass, and why; all
others must, and the named ones must fail.

    python tests/conformance/greenlet.py                    our engine
    python tests/conformance/greenlet.py --engine greenlet  the package itself
    python tests/conformance/greenlet.py --kept             what the book shows
    python tests/conformance/greenlet.py --found            as much as is kept

The counts of each Python are kept in build/bench/conformance.json.
"""

import argparse
import json
import os
import sys
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import suite

PACKAGE = f"greenlet {version('greenlet')}"
FOLDER = Path(distribution("greenlet").locate_file("greenlet/tests"))
NAME = "greenlet.tests."

# Whose greenlet is it that the suite will test, and from which file?
ASK = """
import sys
import greenlet.tests
from evening import greenlet as layer
assert layer.engine == sys.argv[1], f"the engine is {layer.engine}"
assert layer.greenlet is greenlet.greenlet, "it is not evening's"
print(getattr(sys.modules.get("evening._slice"), "__file__", ""))
"""


def environment(engine):
    """Return the variables under which the suite, and its children, run."""
    ours = engine != "greenlet"  # the package serves its own name
    return suite.environment(ours=ours, EVENING_ENGINE=engine)


def check_engine(engine):
    """Stop where the engine can't run, or is older than its source."""
    built = suite.ask(ASK, engine, env=environment(engine))
    source = suite.LAYERS / "_slice.c"
    if built and os.stat(built).st_mtime < source.stat().st_mtime:
        sys.exit(f"{built} is older than {source.name}: build it anew")


def run_suite(engine):
    """Return [outcome, why] of each test, by name."""
    modules = sorted(
        FOLDER.glob("test_*.py"),
        key=lambda path: path.stat().st_size,
        reverse=True,  # the longest first: no process waits at the end
    )
    names = [path.stem for path in modules]
    [tests] = suite.run_modules(NAME, names, environment(engine))
    return tests


def groups(*, pass_otherwise):
    """Yield (name, its group) of each test that can't pass as it is."""
    text = (suite.HERE / "left_out.toml").read_text("utf-8")
    for group in tomllib.loads(text).values():
        if ("passes_with" in group) == pass_otherwise:
            yield from ((name, group) for name in group["tests"])


def left_out():
    """Return what each test that can't pass says as it fails, by name."""
    return {
        name: group["says"] for name, group in groups(pass_otherwise=False)
    }


def run_otherwise(tests, engine):
    """Run those again, as their group says, that failed as it says."""
    for name, group in groups(pass_otherwise=True):
        outcome, why = tests.get(name, ["not there", ""])
        if outcome == "failed" and group["says"] in why:
            env = environment(engine) | group["passes_with"]
            tests |= suite.run_module(NAME, name, env)
        elif outcome != "failed":
            tests[name] = ["failed", f"{outcome}: it is listed for nothing"]


def sources():
    """Return a name for all that the figures depend on, but for Python."""
    here = ["suite.py", "greenlet.py", "one_module.py", "left_out.toml"]
    files = [suite.LAYERS / "_slice.c", suite.LAYERS / "greenlet.py"]
    files += [suite.HERE / name for name in here]
    files += sorted((suite.HERE / "alias/greenlet").glob("*.py"))
    return suite.digest(PACKAGE, *files)


def kept():
    """Return the counts that still hold, by Python."""
    return suite.kept("greenlet", sources())


def run(engine):
    """Run the suite; tell, keep, and return the exit status."""
    check_engine(engine)
    listed = left_out() if engine == "slice" else {}
    tests = run_suite(engine)
    if engine == "slice":
        run_otherwise(tests, engine)
    counts = {"suite": PACKAGE} | suite.count(tests, listed)
    if engine == "slice":
        suite.keep("greenlet", sources(), counts)
    complaints = list(suite.verdict(tests, listed))
    return suite.tell(f"engine {engine}", counts, complaints)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", default="slice")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--found", action="store_true")
    arguments = parser.parse_args()
    if arguments.kept or arguments.found:
        if arguments.kept and suite.PYTHON not in kept():
            run("slice")
        print(json.dumps(kept()))
        return 0
    return run(arguments.engine)


if __name__ == "__main__":
    sys.exit(main())
