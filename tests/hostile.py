"""Hostile truths of layer 1, one function each.

``python tests/hostile.py NAME [COUNT]`` proves one on the engine that
EVENING_ENGINE picks, says in one line what it proved, and exits with 0.
What an engine gets wrong here often ends the process: a test starts each in
a child (``test_hostile.py``, ``test_build.py``).
"""

import atexit
import builtins
import contextlib
import contextvars
import ctypes
import functools
import gc
import os
import random
import resource
import signal
import sys
import threading
import traceback
import warnings
import weakref

from evening.greenlet import (
    GreenletExit,
    error,
    getcurrent,
    greenlet,
    settrace,
)

SCENARIOS = {}


def scenario(prove):
    SCENARIOS[prove.__name__] = prove
    return prove


# -- Ways to be deep: in Python, in C, in another greenlet and back.


def deep(n, then):
    """Call *then* below *n* Python frames."""
    return deep(n - 1, then) if n else then()


def deep_in_c(n, then):
    """Call *then* below *n* runs of sorted(), each some 4 KB of C stack."""
    if n == 0:
        return then()
    result = []
    sorted([n], key=lambda n: result.append(deep_in_c(n - 1, then)))
    return result[0]


def echo(caller):
    """Be a greenlet that hands every switch back at once."""
    while True:
        caller = caller.switch()


def raises(kind, call, *args):
    """Return the error of this *kind* that *call* must raise."""
    try:
        call(*args)
    except kind as caught:
        return caught
    raise AssertionError(f"{call} raised no {kind.__name__}")


def in_thread(work, *args):
    """Run *work* to its end in a thread of its own; return its result."""
    outcome = []

    def run():
        try:
            outcome.append((work(*args), None))
        except BaseException as failure:
            outcome.append((None, failure))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    while os.path.exists(f"/proc/self/task/{thread.native_id}"):
        os.sched_yield()  # join() may return before the thread is quite gone
    result, failure = outcome[0]
    if failure is not None:
        raise failure
    return result


def in_fork(work):
    """Run *work* in a forked child, which must succeed."""
    warnings.simplefilter("ignore", DeprecationWarning)  # here threads may be
    pid = os.fork()
    if pid == 0:
        or_fail(work)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status


