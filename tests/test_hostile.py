"""Layer 1 keeps its word in hostile places, on each engine.

Each scenario of ``hostile.py`` runs in a process of its own.  The package
greenlet is the oracle: what holds there must hold on our engine, and say the
same, events of profilers and tracers included.
"""

import functools
import importlib.util
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import need
from hostile import SCENARIOS

HOSTILE = Path(__file__).with_name("hostile.py")
TIMEOUT = 180  # seconds; the longest, a million switches, takes ten, alone
RUNS = ThreadPoolExecutor(os.cpu_count())
BUILT = importlib.util.find_spec("evening._slice") is not None

# What greenlet does otherwise: each says how.
NOT_ON_GREENLET = {
    "garbage_of_greenlets_is_collected": "one that waits is never collected",
    "garbage_of_another_thread_is_ended_there": "the same",
    "other_threads_greenlets_are_dead_in_a_forked_child": "they look alive",
    "without_memory_to_save_it_a_switch_raises_memory_error": "it aborts",
    "without_memory_to_save_another_nothing_is_lost": "it aborts",
    "without_memory_to_return_the_error_goes_up_the_stack": "it aborts",
}

# What fails on greenlet in some runs: each says how.
NOT_ALWAYS_ON_GREENLET = {
    "daemons_may_run_greenlets_when_the_process_ends": "it may crash then",
    "a_parent_may_go_while_it_is_asked_to_begin": "it may be freed by then",
    "an_end_closes_no_circle_of_parents": "it does, and is followed for ever",
    "a_generators_frame_outlives_its_dead_thread": "it points to freed memory",
    "a_tracer_may_switch_as_its_thread_ends": "its thread may be gone by then",
    "a_long_chain_of_greenlets_falls": "the C stack may not be deep enough",
}

# A greenlet made of a thread holds these too; it can't hold the others.
ON_THREADS = [
    "recursion_is_counted_in_each_greenlet",
    "a_recursion_error_is_caught_where_it_happens",
    "a_finalizer_may_switch",
    "a_weakref_callback_may_switch",
    "garbage_in_a_cycle_may_switch",
    "the_collector_may_run_at_every_allocation",
    "a_comparison_may_switch",
    "a_container_may_change_while_its_comparison_waits",
    "a_foreign_c_function_may_be_left",
    "a_generator_may_switch",
    "a_running_generator_is_refused_to_others",
    "a_generator_may_be_passed_around",
    "another_threads_greenlets_are_refused",
    "the_process_may_end_with_greenlets_waiting",
    "an_error_climbs_through_many_parents",
]

CASES = [
    *[("slice", name) for name in SCENARIOS if BUILT],
    *[("greenlet", name) for name in SCENARIOS],
    *[("thread", name) for name in ON_THREADS],
]


@functools.cache
def start(engine, name):
    """Start a run beside the others; return the future of its end."""
    return RUNS.submit(run, engine, name)


def run(engine, name):
    """Return a scenario's exit status, what it proved, and its complaints."""
    try:
        child = subprocess.run(
            [sys.executable, "-X", "faulthandler", HOSTILE, name],
            capture_output=True,
            text=True,
            env=os.environ | {"EVENING_ENGINE": engine},
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        complaints = (error.stderr or b"").decode("utf-8", "replace")
        return "no end", "", complaints
    return child.returncode, child.stdout, child.stderr


@pytest.fixture(scope="module", autouse=True)
def started():
    for case in CASES:
        start(*case)


def proved(engine, name):
    """Return what a scenario said that must have succeeded."""
    status, said, complaints = start(engine, name).result()
    assert status == 0, f"{name} on {engine}: {status}\n{complaints}"
    return said


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_on_our_engine_and_says_what_greenlet_says(name):
    need(BUILT, "evening._slice, our engine in C,")
    said = proved("slice", name)
    if name not in {**NOT_ON_GREENLET, **NOT_ALWAYS_ON_GREENLET}:
        assert said == proved("greenlet", name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_on_greenlet_but_for_a_list(name):
    status, said, _ = start("greenlet", name).result()
    if name in NOT_ON_GREENLET:
        assert status in (1, -signal.SIGABRT), f"it holds now: {said}"
    elif name not in NOT_ALWAYS_ON_GREENLET:
        proved("greenlet", name)


@pytest.mark.parametrize("name", ON_THREADS)
def test_it_holds_on_threads(name):
    proved("thread", name)


def test_the_lists_name_scenarios():
    named = {*NOT_ON_GREENLET, *NOT_ALWAYS_ON_GREENLET, *ON_THREADS}
    assert named <= SCENARIOS.keys()
