"""The contract of layer 1, on each engine."""

import gc
import os
import re
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from pathlib import Path

import pytest

from conftest import need

TWIN = Path(__file__).parents[1] / "docs/greenlet/twin.md"

# What an engine does not hold: why, and the tests that must fail on it.
# docs/greenlet/twin.md tells the reasons of ``thread``, in this order.
NOT_HELD = {
    "greenlet": {
        "One that waits is never garbage.": [
            "test_a_cycle_through_its_attributes_is_collected",
        ],
    },
    "thread": {
        "It notices no last reference.": [
            "test_without_a_reference_it_ends_at_once",
            "test_whoever_drops_the_last_reference_goes_on",
            "test_an_error_at_such_an_end_is_told_and_not_raised",
            "test_it_may_refuse_to_end_again_and_again",
            "test_a_cycle_through_its_attributes_is_collected",
            "test_one_dropped_elsewhere_ends_when_its_thread_calls",
        ],
        "It notices no thread's end.": [
            "test_what_waits_in_a_dead_thread_is_dead",
            "test_a_switch_into_a_dead_thread_says_that_it_exited",
        ],
        "It has no `gr_context`.": [
            "test_gr_context_is_read_in_every_state",
            "test_gr_context_may_be_set_in_every_state",
            "test_gr_context_must_be_a_context",
            "test_gr_context_is_out_of_reach_where_another_thread_runs",
        ],
        "It has neither `gr_frame` nor `settrace`.": [
            "test_gr_frame_is_where_it_waits",
            "test_gr_frame_leads_to_the_function_it_began_with",
            "test_a_tracer_is_told_of_each_switch_where_it_leads",
            "test_a_tracer_is_told_of_a_switch_to_oneself",
            "test_a_tracer_is_told_what_was_thrown",
            "test_a_tracers_error_arrives_and_removes_it",
            "test_settrace_returns_the_tracer_before",
            "test_each_thread_has_its_own_tracer",
        ],
        "Its `run` is an ordinary attribute, looked up once.": [
            "test_run_cannot_be_set_once_it_began",
            "test_run_may_be_none_and_then_fails",
            "test_a_method_of_a_subclass_goes_before_what_is_given",
            "test_a_lookup_of_run_may_start_it",
            "test_a_lookup_of_run_may_end_it",
        ],
        "Its `repr` does not tell its state.": [
            "test_its_repr_tells_its_state",
        ],
        "Its type carries no other names.": [
            "test_the_type_carries_the_other_names",
        ],
        "It is in another state where it could not begin.": [
            "test_an_heir_with_nothing_to_run_stays_new",
        ],
    },
}
if sys.version_info < (3, 14):
    NOT_HELD["greenlet"]["What is thrown loses the traceback it had."] = [
        "test_throw_keeps_the_traceback_that_an_error_has",
    ]


@pytest.fixture
def waiting(lib):
    """Return a function that makes a greenlet that waits.

    It returns what it is sent; *at_end* is called when it ends.
    """

    def wait(at_end):
        try:
            return lib.getcurrent().parent.switch()
        finally:
            at_end()

    def make(at_end=lambda: None):
        g = lib.greenlet(wait)
        g.switch(at_end)
        return g

    return make


@pytest.fixture
def dead(lib):
    """Return a greenlet that is finished."""
    g = lib.greenlet(lambda: None)
    g.switch()
    return g