def or_fail(work):
    """Do *work*; if it fails end the process, and say so by its status."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def waits(finally_=lambda: None):
    """Be a greenlet that waits, and calls *finally_* when it ends."""
    try:
        getcurrent().parent.switch()
    finally:
        finally_()


def resident():
    """Return the memory that the process now has, in KiB.

    The most that it has had would be its parent's, which it begins with.
    """
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * resource.getpagesize() // 1024


# -- Recursion.


def room():
    """Return how many calls are left until RecursionError."""
    try:
        return 1 + room()
    except RecursionError:
        return 0


def room_in_c():
    """Return how many nested sorted() are left until RecursionError."""
    found = []
    try:
        sorted([0], key=lambda _: found.append(room_in_c()))
    except RecursionError:
        return 0
    return 1 + found[0]


@scenario
def recursion_is_counted_in_each_greenlet():
    main = getcurrent()

    def measure():
        while True:
            main.switch(room(), room_in_c())

    room_in_c()  # calls cost less once they are specialised
    here = room(), room_in_c()
    measuring, waiting = greenlet(measure), greenlet(deep)
    there = measuring.switch()
    waiting.switch(400, main.switch)
    assert (room(), room_in_c()) == here
    for descend in deep, deep_in_c:
        assert descend(200, measuring.switch) == there
    assert (room(), room_in_c()) == here
    return "each has its own room, however deep the others are"


@scenario
def a_recursion_error_is_caught_where_it_happens():
    main = getcurrent()

    def fall(descend):
        try:
            descend(10**6, None)
        except RecursionError:
            main.switch("caught")
            return "went on"
        return "no end"

    for descend in deep, deep_in_c:
        crowd = [greenlet(fall) for _ in range(5)]
        assert {g.switch(descend) for g in crowd} == {"caught"}
        assert {g.switch() for g in crowd} == {"went on"}
    return "10 fell without end, caught it and went on"


@scenario
def greenlets_that_start_greenlets_end_in_recursion_error():
    def start_another():
        return greenlet(start_another).switch()

    for _ in range(3):
        raises(RecursionError, start_another)
        raises(RecursionError, greenlet(start_another).switch)
    return "each starts the next, until RecursionError climbs back"


@scenario
def dropping_is_counted_in_each_greenlet():
    main = getcurrent()

    class Leaf:
        def __del__(self):
            if getcurrent() is not main:
                main.switch("deep in dropping")

    def nested(depth):
        """Return lists in lists, and a weak reference to the innermost."""
        tree = leaf = Leaf()
        for _ in range(depth):
            tree = [tree]
        return tree, weakref.ref(leaf)

    def drop():
        nested(45)

    waiting = greenlet(drop)
    assert waiting.switch() == "deep in dropping"
    tree, leaf = nested(45)
    del tree
    assert leaf() is None, "it was put off"
    waiting.switch()
    assert waiting.dead
    return "deep in dropping one waits, and another drops at once"


# -- Odd places to switch from.


@scenario
def a_finalizer_may_switch():
    main, log = getcurrent(), []

    class Dropped:
        def __del__(self):
            log.append(main.switch("in __del__"))

    def drop():
        Dropped()
        return "done"

    g = greenlet(drop)
    assert g.switch() == "in __del__"
    assert deep_in_c(5, lambda: g.switch("back")) == "done"
    assert log == ["back"]
    return "a __del__ left in the middle went on"


@scenario
def a_weakref_callback_may_switch():
    main, log = getcurrent(), []

    class Referent:
        pass

    def drop():
        referent = Referent()
        ref = weakref.ref(referent, lambda ref: log.append(main.switch(ref)))
        del referent
        return ref

    g = greenlet(drop)
    ref = g.switch()
    assert ref() is None
    assert g.switch("back") is ref
    assert log == ["back"]
    return "a weakref's callback left in the middle went on"


@scenario
def garbage_in_a_cycle_may_switch():
    main, log = getcurrent(), []

    class Knot:
        def __init__(self):
            self.me = self

        def __del__(self):
            log.append(main.switch("collecting"))

    def tie():
        for _ in range(5):
            Knot()
        return gc.collect()

    gc.disable()
    g = greenlet(tie)
    assert g.switch() == "collecting"
    for n in range(4):
        assert deep_in_c(n, lambda n=n: g.switch(n)) == "collecting"
        assert gc.collect() == 0, "the collection is still under way"
    assert g.switch(4) >= 5
    assert log == [0, 1, 2, 3, 4]
    return "one collection was left and entered again 5 times"


@scenario
def a_gc_callback_may_switch():
    other, phases = greenlet(echo), []

    def callback(phase, info):
        other.switch(getcurrent())
        phases.append(phase)

    def allocate(n):
        for i in range(20):
            row = [[] for _ in range(n)]
            row.append(row)
            main.switch(i)

    main = getcurrent()
    gc.set_threshold(1, 1, 1)
    gc.callbacks.append(callback)
    crowd = [greenlet(allocate) for _ in range(10)]
    for n, g in enumerate(crowd):
        assert g.switch(n) == 0
    for i in range(1, 20):
        assert [g.switch() for g in crowd] == [i] * 10
    gc.callbacks.clear()
    assert set(phases) == {"start", "stop"} and len(phases) > 1000
    return "every collection went to another greenlet and back"


@scenario
def the_collector_may_run_at_every_allocation():
    main = getcurrent()

    def litter(i):
        for k in range(10):
            row = [[] for _ in range(5)]
            row.append(row)
            try:
                raise ValueError(i, k)
            except ValueError as mine:
                deep(random.randrange(20), main.switch)
                assert sys.exc_info()[1] is mine and mine.args == (i, k)
        return i

    gc.set_threshold(1, 1, 1)
    crowd = {i: greenlet(litter) for i in range(40)}
    ended = []
    for i, g in crowd.items():
        g.switch(i)
    while crowd:
        i = random.choice(list(crowd))
        result = crowd[i].switch()
        if crowd[i].dead:
            ended.append(result)
            del crowd[i]
    assert sorted(ended) == list(range(40))
    return "40 greenlets littered while collections ran all the time"


@scenario
def a_signal_handler_may_switch():
    main, other = getcurrent(), greenlet(echo)
    handled = 0

    def handler(*_):
        nonlocal handled
        deep_in_c(2, lambda: other.switch(getcurrent()))
        handled += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    def work(me):
        while True:
            deep(3, main.switch)
            assert work_of[me] is getcurrent()

    signal.signal(signal.SIGALRM, handler)
    work_of = [greenlet(work) for _ in range(20)]
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    for me, g in enumerate(work_of):
        g.switch(me)
    while handled < 200:
        random.choice(work_of).switch()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return "200 signals each went to another greenlet and back"


@scenario
def a_comparison_may_switch():
    main = getcurrent()

    class Slow:
        def __init__(self, n):
            self.n = n

        def __lt__(self, other):
            main.switch()
            return self.n < other.n

        def __eq__(self, other):
            main.switch()
            return self.n == other.n

        def __hash__(self):
            main.switch()
            return 1  # all collide

    jobs = {
        lambda: [one.n for one in sorted(map(Slow, range(9, 0, -1)))]: [
            *range(1, 10)
        ],
        lambda: min(map(Slow, [3, 1, 2])).n: 1,
        lambda: max(map(Slow, [3, 1, 2])).n: 3,
        lambda: {Slow(n % 4): n for n in range(8)}[Slow(2)]: 6,
        lambda: len({Slow(n % 4) for n in range(8)}): 4,
        lambda: [*map(Slow, range(9))].index(Slow(7)): 7,
    }
    running = {greenlet(job): result for job, result in jobs.items()}
    ended = 0
    while running:
        g = random.choice(list(running))
        result = g.switch()
        if g.dead:
            assert result == running.pop(g)
            ended += 1
    return f"{ended} comparing jobs were interleaved, and all were right"


@scenario
def a_container_may_change_while_its_comparison_waits():
    main = getcurrent()

    class Slow:
        def __eq__(self, other):
            main.switch()
            return self is other

        def __hash__(self):
            return 1

    one, two = Slow(), Slow()
    full = {one: 1}
    lookup = greenlet(lambda: full.get(two, "absent"))
    lookup.switch()
    for n in range(1000):
        full[n] = n
    while not lookup.dead:
        answer = lookup.switch()
    assert answer == "absent"
    items = [3, 2, 1]
    sort = greenlet(lambda: items.sort(key=main.switch))
    assert sort.switch() == 3
    items.append(0)
    sort.switch(1), sort.switch(2)
    assert "modified" in str(raises(ValueError, sort.switch, 3))
    return "a dict looked again, a list.sort said ValueError"


@scenario
def a_foreign_c_function_may_be_left():
    main = getcurrent()
    compare_type = ctypes.CFUNCTYPE(
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(ctypes.c_int),
    )

    def compare(a, b):
        main.switch()
        return a[0] - b[0]

    def sort(*numbers):
        array = (ctypes.c_int * len(numbers))(*numbers)
        libc.qsort(array, len(array), ctypes.sizeof(ctypes.c_int), callback)
        return list(array)

    libc, callback = ctypes.CDLL(None), compare_type(compare)
    jobs = [random.sample(range(100), 20) for _ in range(10)]
    running = {greenlet(sort): job for job in jobs}
    for g, job in running.items():
        g.switch(*job)
    while running:
        g = random.choice(list(running))
        result = g.switch()
        if g.dead:
            assert result == sorted(running.pop(g))
    return "10 runs of libc's qsort were interleaved, and all were right"


# -- Generators.


@scenario
def a_generator_may_switch():
    main = getcurrent()

    def count(name, n):
        for i in range(n):
            got = main.switch(name, i)
            yield got
        return name

    def nested(name, n):
        result = yield from count(name, n)
        yield result

    def consume(make, name):
        return list(make(name, 3))

    for make, last in (count, []), (nested, None):
        a, b = greenlet(consume), greenlet(consume)
        assert a.switch(make, "a") == ("a", 0)
        assert b.switch(make, "b") == ("b", 0)
        for i in range(1, 3):
            assert a.switch(10 * i) == ("a", i)
            assert b.switch(20 * i) == ("b", i)
        ends = [] if last == [] else ["a"], [] if last == [] else ["b"]
        assert a.switch(30) == [10, 20, 30, *ends[0]]
        assert b.switch(60) == [20, 40, 60, *ends[1]]
    return "generators, flat and nested, were left from inside"


@scenario
def a_running_generator_is_refused_to_others():
    main, log = getcurrent(), []

    def generate():
        try:
            yield main.switch("inside")
        finally:
            log.append("closed")

    generator = generate()
    g = greenlet(lambda: next(generator))
    assert g.switch() == "inside"
    assert "already executing" in str(raises(ValueError, next, generator))
    assert "already executing" in str(raises(ValueError, generator.close))
    assert g.switch("out") == "out"
    assert log == []
    generator.close()
    assert log == ["closed"]
    return "next() and close() from outside were refused, and fine later"


@scenario
def a_generator_may_be_passed_around():
    main = getcurrent()

    def generate():
        try:
            raise KeyError
        except KeyError:
            while True:
                yield sys.exc_info()[0], main.switch()

    def step(kind):
        try:
            raise kind
        except kind:
            result = next(generator)
            assert sys.exc_info()[0] is kind
            return result

    generator = generate()
    for kind in ValueError, OSError, ZeroDivisionError:
        g = greenlet(step)
        g.switch(kind)
        assert sys.exc_info()[0] is None
        assert g.switch("on") == (KeyError, "on")
    return "one generator ran in three greenlets with its own exception"


@scenario
def a_dropped_greenlet_closes_its_generators():
    log = []

    def generate(name):
        try:
            yield getcurrent().parent.switch()
        except GreenletExit:
            log.append(name)
            raise

    def outer():
        yield from generate("inner")

    g, generator = greenlet(lambda: next(generator)), outer()
    g.switch()
    del g
    assert log == ["inner"]
    assert list(generator) == []
    return "GreenletExit came through two generators and ended both"


# -- Profilers and tracers: what they see is what they see on greenlet.


def watched(events):
    """Switch about in many ways, and return what was noted meanwhile."""
    main = getcurrent()

    def first():
        second_one.switch("to second")
        try:
            main.switch()
        except KeyError:
            return sorted([2, 1], key=main.switch)

    def second(message):
        main.switch(message)

    first_one, second_one = greenlet(first), greenlet(second)
    first_one.switch()
    second_one.switch()
    first_one.switch()
    first_one.throw(KeyError)
    first_one.switch(1)
    first_one.switch(2)
    return events


HERE = watched.__code__.co_filename


def noting(events):
    """Return a hook that notes what happens in the code of this file."""

    def hook(frame, event, arg):
        if frame.f_code.co_filename == HERE:
            c_call = event.startswith("c_")
            name = arg.__name__ if c_call else frame.f_code.co_name
            line = frame.f_lineno - frame.f_code.co_firstlineno
            events.append(f"{event} {name} {line}")
        return hook

    return hook


@scenario
def a_profiler_sees_every_switch():
    events = []
    sys.setprofile(noting(events))
    watched(events)
    sys.setprofile(None)
    assert any("switch" in event for event in events)
    return f"{len(events)} events: {', '.join(events)}"


@scenario
def a_tracer_sees_every_line():
    events = []
    sys.settrace(noting(events))
    watched(events)
    sys.settrace(None)
    return f"{len(events)} events: {', '.join(events)}"


@scenario
def a_tracer_may_be_set_in_one_greenlet():
    events, main = [], getcurrent()

    def traced():
        sys.settrace(noting(events))
        main.switch()
        sys.settrace(None)

    def bystander():
        main.switch()

    one, other = greenlet(traced), greenlet(bystander)
    one.switch()
    deep(1, other.switch)
    deep(1, other.switch)
    one.switch()
    watched(events)
    return f"{len(events)} events: {', '.join(events)}"


@scenario
def monitoring_sees_every_start_and_return():
    if sys.version_info < (3, 12):
        return "sys.monitoring came with 3.12"
    events, monitoring = [], sys.monitoring
    kinds = monitoring.events
    names = ["PY_START", "PY_RETURN", "PY_THROW", "PY_UNWIND", "RAISE"]

    def note(name):
        def hook(code, *_):
            if code.co_filename == HERE:
                events.append(f"{name} {code.co_name}")

        return hook

    monitoring.use_tool_id(monitoring.DEBUGGER_ID, "hostile")
    for name in names:
        monitoring.register_callback(
            monitoring.DEBUGGER_ID, getattr(kinds, name), note(name)
        )
    wanted = sum(getattr(kinds, name) for name in names)
    monitoring.set_events(monitoring.DEBUGGER_ID, wanted)
    watched(events)
    monitoring.set_events(monitoring.DEBUGGER_ID, 0)
    return f"{len(events)} events: {', '.join(events)}"


# -- A crowd.

mark = contextvars.ContextVar("mark")


class Crowd:
    """Greenlets that go to each other at random, and check what is theirs."""

    def __init__(self, size, switches, dice):
        self.main, self.left, self.dice = getcurrent(), switches, dice
        self.members = [None] * size
        self.births = 0

    def bear(self):
        """Fill each empty place; where one begins, it is for life."""
        for me, g in enumerate(self.members):
            if g is None or g.dead:
                self.members[me] = greenlet(self.live)
                self.members[me].switch(me)
                self.births += 1

    def live(self, me):
        """Go deep and away some times, and die."""
        mark.set(me)
        self.main.switch()
        for turn in range(self.dice.randrange(100)):
            try:
                raise LookupError(me, turn)
            except LookupError as mine:
                self.nest(self.dice.randrange(12), me)
                assert sys.exc_info()[1] is mine
                assert mine.args == (me, turn)
            assert sys.exc_info()[1] is None
            assert mark.get() == me
            assert getcurrent() is self.members[me]

    def nest(self, n, me):
        """Go from *n* levels down, on Python's stack and on C's."""
        mine = [me] * n
        if n == 0:
            self.go()
        elif n % 3:
            self.nest(n - 1, me)
        else:
            sorted([n], key=lambda n: self.nest(n - 1, me))
        assert mine == [me] * n

    def go(self):
        """Switch to anyone; in the end to main."""
        self.left -= 1
        ending = self.left <= 0
        (self.main if ending else self.dice.choice(self.members)).switch()

    def run(self):
        """Switch until all switches are done, then end all who wait."""
        mark.set("main")
        while self.left > 0:
            self.bear()
            self.nest(self.dice.randrange(12), "main")
            assert mark.get() == "main"
            assert sys.exc_info()[1] is None
        ends = [weakref.ref(g) for g in self.members]
        self.members.clear()
        assert not any(end() for end in ends)
        return self.births


@scenario
def a_crowd_keeps_locals_exceptions_and_contexts(switches=10**6, size=500):
    births = Crowd(size, switches, random.Random(1)).run()
    return f"{switches} switches among {size}, {births} born, none mixed up"


# -- Threads and processes.


@scenario
def another_threads_greenlets_are_refused():
    main, refused = getcurrent(), []
    fresh, waiting = greenlet(echo), greenlet(waits)
    waiting.switch()

    def intrude():
        for theirs in main, waiting, fresh:
            for enter in theirs.switch, theirs.throw:
                refused.append(raises(error, enter))

    def chain():
        child = greenlet(lambda: "mine", fresh)
        refused.append(raises(error, child.switch))

    in_thread(intrude)
    in_thread(chain)
    in_thread(lambda: greenlet(intrude).switch())
    assert all("different thread" in str(one) for one in refused)
    assert waiting and not fresh
    assert waiting.switch("still mine") is None
    return f"{len(refused)} times, and their owner went on with them"


@scenario
def every_thread_has_greenlets_of_its_own():
    sys.setswitchinterval(1e-5)
    failures = []

    def worker(seed):
        try:
            Crowd(60, 3000, random.Random(seed)).run()
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=worker, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    return "8 threads switched 3000 times each, and none met another"


@scenario
def one_dropped_elsewhere_is_ended_by_its_own_thread():
    dropped, ended_in = threading.Event(), []
    theirs, waiting = [], threading.Event()

    def work():
        for _ in range(3):
            g = greenlet(waits)
            g.switch(lambda: ended_in.append(threading.get_ident()))
            theirs.append(g)
            del g
        waiting.set()
        dropped.wait()
        assert ended_in == []
        getcurrent()
        assert ended_in == [threading.get_ident()] * 3

    thread = threading.Thread(target=work)
    thread.start()
    waiting.wait()
    theirs.clear()
    assert ended_in == [], "it ran in the wrong thread"
    dropped.set()
    thread.join()
    assert ended_in == [thread.ident] * 3
    return "three dropped elsewhere ended where they began"


@scenario
def what_waits_in_a_dead_thread_never_runs():
    log, kept = [], []

    def work():
        for n in range(3):
            g = greenlet(deep_in_c)
            g.switch(n, lambda: waits(lambda: log.append("ran")))
            kept.append(g)

    in_thread(work)
    for g in kept:
        assert g.dead, g
        assert "exited" in str(raises(error, g.switch))
        assert "exited" in str(raises(error, g.throw))
    del g
    kept.clear()
    gc.collect()
    assert log == []
    return "switch and throw refused them, and dropping them ran nothing"


@scenario
def threads_that_die_with_waiting_greenlets_leave_little_behind():
    loads, kept = [], []

    class Load:
        pass

    def wait_with(load):
        getcurrent().parent.switch()

    def work():
        for _ in range(5):
            load = Load()
            loads.append(weakref.ref(load))
            kept.append(greenlet(deep_in_c))
            kept[-1].switch(9, lambda load=load: wait_with(load))

    def fifty():
        for _ in range(50):
            in_thread(work)
            kept.clear()
        gc.collect()
        return resident()

    fifty()
    growth = -fifty() + fifty()
    assert growth < 250 * 12, f"{growth} KiB for 250 of them"
    lost = sum(load() is not None for load in loads)
    return f"{lost} of {len(loads)} kept what they held, and little else"


@scenario
def a_forked_child_goes_on_with_its_greenlets():
    def count():
        for n in range(10):
            deep_in_c(n, lambda n=n: getcurrent().parent.switch(n))

    crowd = [greenlet(count) for _ in range(5)]
    assert [g.switch() for g in crowd] == [0] * 5
    assert [g.switch() for g in crowd] == [1] * 5

    def rest():
        for g in crowd:
            g.parent = getcurrent()
        for n in range(2, 10):
            assert [g.switch() for g in crowd] == [n] * 5
        assert [g.switch() for g in crowd] == [None] * 5
        assert all(g.dead for g in crowd)

    in_fork(rest)
    greenlet(in_fork).switch(rest)
    in_thread(in_fork, lambda: raises(error, crowd[0].switch))
    rest()
    return "children and parent each ran all five to their end"


@scenario
def other_threads_greenlets_are_dead_in_a_forked_child():
    theirs, log = [], []
    waiting, done = threading.Event(), threading.Event()

    def work():
        g = greenlet(waits)
        g.switch(lambda: log.append("ran"))
        theirs.extend([g, getcurrent()])
        del g
        waiting.set()
        done.wait()
        theirs[0].switch()

    def check():
        for g in theirs:
            raises(error, g.switch)
            assert g.dead, g
        theirs.clear()
        gc.collect()
        assert log == []

    thread = threading.Thread(target=work)
    thread.start()
    waiting.wait()
    try:
        in_fork(check)
    finally:
        done.set()
        thread.join()
    assert log == ["ran"]
    return "dead and never run in the child, alive in the parent"


# -- The end of the process.


@scenario
def an_exit_handler_may_switch():
    log = []
    g = greenlet(waits)
    g.switch(lambda: log.append("ended"))
    other = greenlet(echo)

    def check():
        other.switch(getcurrent())
        g.switch()
        assert g.dead and log == ["ended"]
        print("and did", flush=True)

    atexit.register(or_fail, check)
    return "at exit one is to go on from where it waited"


@scenario
def the_process_may_end_with_greenlets_waiting():
    def end(make=greenlet, nest=deep_in_c, wait=waits):
        """Be busy, should anybody end this one when little is left."""
        make(nest).switch(3, list)
        make(wait).switch()
        raise LookupError

    def wait(n):
        deep_in_c(n, lambda: waits(end))

    crowd = [greenlet(wait) for _ in range(15)]
    for n, g in enumerate(crowd):
        g.switch(n)
        g.me = g
    # Modules end one after the other; these two are the last.
    sys.kept, builtins.kept = crowd[:5], crowd[5:10]
    globals()["kept"] = crowd[10:]
    return "15 waited when it ended, in sys, in builtins and here"


@scenario
def the_process_may_end_inside_a_greenlet():
    def leave():
        waiting = greenlet(waits)
        waiting.switch()
        deep_in_c(5, sys.exit)

    g = greenlet(leave)
    caught = raises(SystemExit, g.switch)
    assert g.dead
    print("SystemExit climbed to main, and once more ends the process")
    greenlet(lambda: sys.exit(caught.code)).switch()


@scenario
def daemons_may_run_greenlets_when_the_process_ends():
    begun = threading.Barrier(5)

    def busy():
        crowd = [greenlet(echo) for _ in range(10)]
        deep_in_c(3, lambda: [g.switch(getcurrent()) for g in crowd])
        begun.wait()
        while True:
            for g in crowd:
                g.switch(getcurrent())

    def blocked():
        def block():
            begun.wait()
            deep_in_c(3, threading.Event().wait)

        greenlet(block).switch()

    for work in busy, busy, blocked, blocked:
        threading.Thread(target=work, daemon=True).start()
    begun.wait()
    return "two were switching and two blocked when it ended"


# -- Memory that is not there.


class NoMemory:
    """A time in which the process gets no more than 512 KiB."""

    def __enter__(self):
        with open("/proc/self/statm") as pages:
            size = int(pages.read().split()[0]) * resource.getpagesize()
        self.limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(
            resource.RLIMIT_AS, (size + (512 << 10), self.limits[1])
        )

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_AS, self.limits)


LEVELS = 450  # of sorted(): 2 MB of C stack


@scenario
def without_memory_to_save_it_a_switch_raises_memory_error():
    main, log = getcurrent(), []

    def at_the_bottom():
        with NoMemory():
            for n in range(3):
                raises(MemoryError, main.switch)
                log.append(deep_in_c(n, lambda n=n: n))
        log.append(main.switch("up"))
        return "from the bottom"

    sys.setrecursionlimit(10 * LEVELS)
    g = greenlet(deep_in_c)
    assert g.switch(LEVELS, at_the_bottom) == "up"
    assert deep_in_c(20, lambda: g.switch("down")) == "from the bottom"
    assert log == [0, 1, 2, "down"]
    return "three switches raised MemoryError, the fourth went"


@scenario
def without_memory_to_save_another_nothing_is_lost():
    main, log = getcurrent(), []

    def visit():
        """Be small, right below one that is too big to save."""
        for n in range(4):  # each time with another stack of its own
            deep_in_c(n, refused)
            log.append(deep_in_c(5 - n, lambda n=n: n))
        log.append(main.switch("up"))
        return "visited"

    def refused():
        with NoMemory():
            raises(MemoryError, main.switch)

    def dive():
        return deep_in_c(LEVELS, visitor.switch)

    sys.setrecursionlimit(10 * LEVELS)
    big = greenlet(dive)
    visitor = greenlet(visit, big)
    assert big.switch() == "up"
    assert deep_in_c(20, lambda: visitor.switch("down")) == "visited"
    assert big.dead and visitor.dead
    assert log == [0, 1, 2, 3, "down"]
    return "four switches raised MemoryError, the fifth went"


@scenario
def without_memory_to_return_the_error_goes_up_the_stack():
    main, heard = getcurrent(), []

    def visit():
        """End right below one that is too big to save, as main's child."""
        memory.__enter__()
        return "never heard"

    def dive():
        try:
            deep_in_c(LEVELS, visitor.switch)
        except MemoryError:
            memory.__exit__()
            heard.append("MemoryError")
        return "alive"

    sys.setrecursionlimit(10 * LEVELS)
    memory, big, visitor = NoMemory(), greenlet(dive), greenlet(visit)
    assert visitor.parent is main
    assert big.switch() == "alive"
    assert heard == ["MemoryError"] and visitor.dead
    return "its main could not be reached, its neighbour could"


