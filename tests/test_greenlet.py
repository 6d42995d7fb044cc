"""The contract of layer 1, on each engine."""

import os
import subprocess
import sys
import threading
import weakref

import pytest


def test_a_switch_starts_and_a_switch_back_returns(lib):
    main = lib.getcurrent()
    log = []

    def other():
        log.append("in")
        main.switch()
        log.append("in again")

    g = lib.greenlet(other)
    g.switch()
    log.append("back")
    g.switch()
    assert log == ["in", "back", "in again"]


def test_the_talks_first_program(lib):
    log = []

    def test1():
        log.append(12)
        gr2.switch()
        log.append(34)

    def test2():
        log.append(56)
        gr1.switch()
        log.append(78)

    gr1, gr2 = lib.greenlet(test1), lib.greenlet(test2)
    gr1.switch()
    assert log == [12, 56, 34]
    gr2.switch()  # what the talk leaves suspended
    assert log == [12, 56, 34, 78]


@pytest.mark.parametrize(
    ("args", "kwargs", "arrives"),
    [
        ((), {}, ()),
        ((1,), {}, 1),
        ((1, 2), {}, (1, 2)),
        ((), {"a": 1}, {"a": 1}),
        ((1,), {"a": 2}, ((1,), {"a": 2})),
    ],
)
def test_what_switch_is_given_is_what_switch_returns(
    lib, args, kwargs, arrives
):
    main = lib.getcurrent()
    g = lib.greenlet(lambda: main.switch(main.switch()))
    g.switch()
    assert g.switch(*args, **kwargs) == arrives
    g.switch()


def test_the_first_switch_gives_the_function_its_arguments(lib):
    g = lib.greenlet(lambda a, b=0: (a, b))
    assert g.switch(1, b=2) == (1, 2)


def test_the_default_parent_is_the_creator(lib):
    made = []

    def create():
        made.append(lib.greenlet(lambda: None))

    creator = lib.greenlet(create)
    creator.switch()
    assert made[0].parent is creator
    assert creator.parent is lib.getcurrent()


def test_a_result_goes_to_the_parent_not_to_who_switched(lib):
    main = lib.getcurrent()
    g1 = lib.greenlet(lambda: g2.switch())
    g2 = lib.greenlet(lambda: "of g2")
    assert g2.parent is main
    assert g1.switch() == "of g2"
    assert g2.dead and not g1.dead
    g1.switch()


def test_a_result_skips_dead_ancestors(lib):
    main = lib.getcurrent()
    child = lib.greenlet(lambda: "heard")
    parent = lib.greenlet(lambda: None)
    child.parent = parent
    parent.switch()
    assert parent.dead
    assert child.parent is parent
    assert child.switch() == "heard"
    assert lib.getcurrent() is main


def test_a_result_starts_a_parent_that_has_not_begun(lib):
    parent = lib.greenlet(lambda value: f"parent got {value}")
    child = lib.greenlet(lambda: "it", parent)
    assert child.switch() == "parent got it"
    assert parent.dead


def test_an_heir_with_nothing_to_run_passes_an_error_on(lib):
    heir = lib.greenlet()
    child = lib.greenlet(lambda: "it", heir)
    with pytest.raises(AttributeError):
        child.switch()


def test_an_error_climbs_to_the_parent(lib):
    def boom():
        raise ValueError("up")

    inner = lib.greenlet(boom)
    outer = lib.greenlet(lambda: inner.switch())
    inner.parent = outer
    with pytest.raises(ValueError, match="up"):
        outer.switch()
    assert inner.dead and outer.dead


def test_throw_raises_where_it_waits(lib):
    main = lib.getcurrent()

    def other():
        try:
            main.switch()
        except KeyError as error:
            return f"caught {error}"

    g = lib.greenlet(other)
    g.switch()
    assert g.throw(KeyError("k")) == "caught 'k'"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((ValueError,), ""),
        ((ValueError("v"),), "v"),
        ((ValueError, "v"), "v"),
        ((ValueError, ("v",)), "v"),
        ((ValueError, ValueError("v")), "v"),
    ],
)
def test_throw_takes_what_raise_once_took(lib, arguments, text):
    g = lib.greenlet(lib.getcurrent().switch)
    g.switch()
    with pytest.raises(ValueError) as caught:
        g.throw(*arguments)
    assert str(caught.value) == text


def test_throw_keeps_the_traceback_it_is_given(lib):
    def origin():
        raise ValueError

    try:
        origin()
    except ValueError as error:
        tb = error.__traceback__
    g = lib.greenlet(lib.getcurrent().switch)
    g.switch()
    with pytest.raises(ValueError) as caught:
        g.throw(ValueError, None, tb)
    assert "origin" in [entry.name for entry in caught.traceback]


def test_throw_without_arguments_ends_it_and_returns_the_exit(lib):
    log = []

    def other():
        try:
            lib.getcurrent().parent.switch()
        finally:
            log.append("cleaned up")

    g = lib.greenlet(other)
    g.switch()
    assert isinstance(g.throw(), lib.GreenletExit)
    assert log == ["cleaned up"] and g.dead


def test_throw_into_one_that_has_not_begun(lib):
    g = lib.greenlet(pytest.fail)
    with pytest.raises(ValueError):
        g.throw(ValueError)
    assert g.dead