class OtherThread:
    """A thread that works for us until we end it."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1)
        self._id = self.run(threading.get_native_id)

    def run(self, work, *args):
        return self._pool.submit(work, *args).result()

    def end(self):
        self._pool.shutdown()
        while os.path.exists(f"/proc/self/task/{self._id}"):
            os.sched_yield()  # it may be joined and not be quite gone


@pytest.fixture
def elsewhere():
    thread = OtherThread()
    yield thread
    thread.end()


# -- A switch.


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
        ((1, 2), {"a": 3}, ((1, 2), {"a": 3})),
    ],
)
def test_what_switch_is_given_is_what_switch_returns(
    waiting, args, kwargs, arrives
):
    assert waiting().switch(*args, **kwargs) == arrives


def test_the_first_switch_gives_the_function_its_arguments(lib):
    g = lib.greenlet(lambda *args, **kwargs: (args, kwargs))
    assert g.switch(1, b=2) == ((1,), {"b": 2})


def test_a_switch_to_oneself_returns_at_once(lib):
    assert lib.getcurrent().switch("me") == "me"


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


# -- Parents: who goes on at the end.


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


def test_a_result_goes_to_the_parent_set_last(lib):
    def adopt():
        g.parent = heir
        return "it"

    heir = lib.greenlet(lambda value: f"heir got {value}")
    g = lib.greenlet(adopt)
    assert g.switch() == "heir got it"


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


def test_one_may_begin_below_a_dead_parent(lib, dead):
    child = lib.greenlet(lambda value: f"child got {value}", dead)
    assert child.switch("it") == "child got it"


def test_a_result_starts_a_parent_that_has_not_begun(lib):
    parent = lib.greenlet(lambda value: f"parent got {value}")
    child = lib.greenlet(lambda: "it", parent)
    assert child.switch() == "parent got it"
    assert parent.dead


def test_an_error_ends_a_parent_that_has_not_begun(lib):
    parent = lib.greenlet(pytest.fail)
    child = lib.greenlet(lambda: 1 / 0, parent)
    with pytest.raises(ZeroDivisionError):
        child.switch()
    assert parent.dead


def test_an_heir_with_nothing_to_run_passes_an_error_on(lib):
    heir = lib.greenlet()
    child = lib.greenlet(lambda: "it", heir)
    with pytest.raises(AttributeError):
        child.switch()


def test_an_heir_with_nothing_to_run_stays_new(lib):
    heir = lib.greenlet()
    child = lib.greenlet(lambda: "it", heir)
    with pytest.raises(AttributeError):
        child.switch()
    assert not heir and not heir.dead
    heir.run = lambda: "now"
    assert heir.switch() == "now"


def test_an_error_climbs_to_the_parent(lib):
    def boom():
        raise ValueError("up")

    inner = lib.greenlet(boom)
    outer = lib.greenlet(lambda: inner.switch())
    inner.parent = outer
    with pytest.raises(ValueError, match="up"):
        outer.switch()
    assert inner.dead and outer.dead


def test_a_switch_to_a_dead_one_goes_to_its_parent(lib):
    g = lib.greenlet(lambda: "last words")
    assert g.switch() == "last words"
    assert g.switch("echo") == "echo"


def test_a_parent_must_be_a_greenlet_and_no_descendant(lib):
    g = lib.greenlet(lambda: None)
    child = lib.greenlet(lambda: None, g)
    for descendant in g, child, lib.greenlet(None, child):
        with pytest.raises(ValueError, match="cyclic"):
            g.parent = descendant
    for nobody in None, 5:
        with pytest.raises(TypeError):
            g.parent = nobody
    with pytest.raises(TypeError):
        lib.greenlet(lambda: None, 5)
    assert g.parent is lib.getcurrent()


def test_a_parent_cannot_be_deleted(lib):
    g = lib.greenlet(lambda: None)
    with pytest.raises(AttributeError):
        del g.parent
    assert g.parent is lib.getcurrent()


def test_the_main_one_has_no_parent_and_gets_none(lib):
    main = lib.getcurrent()
    with pytest.raises(AttributeError):
        main.parent = lib.greenlet(lambda: None)
    assert main.parent is None


# -- Errors.


def origin():
    raise ValueError("v")


@pytest.fixture
def failure():
    """Return an error that was raised in ``origin``."""
    try:
        origin()
    except ValueError as error:
        return error


def comes_from_origin(caught):
    return "origin" in [entry.name for entry in caught.traceback]


STATES = {
    "new": lambda lib, waiting, dead: lib.greenlet(pytest.fail),
    "orphan": lambda lib, waiting, dead: lib.greenlet(pytest.fail, dead),
    "running": lambda lib, waiting, dead: lib.getcurrent(),
    "waiting": lambda lib, waiting, dead: waiting(),
    "dead": lambda lib, waiting, dead: dead,
}


@pytest.fixture(params=STATES)
def in_each_state(request, lib, waiting, dead):
    """Return a greenlet in a state of its life, or an orphan's."""
    return STATES[request.param](lib, waiting, dead)


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


def test_throw_raises_that_very_error_in_each_state(in_each_state, failure):
    with pytest.raises(ValueError) as caught:
        in_each_state.throw(failure)
    assert caught.value is failure