# -- Frames and tracebacks.


def names(frame):
    """Return the names of the functions from *frame* outwards."""
    found = []
    while frame is not None:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found


def stamp(main, me):
    """Stay on a stack that is different for each *me*."""
    mine = [me] * 10
    while True:
        deep_in_c(me, main.switch)
        assert mine == [me] * 10


@scenario
def frames_of_a_waiting_greenlet_can_be_walked():
    main, frames = getcurrent(), []

    def inner(where):
        frames.append(sys._getframe())
        where.switch()
        return names(sys._getframe())

    g = greenlet(deep_in_c)
    g.switch(3, lambda: deep(2, lambda: inner(main)))
    chain = names(frames[0])
    for me in range(20):  # others take its place on the stack
        greenlet(stamp).switch(main, me)
        assert names(frames[0]) == chain
    top = ["inner", "<lambda>", "deep", "deep", "deep"]
    assert chain == top + ["<lambda>", "deep_in_c"] * 4
    assert deep_in_c(9, g.switch) == chain
    return " ".join(chain)


@scenario
def the_frame_of_a_waiting_greenlet_can_be_seen():
    main = getcurrent()

    def wait(local):
        main.switch()
        return local

    g = greenlet(wait)
    assert g.gr_frame is None
    g.switch("mine")
    frame = g.gr_frame
    for me in range(10):
        greenlet(stamp).switch(main, me)
        assert g.gr_frame is frame
    assert frame.f_code is wait.__code__
    assert frame.f_lineno == wait.__code__.co_firstlineno + 1
    assert frame.f_locals["local"] == "mine" and frame.f_back is None
    assert deep_in_c(3, g.switch) == "mine"
    assert g.gr_frame is None and frame.f_locals["local"] == "mine"
    assert main.gr_frame is None, "it runs"
    return "its line, its locals, before and after its end"


