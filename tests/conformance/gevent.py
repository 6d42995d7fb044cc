"""Run gevent's own tests of the four layers on evening, and judge.

The suite lies in the installed package; nothing of it is here.  Each of its
modules runs in a process of its own, first on gevent itself, and then where
the name gevent is ours (see alias/gevent).  What fails or is skipped on
gevent is not judged.  gevent.toml names the files, and the tests that can't
pass, and why; all others must, and the named ones must fail.

    python tests/conformance/gevent.py            run and judge
    python tests/conformance/gevent.py NAME ...   only these files
    python tests/conformance/gevent.py --kept     what the book shows
    python tests/conformance/gevent.py --found    as much of it as is kept

The counts of each Python are kept in build/bench/conformance.json.
"""

import argparse
import itertools
import json
import sys
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import suite

PACKAGE = f"gevent {version('gevent')}"
FOLDER = Path(distribution("gevent").locate_file("gevent/tests"))
NAME = "gevent.tests.test__"
LISTS = suite.HERE / "gevent.toml"

# What gevent has on its shelf is compiled for its own hub.  The plain Python
# of it, which runs on any, is enough for the tests of the layers.
PLAIN = [
    f"gevent.{name}" for name in ("_abstract_linkable", "_semaphore", "queue")
]

# Whose modules are they that the suite will test?
ASK = """
import sys
import gevent.testing
import greenlet
for layer in ("core", "hub", "event", "socket"):
    there, ours = (f"{who}.{layer}" for who in ("gevent", "evening"))
    assert sys.modules[there] is sys.modules[ours], f"{there} isn't ours"
hub = gevent.get_hub()
assert isinstance(hub, sys.modules["evening.hub"].Hub), "the hub isn't ours"
assert isinstance(hub.loop, gevent.core.Loop), "the loop isn't ours"
switch = sys.modules["evening.greenlet"]
assert greenlet.greenlet is switch.greenlet, "the greenlets aren't ours"
for name, module in sys.modules.items():
    file = getattr(module, "__file__", None) or ""
    assert not (name.startswith("gevent.") and file.endswith(".so")), file
"""


def environment(*, ours):
    """Return the variables under which the suite, and its children, run."""
    return suite.environment(
        ours=ours,
        EVENING_ENGINE="slice",
        GEVENT_PURE_PYTHON=",".join(PLAIN) if ours else "",
        GEVENTTEST_USE_RESOURCES="-network",
    )


def lists():
    """Return what gevent.toml says."""
    return tomllib.loads(LISTS.read_text("utf-8"))


def files():
    """Return the names of the files that are evening's concern."""
    return [name for layer in lists()["files"].values() for name in layer]


def left_out():
    """Return what each test that can't pass says as it fails, by name."""
    return {
        name: group["says"]
        for group in lists().get("left_out", {}).values()
        for name in group["tests"]
    }


def judged(gevents, ours):
    """Return what ours makes of each test that gevent passes.

    A test that gevent does not pass is skipped.
    """
    failed = {n: test for n, test in ours.items() if test[0] == "failed"}
    tests = {}
    for name, (outcome, why) in gevents.items():
        module = file_of(name)
        if outcome == "passed":
            # a module that can't be imported has no tests
            missing = failed.get(module, ["failed", "it is not there"])
            tests[name] = strict(*ours.get(name, missing))
        else:
            tests[name] = ["skipped", why]
    began = {file_of(name) for name in ours if "." in name}
    for name, test in failed.items():
        if name not in gevents and (name in began or "." in name):
            tests[name] = test
    return tests


def strict(outcome, why):
    """Return an outcome of ours where gevent passes: we may not skip."""
    if outcome == "skipped":
        return ["failed", f"skipped: {why}"]
    return [outcome, why]


def run_suite(names):
    """Return [outcome, why] of each test, by name."""
    names = sorted(
        names,
        key=lambda name: (FOLDER / f"test__{name}.py").stat().st_size,
        reverse=True,  # the longest first: no process waits at the end
    )
    envs = [environment(ours=ours) for ours in (False, True)]
    both = suite.run_modules(NAME, names, *envs)
    for tests, env in zip(both, envs, strict=True):
        run_again(tests, env)
    return judged(*both)


def run_again(tests, env):
    """Give what failed, and should not have, a second turn.

    It is alone then: many tests measure time, and a busy machine is late.
    """
    listed = left_out()
    late = sorted(
        name
        for name, (outcome, _) in tests.items()
        if outcome == "failed" and "." in name and name not in listed
    )
    for module, names in itertools.groupby(late, key=file_of):
        again, _ = suite.run_once(NAME, module, env, names)
        tests |= again


def file_of(name):
    """Return the file that a test is from."""
    return name.partition(".")[0]


def listed(names, tests):
    """Return the part of the list that these *tests* are judged by."""
    return {
        name: says
        for name, says in left_out().items()
        if file_of(name) in names and tests.get(name, [""])[0] != "skipped"
    }


def by_file(tests, listed):
    """Return the figures of each file, by name, in the list's order."""
    return {
        file: suite.count(*(part(file, all_) for all_ in (tests, listed)))
        for file in files()
    }


def part(file, named):
    """Return what of *named* belongs to *file*."""
    return {
        name: what for name, what in named.items() if file_of(name) == file
    }


def sources():
    """Return a name for all that the figures depend on, but for Python."""
    here = ["suite.py", "gevent.py", "one_module.py", "gevent.toml"]
    paths = [suite.HERE / name for name in here]
    paths += sorted(suite.LAYERS.glob("*.py"))
    paths += [suite.LAYERS / "_slice.c"]
    paths += sorted((suite.HERE / "alias").rglob("*.py"))
    return suite.digest(PACKAGE, *paths)


def kept():
    """Return the counts that still hold, by Python."""
    return suite.kept("gevent", sources())


def run(names=()):
    """Run the suite; tell, keep, and return the exit status."""
    suite.ask(ASK, env=environment(ours=True))
    tests = run_suite(names or files())
    mine = listed(names or files(), tests)
    counts = {"suite": PACKAGE} | suite.count(tests, mine)
    if not names:
        counts["files"] = by_file(tests, mine)
        suite.keep("gevent", sources(), counts)
    return suite.tell(PACKAGE, counts, list(suite.verdict(tests, mine)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--found", action="store_true")
    arguments = parser.parse_args()
    if arguments.kept or arguments.found:
        if arguments.kept and suite.PYTHON not in kept():
            run()
        print(json.dumps(kept()))
        return 0
    return run(arguments.names)


if __name__ == "__main__":
    sys.exit(main())
