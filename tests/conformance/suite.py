"""Run a peer's own tests, each module in a process of its own, and judge.

What the scripts of greenlet's and of gevent's suite share.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from platform import python_version

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAYERS = ROOT / "lib/evening"
KEPT = ROOT / "build/bench/conformance.json"
PYTHON = "{}.{}".format(*sys.version_info)
TIMEOUT = 100  # seconds for a module; the longest takes about 20


def environment(*, ours, **variables):
    """Return the variables under which a suite, and its children, run.

    If *ours*, the peer's name is served by evening.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "GREENLET", "GEVENT", "EVENING"))
    }
    places = [HERE / "alias", ROOT / "lib"] if ours else [ROOT / "lib"]
    clean["PYTHONPATH"] = os.pathsep.join(map(str, places))
    return clean | variables


def ask(question, *arguments, env):
    """Return what a Python says to *question*; stop where it fails."""
    child = subprocess.run(
        [sys.executable, "-P", "-c", question, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if child.returncode:
        said = child.stderr.strip().splitlines()[-1]
        sys.exit(f"the suite can't run: {said}")
    return child.stdout.strip()


# -- Run


def run_modules(suite, modules, *envs):
    """Return, for each of *envs*, [outcome, why] of each test, by name.

    Two processes of each environment run at a time.
    """
    jobs = [(module, env) for module in modules for env in envs]
    with ThreadPoolExecutor(2 * len(envs)) as pool:
        parts = list(pool.map(lambda job: run_module(suite, *job), jobs))
    return [merged(parts[n :: len(envs)]) for n in range(len(envs))]


def merged(parts):
    """Return the tests of all *parts*."""
    return {name: test for part in parts for name, test in part.items()}


def run_module(suite, module, env):
    """Return [outcome, why] of each test of *module*, by name.

    What a test that crashed or hung kept from its turn gets another one.
    """
    tests, left = run_once(suite, module, env)
    while left:
        again, still = run_once(suite, module, env, left)
        tests |= again
        if len(still) >= len(left):
            again = {name: ["failed", "it did not run"] for name in still}
            return tests | again
        left = still
    return tests


def run_once(suite, module, env, names=()):
    """Run *names* of *module*, or all; return outcomes, and who is left."""
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report"), Path(folder, "log")
        with log.open("wb") as said:
            child = subprocess.Popen(
                # -P: this folder must not be what `import greenlet` finds
                [sys.executable, "-P", "-X", "faulthandler"]
                + [HERE / "one_module.py", suite, module, report, *names],
                cwd=folder,
                env=env,
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
    """Read a report; return outcomes, and the tests that had no turn.

    What went wrong is the fault of the test that began and did not end, or,
    where there is none, of the module.
    """
    tests = read(report) if report.exists() else {}
    if wrong:
        guilty = [name for name, one in tests.items() if one[0] == "started"]
        wrong += "\n" + log.read_text("utf-8", "replace")[-3000:]
        for name in guilty or [module]:
            tests[name] = ["failed", wrong]
    left = [name for name, one in tests.items() if one[0] == "found"]
    for name in left:
        del tests[name]
    return tests, left


def read(report):
    """Return the last outcome of each test, but a failure stays one."""
    tests = {}
    for line in report.read_text("utf-8").splitlines():
        name, *outcome = json.loads(line)
        if tests.get(name, [""])[0] != "failed":
            tests[name] = outcome
    return tests


# -- Judge


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
            yield f"{name} is {outcome}: take it out of the list"


def count(tests, listed):
    """Return the figures that the book shows."""
    ended = Counter(outcome for outcome, _ in tests.values())
    fine = len(excused(tests, listed))
    return {
        "total": len(tests),
        "passed": ended["passed"],
        "left_out": fine,
        "skipped": ended["skipped"],
        "failed": ended["failed"] - fine,
    }


def tell(name, counts, complaints):
    """Print the complaints and the figures; return the exit status."""
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    figures = ", ".join(
        f"{what} {n}" for what, n in counts.items() if what != "files"
    )
    print(f"Python {PYTHON}, {name}: {figures}", file=sys.stderr)
    return bool(complaints)


# -- Keep


def digest(*parts):
    """Return a name for all that figures depend on, but for Python."""
    texts = [
        part.read_text("utf-8") if isinstance(part, Path) else part
        for part in parts
    ]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def kept(package, sources):
    """Return the counts that still hold, by Python."""
    if not KEPT.exists():
        return {}
    counts = json.loads(KEPT.read_text("utf-8")).get(package, {})
    return {
        python: one
        for python, one in counts.items()
        if one["sources"] == sources
        and (python != PYTHON or one["python"] == python_version())
    }


def keep(package, sources, counts):
    """Put this Python's counts beside those of the others."""
    now = {"python": python_version(), "sources": sources}
    mine = kept(package, sources) | {PYTHON: counts | now}
    everything = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(
        json.dumps(everything | {package: mine}, indent=1), "utf-8"
    )