@scenario
def a_traceback_outlives_its_greenlet():
    main = getcurrent()

    def fail(n):
        local = [n] * 10
        main.switch()
        raise LookupError(n, local)

    caught = []
    for n in range(10):
        g = greenlet(deep_in_c)
        g.switch(n, lambda n=n: fail(n))
        caught.append(raises(LookupError, deep_in_c, 5, g.switch))
        assert g.dead
    del g
    gc.collect()
    for n, failure in enumerate(caught):
        *_, last = traceback.walk_tb(failure.__traceback__)
        assert last[0].f_locals["local"] == [n] * 10
        assert names(last[0])[-1] == "deep_in_c"
        text = "".join(traceback.format_exception(failure))
        assert text.count("in deep_in_c") == n + 5 + 2
        traceback.clear_frames(failure.__traceback__)
    return "10 tracebacks were read when their greenlets were gone"


@scenario
def a_frame_outlives_its_dropped_greenlet():
    kept = []

    def keep():
        local = "mine"
        kept.append(sys._getframe())
        waits(lambda: kept.append(local))

    for n in range(10):
        g = greenlet(deep_in_c)
        g.switch(n, keep)
        del g
        frame, local = kept
        kept.clear()
        assert local == frame.f_locals["local"] == "mine"
        assert names(frame)[0] == "keep"
        frame.clear()
        assert frame.f_locals == {}
    return "frames were read and cleared when their greenlets were gone"


