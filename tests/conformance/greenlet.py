"""Run greenlet's own tests on evening.greenlet, and judge the outcome.

The suite lies in the installed package; nothing of it is here.  Each of its
modules runs in a process of its own, where the name greenlet is ours (see
alias/greenlet).  left_out.toml names the tests that can't pass, and why; all
others must, and the named ones must fail.

    python tests/conformance/greenlet.py                    our engine
    python tests/conformance/greenlet.py --engine greenlet  the package itself
    python tests/conformance/greenlet.py --kept             what the book shows

The counts of each Python are kept in build/conformance.json.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import distribution, version
from pathlib import Path
from platform import python_version

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAYER = ROOT / "lib/evening"
KEPT = ROOT / "build/conformance.json"
SUITE = Path(distribution("greenlet").locate_file("greenlet/tests"))
PYTHON = "{}.{}".format(*sys.version_info)
TIMEOUT = 100  # seconds for a module; the longest takes about 20

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
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "GREENLET", "EVENING"))
    }
    ours["EVENING_ENGINE"] = engine
    if engine != "greenlet":  # the package serves its own name
        ours["PYTHONPATH"] = str(HERE / "alias")
    return ours


def check_engine(engine):
    """Stop where the engine can't run, or is older than its source."""
    child = subprocess.run(
        [sys.executable, "-P", "-c", ASK, engine],
        env=environment(engine),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if child.returncode:
        said = child.stderr.strip().splitlines()[-1]
        sys.exit(f"the suite can't run on engine {engine!r}: {said}")
    built, source = child.stdout.strip(), LAYER / "_slice.c"
    if built and os.stat(built).st_mtime < source.stat().st_mtime:
        sys.exit(f"{built} is older than {source.name}: build it anew")


def run_module(module, engine, variables=()):
    """Return [outcome, why] of each test of *module*, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report"), Path(folder, "log")
        with log.open("wb") as said:
            child = subprocess.Popen(
                # -P: this file must not be what `import greenlet` finds
                [sys.executable, "-P", "-X", "faulthandler"]
                + [HERE / "one_module.py", module, report],
                cwd=folder,
                env=environment(engine) | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            wrong = wait(child)
        return outcomes(module, report, wrong, log)


def wait(child):
    """Return what went wrong with *child*; leave nothing of its group."""
    try:
        status = child.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"the process took more than {TIMEOUT} seconds"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return f"the process ended with status {status}" if status else ""


def outcomes(module, report, wrong, log):
    """Read a report; what had no chance to end has failed."""
    tests = {}
    if report.exists():
        for line in report.read_text("utf-8").splitlines():
            name, *outcome = json.loads(line)
            if tests.get(name, [""])[0] != "failed":
                tests[name] = outcome
    for outcome in tests.values():
        if outcome[0] in ("found", "started"):
            outcome[:] = "failed", wrong or "it did not run"
    if wrong:
        tail = log.read_text("utf-8", "replace")[-3000:]
        tests[module] = ["failed", f"{wrong}\n{tail}"]
    return tests


def run_suite(engine):
    """Return [outcome, why] of each test, by name."""
    modules = sorted(
        SUITE.glob("test_*.py"),
        key=lambda path: path.stat().st_size,
        reverse=True,  # the longest first: no process waits at the end
    )
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda path: run_module(path.stem, engine), modules)
        return {name: test for part in parts for name, test in part.items()}


def groups(*, pass_otherwise):
    """Yield (name, its group) of each test that can't pass as it is."""
    listed = tomllib.loads((HERE / "left_out.toml").read_text("utf-8"))
    for group in listed.values():
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
            tests |= run_module(name, engine, group["passes_with"])
        elif outcome != "failed":
            tests[name] = ["failed", f"{outcome}: it is listed for nothing"]


def excused(tests, listed):
    """Return the names of those that failed as the list says."""
    return {
        name
        for name, says in listed.items()
        if tests.get(name, [""])[0] == "failed" and says in tests[name][1]
    }


def verdict(tests, listed):
    """Yield what is wrong, a sentence each."""
    fine = excused(tests, listed)
    for name, (outcome, why) in tests.items():
        if outcome == "failed" and name not in fine:
            yield f"{name} failed:\n{why}"
    for name in listed:
        outcome, _ = tests.get(name, ["not there", ""])
        if outcome != "failed":
            yield f"{name} is {outcome}: take it out of left_out.toml"


def count(tests, listed):
    """Return the figures that the book shows."""
    ended = Counter(outcome for outcome, _ in tests.values())
    fine = len(excused(tests, listed))
    return {
        "suite": f"greenlet {version('greenlet')}",
        "total": len(tests),
        "passed": ended["passed"],
        "left_out": fine,
        "skipped": ended["skipped"],
        "failed": ended["failed"] - fine,
    }


def sources():
    """Return a name for all that the figures depend on, but for Python."""
    files = [LAYER / "_slice.c", LAYER / "greenlet.py"]
    files += [*HERE.rglob("*.py"), HERE / "left_out.toml"]
    texts = [path.read_text("utf-8") for path in sorted(files)]
    return hashlib.sha256(
        "\0".join([version("greenlet"), *texts]).encode()
    ).hexdigest()


def kept():
    """Return the counts that still hold, by Python."""
    if not KEPT.exists():
        return {}
    counts = json.loads(KEPT.read_text("utf-8")).get("greenlet", {})
    return {
        python: one
        for python, one in counts.items()
        if one["sources"] == sources()
        and (python != PYTHON or one["python"] == python_version())
    }


def keep(counts):
    """Put this Python's counts beside those of the others."""
    now = {"python": python_version(), "sources": sources()}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(
        json.dumps({"greenlet": kept() | {PYTHON: counts | now}}, indent=1),
        "utf-8",
    )


def run(engine):
    """Run the suite; tell, keep, and return what is wrong."""
    check_engine(engine)
    listed = left_out() if engine == "slice" else {}
    tests = run_suite(engine)
    if engine == "slice":
        run_otherwise(tests, engine)
    counts = count(tests, listed)
    if engine == "slice":
        keep(counts)
    complaints = list(verdict(tests, listed))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    figures = ", ".join(f"{name} {n}" for name, n in counts.items())
    print(f"Python {PYTHON}, engine {engine}: {figures}", file=sys.stderr)
    return complaints


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", default="slice")
    parser.add_argument("--kept", action="store_true")
    arguments = parser.parse_args()
    if arguments.kept:
        if PYTHON not in kept():
            run("slice")
        print(json.dumps(kept()))
        return 0
    return bool(run(arguments.engine))


if __name__ == "__main__":
    sys.exit(main())
