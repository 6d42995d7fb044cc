"""Our engine holds however it is compiled, and under those who watch memory.

Each variant is a copy of ``evening`` in a folder of its own, beside an
engine that was compiled for it; the contract of layer 1 and some scenarios
of ``hostile.py`` run there.

How far those who watch can see:

- AddressSanitizer marks the bytes around each array on the C stack.  The
  marks stay where they are while slices come and go, so it is told not to
  make them (``asan-stack=0``).  What lies in the heap it watches in full:
  the copies of slices, the frames' chunks, the greenlets.
- Valgrind understands a stack pointer that jumps, and follows each bit from
  stack to heap and back.  It watches everything.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import need

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "lib/evening/_slice.c"
TIMEOUT = 120  # seconds
RUNS = ThreadPoolExecutor(os.cpu_count())

VARIANTS = {
    "O0": "-O0",
    "O3": "-O3",
    "warnings": "-O2 -Wall -Wextra -Werror",  # without a single exception
    "stack-protector": "-O2 -fstack-protector-all",
    "fortify": "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2",
    "undefined": "-O1 -fsanitize=undefined -fno-sanitize-recover=undefined",
    "address": "-O1 -fsanitize=address --param asan-stack=0",
}

SCENARIOS = """
    a_comparison_may_switch
    a_crowd_keeps_locals_exceptions_and_contexts 50000
    a_finalizer_may_switch
    a_foreign_c_function_may_be_left
    a_frame_outlives_its_dropped_greenlet
    a_gc_callback_may_switch
    a_generator_may_switch
    a_recursion_error_is_caught_where_it_happens
    a_throw_is_heard_in_every_state
    a_traceback_outlives_its_greenlet
    every_thread_has_greenlets_of_its_own
    frames_of_a_waiting_greenlet_can_be_walked
    garbage_of_greenlets_is_collected
    one_dropped_elsewhere_is_ended_by_its_own_thread
    one_may_refuse_to_end_twice
    recursion_is_counted_in_each_greenlet
    the_process_may_end_with_greenlets_waiting
    what_waits_in_a_dead_thread_never_runs
""".strip().splitlines()

UNDER_VALGRIND = """
    a_comparison_may_switch
    a_crowd_keeps_locals_exceptions_and_contexts 5000
    a_frame_outlives_its_dropped_greenlet
    one_may_refuse_to_end_twice
    what_waits_in_a_dead_thread_never_runs
""".strip().splitlines()


def compiler():
    """Return the command that links an extension module."""
    command = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc")
    need(shutil.which(command[0]), "a C compiler")
    return command


def build(folder, flags):
    """Make a package ``evening`` in *folder* whose engine has *flags*."""
    shutil.copytree(
        SOURCE.parent,
        folder / "evening",
        ignore=shutil.ignore_patterns("_slice*", "__pycache__"),
    )
    engine = "_slice" + sysconfig.get_config_var("EXT_SUFFIX")
    include = sysconfig.get_path("include")
    return subprocess.run(
        [*compiler(), "-g", "-fPIC", f"-I{include}", *shlex.split(flags)]
        + [SOURCE, "-o", folder / "evening" / engine],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def environment(folder, **more):
    """Return that of a child that shall find the engine in *folder*."""
    mine = {"PYTHONPATH": str(folder), "EVENING_ENGINE": "slice"}
    return os.environ | mine | {"PYTHONDONTWRITEBYTECODE": "1"} | more


def watched_by_address_sanitizer():
    """Return what a child needs besides: the sanitizer's own library."""
    library = subprocess.check_output(
        [compiler()[0], "-print-file-name=libasan.so"], text=True
    ).strip()
    need(os.path.isabs(library), "AddressSanitizer's library")
    return {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "PYTHONMALLOC": "malloc",
    }


def run(env, *command):
    """Return "" if *command* succeeds, else what it says."""
    try:
        child = subprocess.run(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            cwd=TESTS.parent,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"{command}: no end after {TIMEOUT} s"
    return f"{command}:\n{child.stdout}" if child.returncode else ""


@pytest.fixture(scope="module", params=VARIANTS)
def env(request, tmp_path_factory):
    """The environment of children that run on a variant."""
    folder = tmp_path_factory.mktemp(request.param)
    compiled = build(folder, VARIANTS[request.param])
    assert compiled.returncode == 0, compiled.stderr
    more = watched_by_address_sanitizer() if request.param == "address" else {}
    env = environment(folder, **more)
    here = f"import evening._slice as e; assert {str(folder)!r} in e.__file__"
    assert run(env, "-c", here) == ""
    return env


CONTRACT = shlex.split("""
    -m pytest -q -p no:cacheprovider --impl=evening tests/test_greenlet.py
    -k "not engine and not layers"
""")  # those start children of their own, on the engine that is installed


def test_the_contract_holds(env):
    assert run(env, *CONTRACT) == ""


def test_hostile_scenarios_hold(env):
    failures = [
        RUNS.submit(run, env, "tests/hostile.py", *scenario.split())
        for scenario in SCENARIOS
    ]
    assert "".join(failure.result() for failure in failures) == ""


# -- Valgrind


@pytest.fixture(scope="module")
def valgrind(tmp_path_factory):
    """Return a function: what valgrind finds in a run of Python."""
    need(shutil.which("valgrind"), "valgrind")
    folder = tmp_path_factory.mktemp("valgrind")
    assert build(folder, "-O1").returncode == 0
    return functools.partial(errors, folder)


def errors(folder, *command):
    """Return the errors that valgrind finds, without what differs by run."""
    log = folder / f"{command[1].replace('/', ' ')} {command[-1]}.log"
    status = subprocess.run(
        ["valgrind", "-q", f"--log-file={log}", sys.executable, *command],
        env=environment(folder, PYTHONMALLOC="malloc"),
        stdout=subprocess.DEVNULL,
        cwd=TESTS.parent,
        timeout=TIMEOUT,
    ).returncode
    assert status == 0, command
    text = re.sub(r"^==\d+== ?", "", log.read_text(), flags=re.M)
    text = re.sub(r"0x[0-9A-F]+", "", text)
    return {error for error in text.split("\n\n") if error.strip()}


def test_valgrind_finds_nothing_that_python_alone_does_not_have(valgrind):
    alone = RUNS.submit(valgrind, "-c", "import threading")
    runs = [
        RUNS.submit(valgrind, "tests/hostile.py", *scenario.split())
        for scenario in UNDER_VALGRIND
    ]
    for each in runs:
        assert each.result() - alone.result() == set()