# -- Birth and death.


@scenario
def a_throw_is_heard_in_every_state():
    main = getcurrent()

    def catch():
        try:
            main.switch()
        except ValueError as caught:
            return caught

    mine = ValueError("mine")
    fresh, waiting, dead = greenlet(catch), greenlet(catch), greenlet(catch)
    assert raises(ValueError, fresh.throw, mine) is mine and fresh.dead
    waiting.switch()
    assert deep_in_c(3, lambda: waiting.throw(mine)) is mine and waiting.dead
    dead.switch(), dead.switch()
    assert dead.dead and raises(ValueError, dead.throw, mine) is mine
    assert isinstance(dead.throw(), GreenletExit)
    assert isinstance(greenlet(catch).throw(), GreenletExit)
    assert raises(ValueError, main.throw, mine) is mine
    itself = greenlet(lambda: raises(ValueError, getcurrent().throw, mine))
    assert itself.switch() is mine
    orphan = greenlet(catch, dead)
    assert raises(ValueError, orphan.throw, mine) is mine and orphan.dead
    raises(TypeError, greenlet(catch).throw, 42)
    raises(TypeError, greenlet(catch).throw, mine, "value")
    raises(TypeError, greenlet(catch).throw, ValueError, "v", "no traceback")
    return "new, waiting, running, dead, main, an orphan: each raised it"