def test_throw_keeps_the_traceback_it_is_given(in_each_state, failure):
    with pytest.raises(ValueError) as caught:
        in_each_state.throw(ValueError, None, failure.__traceback__)
    assert caught.value is not failure and comes_from_origin(caught)


def test_throw_keeps_the_traceback_that_an_error_has(waiting, failure):
    with pytest.raises(ValueError) as caught:
        waiting().throw(failure)
    assert comes_from_origin(caught)


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
def test_throw_takes_what_raise_once_took(waiting, arguments, text):
    with pytest.raises(ValueError) as caught:
        waiting().throw(*arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("arguments", [(42,), (ValueError, "v", "traceback")])
def test_throw_refuses_what_nobody_can_raise(waiting, arguments):
    g = waiting()
    with pytest.raises(TypeError):
        g.throw(*arguments)
    assert g.switch("it waits") == "it waits"


def test_throw_into_one_that_has_not_begun_ends_it(lib):
    g = lib.greenlet(pytest.fail)
    with pytest.raises(ValueError):
        g.throw(ValueError)
    assert g.dead


def test_throw_without_arguments_ends_it_and_returns_the_exit(lib, waiting):
    log = []
    g = waiting(lambda: log.append("cleaned up"))
    assert isinstance(g.throw(), lib.GreenletExit)
    assert log == ["cleaned up"] and g.dead
    assert isinstance(g.throw(), lib.GreenletExit), "it is dead already"
    assert isinstance(lib.greenlet(pytest.fail).throw(), lib.GreenletExit)


def test_the_exit_is_a_result(lib):
    class Leave(lib.GreenletExit):
        pass

    def leave():
        raise last

    for last in lib.GreenletExit("bye"), Leave("bye"):
        assert lib.greenlet(leave).switch() is last


def test_who_catches_exceptions_does_not_catch_the_exit(lib):
    assert issubclass(lib.error, Exception)
    assert not issubclass(lib.GreenletExit, Exception)


def test_each_has_its_own_handled_exception(lib):
    main = lib.getcurrent()
    seen = []

    def other():
        seen.append(sys.exc_info()[0])
        try:
            raise KeyError
        except KeyError:
            main.switch()
            seen.append(sys.exc_info()[0])

    g = lib.greenlet(other)
    try:
        raise ValueError
    except ValueError:
        g.switch()
    assert sys.exc_info()[0] is None
    try:
        raise ValueError
    except ValueError:
        g.switch()
        assert sys.exc_info()[0] is ValueError
    assert seen == [None, KeyError]


def test_each_has_its_own_recursion_depth(lib):
    main = lib.getcurrent()

    def descend(calls):
        return descend(calls - 1) if calls else main.switch("deep")

    crowd = [lib.greenlet(descend) for _ in range(5)]
    for g in crowd:
        assert g.switch(sys.getrecursionlimit() // 2) == "deep"
    for g in crowd:
        assert g.switch("up") == "up"


# -- What it runs.


def test_a_subclass_brings_its_own_run(lib):
    class Doubler(lib.greenlet):
        def __init__(self, n):  # and forgets ours
            self.n = n

        def run(self):
            return 2 * self.n

    assert Doubler(4).switch() == 8


def test_a_class_attribute_may_be_what_it_runs(lib):
    class Maximum(lib.greenlet):
        run = max

    assert Maximum().switch(1, 2) == 2


def test_a_method_of_a_subclass_goes_before_what_is_given(lib):
    class Own(lib.greenlet):
        def run(self):
            return "the method"

    assert Own(lambda: "given").switch() == "the method"


def test_run_may_be_set_and_deleted_before_it_begins(lib):
    g = lib.greenlet(lambda: "first")
    del g.run
    assert not hasattr(g, "run")
    with pytest.raises(AttributeError):
        g.switch()
    g.run = run = lambda: "second"
    assert g.run is run
    assert g.switch() == "second"


def test_run_may_be_none_and_then_fails(lib):
    g = lib.greenlet(None)
    assert g.run is None
    with pytest.raises(TypeError, match="not callable"):
        g.switch()
    assert g.dead


def test_run_is_gone_once_it_began(lib):
    g = lib.greenlet(lib.getcurrent().switch)
    assert g.run is not None
    g.switch()
    assert not hasattr(g, "run")
    g.throw()
    assert not hasattr(g, "run")


def test_run_cannot_be_set_once_it_began(waiting, dead):
    for g in waiting(), dead:
        with pytest.raises(AttributeError):
            g.run = print
        with pytest.raises(AttributeError):
            del g.run


def test_a_lookup_of_run_that_fails_leaves_it_new(lib):
    class Unlucky(lib.greenlet):
        @property
        def run(self):
            raise LookupError("no run")

    g = Unlucky()
    for start in g.switch, g.throw:
        with pytest.raises(LookupError, match="no run"):
            start()
        assert not g and not g.dead


@pytest.fixture
def eager(lib):
    """Return a function: a greenlet that is started by the lookup of run."""

    class Eager(lib.greenlet):
        looked_up = False

        @property
        def run(self):
            if not self.looked_up:
                self.looked_up = True
                self.switch("begun by the lookup")
            return self.function

    def make(function):
        g = Eager()
        g.function = function
        return g

    return make


def test_a_lookup_of_run_may_start_it(lib, eager):
    main = lib.getcurrent()
    g = eager(lambda first: (first, main.switch()))
    assert g.switch("goes on") == ("begun by the lookup", "goes on")


def test_a_lookup_of_run_may_end_it(eager):
    g = eager(lambda first: "last words")
    assert g.switch("to the parent") == "to the parent"
    assert g.dead


# -- What it tells of itself.


def test_it_is_true_only_while_it_runs_or_waits(lib):
    main = lib.getcurrent()
    g = lib.greenlet(lambda: main.switch(bool(g)))
    assert (bool(g), g.dead) == (False, False)
    assert g.switch() is True
    assert (bool(g), g.dead) == (True, False)
    g.switch()
    assert (bool(g), g.dead) == (False, True)
    assert bool(main) and not main.dead


def test_its_repr_tells_its_state(lib):
    class Sub(lib.greenlet):
        pass

    def state(greenlet):
        return re.fullmatch(r"<\S+ .* \(otid=\S+\) (.*)>", repr(greenlet))[1]

    main = lib.getcurrent()
    g = Sub(lambda: main.switch(state(g), state(main)))
    assert repr(g).startswith("<Sub object at 0x")
    assert state(g) == "pending"
    assert state(main) == "current active started main"
    assert g.switch() == (
        "current active started",
        "suspended active started main",
    )
    assert state(g) == "suspended active started"
    g.switch()
    assert state(g) == "dead"


def test_it_takes_attributes_and_weak_references(lib):
    g = lib.greenlet(lambda: None)
    g.colour = "green"
    assert g.colour == "green" and vars(g)["colour"] == "green"
    assert weakref.ref(g)() is g


def test_the_type_carries_the_other_names(lib):
    names = ["GreenletExit", "error", "getcurrent", "gettrace", "settrace"]
    for name in names:
        assert getattr(lib.greenlet, name) is getattr(lib, name)


def test_gr_frame_is_where_it_waits(lib):
    main = lib.getcurrent()
    here = sys._getframe()

    def wait():
        assert g.gr_frame is None, "it runs"
        assert main.gr_frame is here
        main.switch()

    g = lib.greenlet(wait)
    assert g.gr_frame is None, "it has not begun"
    g.switch()
    frame = g.gr_frame
    assert frame.f_code is wait.__code__
    assert frame.f_lineno == wait.__code__.co_firstlineno + 3
    assert main.gr_frame is None, "it runs"
    g.switch()
    assert g.gr_frame is None, "it is dead"


def test_gr_frame_leads_to_the_function_it_began_with(lib):
    main = lib.getcurrent()

    def inner(item):
        main.switch()

    def outer():
        sorted([1], key=inner)  # C code in between has no frame

    g = lib.greenlet(outer)
    g.switch()
    inmost = g.gr_frame
    assert inmost.f_code is inner.__code__
    assert inmost.f_back.f_code is outer.__code__
    assert inmost.f_back.f_back is None


# -- Contexts.

mark = ContextVar("mark", default="unset")


def context_of(value):
    """Return a context in which *mark* has this *value*."""
    context = Context()
    context.run(mark.set, value)
    return context


def test_a_context_begins_empty_and_stays_its_own(lib):
    main = lib.getcurrent()
    seen = []

    def other(value):
        seen.append(mark.get())
        mark.set(value)
        main.switch()
        seen.append(mark.get())

    mark.set("main")
    pair = [lib.greenlet(other), lib.greenlet(other)]
    for value, g in enumerate(pair):
        g.switch(value)
        assert mark.get() == "main"
    for g in pair:
        g.switch()
    assert seen == ["unset", "unset", 0, 1]
    assert mark.get() == "main"


def test_gr_context_is_read_in_every_state(lib):
    main = lib.getcurrent()

    def other():
        assert g.gr_context is None, "nothing is set"
        mark.set("other")
        assert g.gr_context[mark] == "other"
        assert main.gr_context[mark] == "main"
        main.switch()

    mark.set("main")
    g = lib.greenlet(other)
    assert g.gr_context is None
    g.switch()
    assert g.gr_context[mark] == "other"
    assert main.gr_context[mark] == "main"
    g.switch()
    assert g.gr_context[mark] == "other", "it is dead"


def test_gr_context_may_be_set_in_every_state(lib):
    main = lib.getcurrent()

    def other():
        seen = [mark.get()]
        main.switch()
        seen.append(mark.get())
        g.gr_context = running
        return [*seen, mark.get()]

    new, waits, running, ended = map(context_of, range(4))
    g = lib.greenlet(other)
    g.gr_context = new
    assert g.gr_context is new
    g.switch()
    g.gr_context = waits
    assert g.switch() == [0, 1, 2]
    assert g.gr_context is running
    g.gr_context = ended
    assert g.gr_context is ended
    g.gr_context = None
    assert g.gr_context is None


def test_gr_context_must_be_a_context(lib):
    g = lib.greenlet(lambda: None)
    with pytest.raises(TypeError):
        g.gr_context = {}
    with pytest.raises(AttributeError):
        del g.gr_context
    assert g.gr_context is None


def test_gr_context_is_out_of_reach_where_another_thread_runs(lib, elsewhere):
    theirs = elsewhere.run(lib.getcurrent)
    with pytest.raises(ValueError, match="different thread"):
        _ = theirs.gr_context
    with pytest.raises(ValueError, match="different thread"):
        theirs.gr_context = None


# -- Tracers.


@pytest.fixture
def settrace(lib):
    lib.settrace(None)
    yield lib.settrace
    lib.settrace(None)


@pytest.fixture
def told(lib, settrace):
    """Return a list of what a tracer has been told."""

    def tracer(event, args):
        origin, target = args
        assert lib.getcurrent() is target
        told.append((event, origin, target))

    told = []
    settrace(tracer)
    return told


def test_a_tracer_is_told_of_each_switch_where_it_leads(lib, told):
    main = lib.getcurrent()
    g = lib.greenlet(main.switch)
    there, back = ("switch", main, g), ("switch", g, main)
    g.switch(list(told))
    assert told == [there, back]
    g.switch()
    assert told == [there, back, there, back]


def test_a_tracer_is_told_of_a_switch_to_oneself(lib, told):
    main = lib.getcurrent()
    main.switch()
    assert told == [("switch", main, main)]


def test_a_tracer_is_told_what_was_thrown(lib, waiting, told):
    main = lib.getcurrent()
    g, new = waiting(), lib.greenlet(pytest.fail)
    told.clear()
    with pytest.raises(ValueError):
        g.throw(ValueError)
    new.throw()
    assert told == [
        ("throw", main, g),
        ("throw", g, main),
        ("throw", main, new),
        ("switch", new, main),  # the exit is a result
    ]


def test_a_tracers_error_arrives_and_removes_it(lib, settrace):
    main = lib.getcurrent()

    def fail(event, args):
        raise LookupError("of the tracer")

    def other():
        try:
            main.switch()
        except LookupError as error:
            return f"caught the error {error}"

    g = lib.greenlet(other)
    g.switch()
    settrace(fail)
    assert g.switch() == "caught the error of the tracer"
    assert lib.gettrace() is None


def test_settrace_returns_the_tracer_before(lib, settrace):
    assert lib.gettrace() is None
    assert settrace(print) is None
    assert lib.gettrace() is print
    assert settrace(None) is print
    assert lib.gettrace() is None


def test_each_thread_has_its_own_tracer(lib, told, elsewhere):
    elsewhere.run(lambda: lib.greenlet(lambda: None).switch())
    assert told == []
    assert elsewhere.run(lib.gettrace) is None


# -- Nobody knows it any more.


def test_without_a_reference_it_ends_at_once(lib, waiting):
    log = []
    g = waiting(lambda: log.append(sys.exc_info()[0]))
    end = weakref.ref(g)
    del g
    assert log == [lib.GreenletExit] and end() is None


def test_whoever_drops_the_last_reference_goes_on(lib, waiting):
    log = []

    def drop():
        dropped.clear()
        log.append("goes on")

    parent = waiting(lambda: log.append("parent ended"))
    dropped = [waiting(lambda: log.append("ended"))]
    dropped[0].parent = parent
    lib.greenlet(drop).switch()
    assert log == ["ended", "goes on"]
    assert parent.switch("still waiting") == "still waiting"


def test_an_error_at_such_an_end_is_told_and_not_raised(waiting, monkeypatch):
    told = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda what: told.append(what.exc_type)
    )
    waiting(lambda: 1 / 0)
    assert told == [ZeroDivisionError]


def test_it_may_refuse_to_end_again_and_again(lib):
    main, refused = lib.getcurrent(), []

    def refuse():
        for _ in range(3):
            try:
                main.switch()
            except lib.GreenletExit:
                refused.append(lib.getcurrent())
        return "gave in"

    g = lib.greenlet(refuse)
    g.switch()
    end = weakref.ref(g)
    for _ in range(2):
        del g
        g = refused.pop()
        assert g is end() and g and not g.dead
    del g
    assert refused[0].dead
    refused.clear()
    assert end() is None


def test_a_cycle_through_its_attributes_is_collected(lib, waiting):
    log = []
    g = waiting(lambda: log.append("ended with " + lib.getcurrent().colour))
    g.me, g.colour = g, "green"
    end = weakref.ref(g)
    del g
    gc.collect()
    assert log == ["ended with green"] and end() is None


def test_a_cycle_through_its_stack_is_not_collected(lib):
    main, log = lib.getcurrent(), []

    def know_oneself():
        me = lib.getcurrent()
        try:
            main.switch()
        finally:
            log.append(me.dead)

    g = lib.greenlet(know_oneself)
    g.switch()
    left = weakref.ref(g)
    del g
    gc.collect()
    assert log == [] and left()
    left().throw()
    assert log == [False]


# -- Threads.


def test_each_thread_has_its_own_main(lib, elsewhere):
    theirs = elsewhere.run(lib.getcurrent)
    assert theirs is not lib.getcurrent()
    assert theirs.parent is None


def test_a_switch_to_another_thread_is_refused(lib, elsewhere):
    theirs = elsewhere.run(lib.getcurrent)
    new = elsewhere.run(lib.greenlet, pytest.fail)
    for g in theirs, new:
        for enter in g.switch, g.throw:
            with pytest.raises(lib.error, match="different thread"):
                enter()
    assert not new.dead


def test_one_that_has_begun_stays_in_its_thread(lib, waiting, elsewhere):
    g = waiting()
    with pytest.raises(ValueError, match="different thread"):
        g.parent = elsewhere.run(lib.getcurrent)
    assert g.parent is lib.getcurrent()


def test_a_new_one_runs_in_the_thread_of_its_parent(lib, elsewhere):
    theirs = elsewhere.run(lib.getcurrent)
    g = lib.greenlet(lambda: theirs.switch("from here"))
    g.parent = theirs
    with pytest.raises(lib.error, match="different thread"):
        g.switch()
    assert elsewhere.run(g.switch) == "from here"
    elsewhere.run(g.throw)


def test_one_dropped_elsewhere_ends_when_its_thread_calls(
    lib, waiting, elsewhere
):
    kept, ended_in = [], []

    def note():
        ended_in.append(threading.get_ident())

    elsewhere.run(lambda: kept.append(waiting(note)))
    kept.clear()
    assert ended_in == []
    elsewhere.run(lib.getcurrent)
    assert ended_in == [elsewhere.run(threading.get_ident)]


@pytest.fixture
def left(waiting, elsewhere):
    """Return a list of one that waits in a dead thread, and how it ends."""
    log, kept = [], []
    elsewhere.run(lambda: kept.append(waiting(lambda: log.append("ran"))))
    elsewhere.end()
    return [*kept, log]


def test_what_waits_in_a_dead_thread_never_runs(left):
    log = left.pop()
    left.clear()
    gc.collect()
    assert log == []


def test_what_waits_in_a_dead_thread_is_dead(left):
    g, _ = left
    assert g.dead and not g
    assert repr(g).endswith("(thread exited) dead>")
    assert g.parent.dead and not g.parent


def test_a_switch_into_a_dead_thread_says_that_it_exited(lib, left):
    g, _ = left
    for enter in g.switch, g.throw, g.parent.switch:
        with pytest.raises(lib.error, match="exited"):
            enter()


# -- The engines.


def child(code, **env):
    """Run *code* in a fresh Python that knows of no other variables."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
    )


def without(*modules):
    """Return code after which these *modules* can't be imported."""
    return f"import sys; sys.modules |= dict.fromkeys({modules!r});"


WHICH = "from evening.greenlet import *; print(engine, greenlet.__name__)"
OURS = "evening._slice"


def need_our_engine():
    need(not child(f"import {OURS}").returncode, f"{OURS}, our engine in C,")


def test_an_unknown_engine_is_named_with_the_cure():
    failed = child("import evening", EVENING_ENGINE="steam")
    assert failed.returncode == 1
    assert "EVENING_ENGINE is 'steam'" in failed.stderr
    assert "'slice', 'greenlet' or 'thread'" in failed.stderr


@pytest.mark.parametrize("engine", ["slice", "greenlet", "thread"])
def test_the_variable_picks_the_engine(engine):
    if engine == "slice":
        need_our_engine()
    name = "ThreadGreenlet" if engine == "thread" else "greenlet"
    picked = child(WHICH, EVENING_ENGINE=engine)
    assert picked.stdout.split() == [engine, name], picked.stderr


def test_our_engine_goes_before_the_package():
    need_our_engine()
    assert child(WHICH).stdout.split() == ["slice", "greenlet"]


def test_the_package_is_the_engine_where_ours_is_missing():
    found = child(without(OURS) + WHICH)
    assert found.stdout.split() == ["greenlet", "greenlet"], found.stderr


def test_an_engine_that_was_picked_is_not_replaced():
    failed = child(without(OURS) + WHICH, EVENING_ENGINE="slice")
    assert failed.returncode == 1
    assert "ImportError: no engine 'slice' (" in failed.stderr
    assert "install a C compiler" in failed.stderr
    assert "no engine 'greenlet'" not in failed.stderr


@pytest.mark.parametrize("picked", [{}, {"EVENING_ENGINE": "thread"}])
def test_without_any_engine_the_error_names_both_cures(picked):
    failed = child(without(OURS, "greenlet") + WHICH, **picked)
    assert failed.returncode == 1
    for engine in "slice", "greenlet":
        assert f"no engine '{engine}' (" in failed.stderr
    assert "install a C compiler" in failed.stderr
    assert "install the package greenlet" in failed.stderr


def test_the_engine_of_threads_refuses_a_tracer_with_the_cure():
    refused = child(
        "from evening.greenlet import settrace; settrace(None)",
        EVENING_ENGINE="thread",
    )
    assert "the engine 'thread' has no settrace" in refused.stderr
    assert "set EVENING_ENGINE to 'slice'" in refused.stderr


# A fork leaves nothing but the thread that forked.
NOT_ABOVE_THREADS = "not forked"


@pytest.mark.parametrize("layer", ["hub", "socket"])
def test_the_layers_above_hold_on_threads_too(layer):
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--impl=evening"]
        + ["-p", "no:cacheprovider", f"tests/test_{layer}.py"]
        + ["-k", NOT_ABOVE_THREADS],
        env=os.environ | {"EVENING_ENGINE": "thread"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stdout


# -- The lists of what is not held.


def test_the_lists_name_tests():
    for reasons in NOT_HELD.values():
        for tests in reasons.values():
            assert set(tests) <= globals().keys()


def test_the_book_says_what_the_twin_does_not_hold():
    told = re.findall(r"^- \*\*(.+)\*\*$", TWIN.read_text(), re.M)
    assert told == list(NOT_HELD["thread"])