def test_throw_into_a_dead_one_raises_in_its_parent(lib):
    g = lib.greenlet(lambda: None)
    g.switch()
    with pytest.raises(ValueError):
        g.throw(ValueError)
    assert isinstance(g.throw(), lib.GreenletExit)


def test_a_switch_to_a_dead_one_goes_to_its_parent(lib):
    g = lib.greenlet(lambda: "last words")
    assert g.switch() == "last words"
    assert g.switch("echo") == "echo"


def test_a_switch_to_oneself_returns_at_once(lib):
    assert lib.getcurrent().switch("me") == "me"


def test_it_is_true_only_while_it_runs_or_waits(lib):
    main = lib.getcurrent()
    g = lib.greenlet(lambda: main.switch(bool(g)))
    assert (bool(g), g.dead) == (False, False)
    assert g.switch() is True
    assert (bool(g), g.dead) == (True, False)
    g.switch()
    assert (bool(g), g.dead) == (False, True)
    assert bool(main) and not main.dead


def test_a_parent_must_be_a_greenlet_and_no_descendant(lib):
    g = lib.greenlet(lambda: None)
    child = lib.greenlet(lambda: None, g)
    with pytest.raises(TypeError):
        g.parent = None
    with pytest.raises(ValueError, match="cyclic"):
        g.parent = child
    with pytest.raises(AttributeError):
        lib.getcurrent().parent = g


def test_a_subclass_brings_its_own_run(lib):
    class Doubler(lib.greenlet):
        def run(self, n):
            return 2 * n

    assert Doubler().switch(4) == 8


def test_run_is_gone_once_it_began(lib):
    g = lib.greenlet(lib.getcurrent().switch)
    assert g.run is not None
    g.switch()
    with pytest.raises(AttributeError):
        _ = g.run
    g.throw()


def test_it_takes_attributes_and_weak_references(lib):
    g = lib.greenlet(lambda: None)
    g.colour = "green"
    assert g.colour == "green"
    assert weakref.ref(g)() is g


def test_it_leaves_a_sort_in_the_middle(lib):
    main = lib.getcurrent()
    g = lib.greenlet(lambda: sorted([3, 1, 2], key=main.switch))
    asked = [g.switch()]
    while not g.dead:
        answer = g.switch(-asked[-1])
        if not g.dead:
            asked.append(answer)
    assert asked == [3, 1, 2]
    assert answer == [3, 2, 1]


def test_each_has_its_own_handled_exception(lib):
    main = lib.getcurrent()
    seen = []

    def other():
        try:
            raise KeyError
        except KeyError:
            main.switch()
            seen.append(sys.exc_info()[0])

    g = lib.greenlet(other)
    g.switch()
    assert sys.exc_info()[0] is None
    try:
        raise ValueError
    except ValueError:
        g.switch()
        assert sys.exc_info()[0] is ValueError
    assert seen == [KeyError]


def test_a_switch_to_another_thread_is_refused(lib):
    made, done = threading.Event(), threading.Event()
    theirs = []

    def work():
        theirs.append(lib.getcurrent())
        made.set()
        done.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    made.wait(10)
    try:
        with pytest.raises(lib.error, match="different thread"):
            theirs[0].switch()
        with pytest.raises(ValueError, match="different thread"):
            g = lib.greenlet(lib.getcurrent().switch)
            g.switch()
            g.parent = theirs[0]
    finally:
        done.set()
        thread.join()
        g.throw()


def test_each_thread_has_its_own_main(lib):
    mains = []
    thread = threading.Thread(target=lambda: mains.append(lib.getcurrent()))
    thread.start()
    thread.join()
    assert mains[0] is not lib.getcurrent()
    assert mains[0].parent is None


def test_a_hundred_take_turns(lib):
    main = lib.getcurrent()
    log = []

    def count(name):
        for turn in range(3):
            log.append((turn, name))
            main.switch()

    crowd = [lib.greenlet(count) for _ in range(100)]
    for name, g in enumerate(crowd):
        g.switch(name)
    for _ in range(3):
        for g in crowd:
            g.switch()
    assert log == [(turn, name) for turn in range(3) for name in range(100)]
    assert all(g.dead for g in crowd)


def test_an_unknown_engine_is_named_with_the_cure():
    child = subprocess.run(
        [sys.executable, "-c", "import evening"],
        env={"EVENING_ENGINE": "steam"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert child.returncode == 1
    assert "EVENING_ENGINE is 'steam'" in child.stderr
    assert "'greenlet' or 'thread'" in child.stderr


@pytest.mark.parametrize("engine", ["greenlet", "thread"])
def test_the_variable_picks_the_engine(engine):
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from evening.greenlet import engine, greenlet;"
            "print(engine, greenlet.__name__)",
        ],
        env={"EVENING_ENGINE": engine},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    name = "greenlet" if engine == "greenlet" else "ThreadGreenlet"
    assert child.stdout.split() == [engine, name]


@pytest.mark.parametrize("layer", ["hub", "socket"])
def test_the_layers_above_hold_on_threads_too(layer):
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--impl=evening"]
        + ["-p", "no:cacheprovider", f"tests/test_{layer}.py"],
        env=os.environ | {"EVENING_ENGINE": "thread"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stdout