@scenario
def one_may_refuse_to_end_twice():
    main, refused = getcurrent(), []

    def refuse():
        for n in range(3):
            try:
                main.switch()
            except GreenletExit:
                refused.append((n, getcurrent()))
        return "gave in"

    g = greenlet(refuse)
    g.switch()
    end = weakref.ref(g)
    for n in range(2):
        del g
        gc.collect()
        [(times, g)] = refused
        assert times == n and g is end() and g and not g.dead
        refused.clear()
    assert g.switch() == "gave in" and g.dead
    del g
    assert end() is None
    return "twice it was kept from its end, then it ended"


@scenario
def one_that_never_ends_is_left_alone():
    main, refused = getcurrent(), []

    class Node(greenlet):
        pass

    def refuse():
        while True:
            try:
                main.switch()
            except GreenletExit:
                refused.append(1)

    crowd = [Node(refuse) for _ in range(5)]
    for g in crowd:
        g.switch()
    del g
    crowd.clear()
    assert refused == [1] * 5
    crowd = [Node(refuse) for _ in range(5)]
    for g in crowd:
        g.switch()
        g.crowd = crowd
    del g, crowd
    gc.collect()
    for me in range(20):
        greenlet(stamp).switch(main, me)
    gc.collect()
    return "ten refused to end, and nothing broke"


@scenario
def garbage_keeps_what_its_greenlet_runs():
    main = getcurrent()

    def refuse_once():
        for _ in range(2):
            with contextlib.suppress(GreenletExit):
                main.switch()
        return "its end"

    g = greenlet(functools.lru_cache(refuse_once))
    del refuse_once
    g.me = g
    g.switch()
    del g
    gc.collect()  # it may not clear the function that is in the middle
    return "a function is kept while it runs"


@scenario
def a_parent_may_go_while_it_is_asked_to_begin():
    main, children = getcurrent(), []

    class Parent(greenlet):
        @property
        def run(self):
            children[0].parent = main  # nobody else refers to self
            raise LookupError("nothing to run")

    def work():
        children.append(greenlet(lambda: "result", Parent()))
        children[0].switch()

    g = greenlet(work)
    try:
        g.switch()
    except LookupError as failure:
        return f"main heard: {failure}"


@scenario
def a_tracer_may_switch_as_its_thread_ends():
    said = []

    class Tracer:
        def __call__(self, event, pair):
            pass

        def __del__(self):
            said.append(greenlet(lambda: 42).switch())

    thread = threading.Thread(target=lambda: settrace(Tracer()))
    thread.start()
    thread.join()
    assert said == [42]
    return "its finalizer got its 42"


@scenario
def an_end_closes_no_circle_of_parents():
    signal.alarm(10)  # what follows a circle never comes back
    main, kept = getcurrent(), []

    def end_as_an_ancestor():
        try:
            main.switch()
        finally:
            parent.parent = getcurrent()
            kept.append(getcurrent())

    parent = greenlet(print)
    g = greenlet(end_as_an_ancestor, parent)
    g.switch()
    del g
    greenlet(print).parent = parent
    return "the tree of parents has kept its root"


@scenario
def a_generators_frame_outlives_its_dead_thread():
    kept = []

    def generate():
        getcurrent().parent.switch()
        yield

    def body(n):
        if n:
            return body(n - 1)
        kept.append(generate())
        return next(kept[0])

    def work():
        g = greenlet(body)
        g.switch(3)
        kept.append(g)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    generator, _ = kept
    kept.pop()
    gc.collect()
    for me in range(50):  # others take the memory that was freed
        greenlet(stamp).switch(getcurrent(), me)
    return " ".join(names(generator.gi_frame))


@scenario
def a_long_chain_of_greenlets_falls():
    g = print
    for _ in range(200_000):
        g = greenlet(g)  # each is all that the next one has to run
    del g
    return "200,000 greenlets, one after the other"


@scenario
def to_drop_one_leaves_the_error_under_way_alone():
    log = []

    def waiting():
        g = greenlet(waits)
        g.switch(lambda: log.append(sys.exc_info()[0]))
        return g

    def fail():
        raise LookupError("under way")

    def drop():
        return [waiting(), fail()]  # the list is never made

    caught = raises(LookupError, drop)
    assert caught.__context__ is None
    assert log == [GreenletExit]
    return "it ended by GreenletExit, and LookupError went on"


@scenario
def a_finalizer_of_a_subclass_runs_once():
    log = []

    class Logged(greenlet):
        def __del__(self):
            log.append(("__del__", self.dead))

    class Revived(greenlet):
        def __del__(self):
            kept.append(self)

    def wait(name):
        waits(lambda: log.append(("finally", name)))

    kept, logged = [], Logged(wait)
    del logged
    assert log == [("__del__", False)], "it had not begun"
    log.clear()
    logged = Logged(wait)
    logged.switch("logged")
    del logged
    assert sorted(log, key=str) == [("__del__", False), ("finally", "logged")]
    log.clear()
    revived = Revived(wait)
    revived.switch("revived")
    del revived
    [revived] = kept
    kept.clear()
    alive = bool(revived)
    del revived
    assert log == [("finally", "revived")]
    assert kept == []
    return f"__del__ once, finally once; revived ones wait on: {alive}"


@scenario
def garbage_of_greenlets_is_collected():
    log = []

    class Node(greenlet):
        pass

    def ring(n):
        nodes = [Node(waits) for _ in range(n)]
        for i, node in enumerate(nodes):
            node.next = nodes[i - 1]
            if i % 2:
                node.switch(lambda: log.append("ended"))
        return [weakref.ref(node) for node in nodes]

    gc.disable()
    ends = ring(10)
    gc.collect()
    assert log == ["ended"] * 5
    assert not any(end() for end in ends)
    return "a ring of 10, five of them waiting: all ended and gone"


@scenario
def garbage_of_another_thread_is_ended_there():
    waiting, collected, ended_in = threading.Event(), threading.Event(), []

    class Node(greenlet):
        pass

    def work():
        g = Node(waits)
        g.me = g  # known to nobody else
        g.switch(lambda: ended_in.append(threading.get_ident()))
        del g
        waiting.set()
        collected.wait()
        greenlet(list).switch()
        assert ended_in == [threading.get_ident()]

    def collect():
        waiting.wait()
        gc.collect()
        early = list(ended_in)
        collected.set()
        return early

    gc.disable()
    collector = threading.Thread(target=lambda: early.extend(collect()))
    early = []
    collector.start()
    in_thread(work)
    collector.join()
    assert early == []
    return "collected in one thread, it ended in its own"


@scenario
def an_ending_greenlet_may_start_others():
    log = []

    def end(n):
        try:
            getcurrent().parent.switch()
        finally:
            log.append(n)
            if n:
                inner = greenlet(end)
                inner.switch(n - 1)
                del inner

    g = greenlet(end)
    g.switch(5)
    del g
    assert log == [5, 4, 3, 2, 1, 0]
    return "each started another while it was ended"


@scenario
def an_error_climbs_through_many_parents():
    def enter_child():
        return crowd.pop().switch()

    def fail():
        raise LookupError("climbs")

    crowd = [greenlet(enter_child)]
    for _ in range(99):
        crowd.append(greenlet(enter_child, crowd[-1]))
    crowd.append(greenlet(fail, crowd[-1]))
    crowd.reverse()
    parents = [weakref.ref(g) for g in crowd]
    failure = raises(LookupError, enter_child)
    tb = [frame for frame, _ in traceback.walk_tb(failure.__traceback__)]
    assert [f.f_code.co_name for f in tb].count("enter_child") == 101
    del failure, tb
    assert crowd == [] and not any(parent() for parent in parents)
    return "100 parents passed it on, and all of them ended"


@scenario
def every_greenlet_has_its_own_context():
    main, log = getcurrent(), []

    def own(value):
        mark.set(value)
        main.switch()
        log.append(mark.get())

    def copied():
        log.append(mark.get("unset"))

    mark.set("main")
    crowd = [greenlet(own) for _ in range(20)]
    for value, g in enumerate(crowd):
        deep_in_c(value % 5, lambda g=g, value=value: g.switch(value))
        assert mark.get() == "main"
    context = contextvars.copy_context()
    inside = greenlet(lambda: context.run(own, "inside"))
    inside.switch()
    for g in random.sample(crowd, len(crowd)):
        g.switch()
    assert sorted(log) == list(range(20))
    raises(RuntimeError, context.run, print)  # entered in the other one
    inside.switch()
    assert log[-1] == "inside" and context[mark] == "inside"
    greenlet(copied).switch()
    heir = greenlet(copied)
    heir.gr_context = contextvars.copy_context()
    heir.switch()
    assert log[-2:] == ["unset", "main"] and mark.get() == "main"
    return "20 set it, each saw its own; a new one begins with none"


@scenario
def nothing_is_left_of_many_short_lives(count=3000):
    main, payload = getcurrent(), object()

    def wait(load):
        deep_in_c(3, lambda: main.switch(load))

    def fail(load):
        raise LookupError(load)

    def lives():
        for _ in range(count):
            greenlet(wait)
            greenlet(wait).switch(payload)
            greenlet(lambda load: load).switch(payload)
            greenlet(wait).throw()
            raises(LookupError, greenlet(fail).switch, payload)
            g = greenlet(wait)
            g.switch(payload)
            raises(LookupError, g.throw, LookupError)
            g.switch(payload), g.throw()
        del g
        gc.collect()
        counted = payload, main, wait, fail, greenlet, GreenletExit
        counts = [len(gc.get_objects()), *map(sys.getrefcount, counted)]
        return counts, resident()

    lives()
    (counts, size), (after, growth) = lives(), lives()
    growth -= size
    drift = [b - a for a, b in zip(counts, after, strict=True)]
    assert max(drift) < 10 and min(drift) > -10, drift
    assert growth < 256, growth
    return f"{8 * count} lives, and no object or reference more"


def run(name=None, *arguments):
    """Prove the scenario *name*; without one list them all."""
    random.seed(1)
    if name is None:
        print(*SCENARIOS, sep="\n")
    else:
        print(SCENARIOS[name](*map(int, arguments)), flush=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
