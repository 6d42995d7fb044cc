"""The contract of layer 2: on gevent's loop, and on ours with each backend."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

import kqueue
from evening import core as ours
from evening.greenlet import getcurrent, greenlet

BACKENDS = [
    pytest.param(
        ours.Epoll,
        marks=pytest.mark.skipif(
            not hasattr(select, "epoll"), reason="epoll is Linux's"
        ),
    ),
    ours.Kqueue,
    ours.Poll,
]
OWN = {"poll": ours.Poll, "kqueue": ours.Kqueue}
STAND_IN = not hasattr(select, "kqueue")
if STAND_IN:  # Linux: its rules, kept by epoll
    ours.kernel = SimpleNamespace()
    kqueue.add_to(ours.kernel)


def pytest_generate_tests(metafunc):
    if "make_loop" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--impl") or ["gevent", "evening"]
        backends = [*OWN] if "evening" in chosen else []
        metafunc.parametrize("make_loop", chosen + backends, indirect=True)


@pytest.fixture
def make_loop(request):
    """A function that returns a new loop; all are destroyed at the end."""
    made = []

    def make():
        if request.param in OWN:
            made.append(ours.Loop(OWN[request.param]()))
        else:
            package = __import__(f"{request.param}.core").core
            made.append(
                package.loop(default=False) if gevents else package.loop()
            )
        return made[-1]

    gevents = request.param == "gevent"
    yield make
    for loop in made:
        with suppress(ValueError):  # gevent's, if a test has destroyed it
            loop.verify()
        loop.destroy()


@pytest.fixture
def loop(make_loop):
    return make_loop()


@pytest.fixture
def log():
    return []


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # a test may have closed it
            os.close(end)


def test_a_loop_whose_notes_disagree_says_which():
    loop = ours.Loop()
    loop.timer(5).start(print)
    loop.verify()
    loop._timers[0][2] = None
    loop._fed += 1
    with pytest.raises(AssertionError, match=r"_fed counts.*_cancelled"):
        loop.verify()
    loop.destroy()


# -- Callbacks


def test_callbacks_run_in_the_order_in_which_they_were_queued(loop, log):
    for n in range(3):
        loop.run_callback(log.append, n)
    assert log == []
    loop.run()
    assert log == [0, 1, 2]


def test_a_callback_may_queue_another(loop, log):
    loop.run_callback(lambda: loop.run_callback(log.append, "second"))
    loop.run()
    assert log == ["second"]


def test_the_book_tells_who_draws_what_off_the_queue(monkeypatch):
    class Noted(deque):
        def popleft(self):
            one = super().popleft()
            drawn.append((names[getcurrent()], names[one]))
            return one

    def wait():
        loop.queue.popleft().switch()

    monkeypatch.setattr(ours, "deque", Noted)
    loop = ours.Loop()
    home = getcurrent()
    loop.home = home.switch
    f, a, b = loop.run_callback(int), greenlet(wait), greenlet(wait)
    loop.queue += [a, b]
    names = {home: "the loop", f: "`f`", loop._mark: "the mark"}
    names |= {a: "`A`", b: "`B`"}
    drawn = []
    loop._run_callbacks()
    loop.destroy()
    book = Path(__file__).parents[1] / "docs/core.md"
    rows = r"^\| (the loop|`[AB]`)(?:, which waits again)? \| (.+?) \|"
    assert drawn == re.findall(rows, book.read_text("utf-8"), re.M)


def test_a_stopped_callback_is_not_called(loop, log):
    callback = loop.run_callback(log.append, 1)
    assert callback.pending
    callback.stop()
    loop.run_callback(log.append, 2)
    loop.run()
    assert log == [2]
    assert not callback.pending


def test_many_alarms_of_a_turn_let_others_go_first_once(log):
    def breed():
        log.append("round")
        loop.run_callback(breed)

    loop = ours.Loop()
    for _ in range(100):
        loop.timer(0, priority=-1).start(list)
    loop.run_callback(breed)
    loop.run(nowait=True)
    loop.destroy()
    assert len(log) == ours.ROUNDS + 1


def test_callbacks_that_breed_do_not_starve_a_timer(loop, log):
    def breed():
        if not log:
            loop.run_callback(breed)

    loop.timer(0.001).start(log.append, "timer")
    loop.run_callback(breed)
    loop.run()
    assert log == ["timer"]


def test_what_cannot_be_called_is_refused_at_once(loop):
    with pytest.raises(TypeError):
        loop.timer(0).start(None)
    if isinstance(loop, ours.Loop):  # gevent finds out in the loop
        with pytest.raises(TypeError):
            loop.run_callback(None)


# -- Timers


def test_timers_fire_in_the_order_of_their_times(loop, log):
    if isinstance(loop, ours.Loop):  # gevent's all count from one now()
        loop = ours.Loop(FakeBackend(clock := FakeClock()), clock)
    for n in (3, 1, 2):
        loop.timer(n / 1000).start(log.append, n)
    loop.run()
    assert log == [1, 2, 3]


def test_timers_of_one_time_fire_in_the_order_of_their_start(log):
    loop = ours.Loop(FakeBackend(clock := FakeClock()), clock)
    for n in range(5):
        loop.timer(1).start(log.append, n)
    loop.run()
    assert log == [0, 1, 2, 3, 4]


def test_a_timer_fires_once_and_is_then_inactive(loop, log):
    timer = loop.timer(0)
    timer.start(lambda: log.append(timer.active))
    assert timer.active
    loop.run()
    assert log == [False]


def test_a_repeating_timer_fires_until_it_is_stopped(loop, log):
    timer = loop.timer(0.001, repeat=0.001)

    def tick():
        log.append(timer.active)
        if len(log) == 3:
            timer.stop()

    timer.start(tick)
    loop.run()
    assert log == [True, True, True]


def test_a_repeat_too_small_for_the_clock_still_lets_others_in(log):
    clock = FakeClock()
    loop = ours.Loop(FakeBackend(clock), clock)
    timer = loop.timer(0, repeat=1e-30)
    timer.start(lambda: (log.append("tick"), len(log) > 2 and timer.stop()))
    loop.run()
    assert log == ["tick"] * 3


def test_a_stopped_timer_does_not_fire(loop, log):
    stopped = loop.timer(0)
    stopped.start(log.append, "stopped")
    loop.timer(0.001).start(log.append, "later")
    stopped.stop()
    loop.run()
    assert log == ["later"]


def test_an_event_that_is_pending_is_forgotten_by_stop(loop, log):
    timers = [loop.timer(0), loop.timer(0)]

    def first(other):
        log.append("one")
        other.stop()

    timers[0].start(first, timers[1])
    timers[1].start(first, timers[0])
    loop.run()
    assert log == ["one"]


def test_a_timer_can_be_started_again(loop, log):
    timer = loop.timer(0)
    timer.start(log.append, 1)
    loop.run()
    timer.start(log.append, 2)
    loop.run()
    assert log == [1, 2]


def test_a_started_watcher_may_be_given_another_callback(loop, log):
    timer = loop.timer(0)
    timer.start(log.append, "old")
    timer.start(log.append, "new")
    loop.run()
    assert log == ["new"]


@pytest.mark.parametrize("seconds", [-1, -0.5])
def test_a_negative_repeat_is_refused(loop, seconds):
    with pytest.raises(ValueError, match="repeat"):
        loop.timer(1, repeat=seconds)


def test_now_stands_still_until_it_is_updated(log):
    clock = FakeClock()
    loop = ours.Loop(FakeBackend(clock), clock)
    clock.time += 5
    assert loop.now() == 100
    loop.update_now()
    assert loop.now() == 105


def test_the_loop_sleeps_exactly_until_the_next_timer(log):
    clock = FakeClock()
    backend = FakeBackend(clock)
    loop = ours.Loop(backend, clock)
    loop.timer(3).start(log.append, "three")
    loop.timer(1, repeat=1, ref=False).start(log.append, "one")
    loop.run()
    assert log == ["one", "one", "three"] or log == [
        "one",
        "one",
        "three",
        "one",
    ]
    assert backend.slept == [1, 1, 1]


def test_a_timer_of_many_years_may_wait(loop, log):
    loop.timer(1e9).start(log.append, "old")
    loop.timer(0).start(lambda: (log.append("soon"), loop.break_()))
    loop.run()
    assert log == ["soon"]


def test_no_backend_is_asked_to_sleep_for_years(log):
    clock = FakeClock()
    backend = FakeBackend(clock)
    loop = ours.Loop(backend, clock)
    loop.timer(2.5 * ours.MAX_BLOCKTIME).start(log.append, "at last")
    loop.run()
    assert log == ["at last"]
    assert max(backend.slept) == ours.MAX_BLOCKTIME


def test_cancelled_timers_do_not_pile_up():
    clock = FakeClock()
    loop = ours.Loop(FakeBackend(clock), clock)
    live = [loop.timer(100) for _ in range(100)]
    for timer in live:
        timer.start(list)
    for _ in range(10_000):
        timer = loop.timer(50)
        timer.start(list)
        timer.stop()
    assert len(loop._timers) < 400
    for timer in live:
        timer.stop()
    assert loop.activecnt == 0


# -- Descriptors


def test_a_readable_descriptor_calls_back(loop, log, pipe):
    reader, writer = pipe
    io = loop.io(reader, 1)

    def read():
        log.append(os.read(reader, 10))
        io.stop()

    io.start(read)
    loop.timer(0).start(os.write, writer, b"x")
    loop.run()
    assert log == [b"x"]


def test_what_nobody_reads_is_reported_again(loop, log, pipe):
    reader, writer = pipe
    os.write(writer, b"x")
    io = loop.io(reader, 1)

    def leave_it():
        log.append("again")
        if len(log) == 3:
            io.stop()

    io.start(leave_it)
    loop.run()
    assert log == ["again"] * 3


def test_a_pipe_with_room_is_writable(loop, log, pipe):
    io = loop.io(pipe[1], 2)
    io.start(lambda: (log.append("room"), io.stop()))
    loop.run()
    assert log == ["room"]


def test_two_watchers_of_one_descriptor_are_both_called(loop, log):
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        reads, writes = loop.io(left.fileno(), 1), loop.io(left.fileno(), 2)
        reads.start(lambda: (log.append("read"), reads.stop()))
        writes.start(lambda: (log.append("write"), writes.stop()))
        loop.run()
    assert sorted(log) == ["read", "write"]


def test_the_end_of_a_peer_wakes_its_reader(loop, log, pipe):
    reader, writer = pipe
    io = loop.io(reader, 1)
    io.start(lambda: (log.append(os.read(reader, 1)), io.stop()))
    loop.timer(0).start(os.close, writer)
    loop.run()
    assert log == [b""]


def test_a_number_that_came_back_as_another_file_is_watched(loop, log):
    for word in (b"first", b"second"):
        reader, writer = os.pipe()
        os.write(writer, word)
        io = loop.io(reader, 1)
        io.start(
            lambda io=io, fd=reader: (log.append(os.read(fd, 9)), io.stop())
        )
        loop.run(once=True)
        os.close(reader)
        os.close(writer)
    assert log == [b"first", b"second"]


def test_a_number_that_came_back_within_one_turn_is_watched(loop, log):
    def reopen():
        io.stop()
        os.close(reader)
        again, other = os.pipe()
        assert again == reader
        os.write(other, b"new")
        fresh = loop.io(again, 1)
        fresh.start(
            lambda: (
                log.append(os.read(again, 9)),
                fresh.stop(),
                os.close(again),
                os.close(other),
            )
        )

    reader, writer = os.pipe()
    io = loop.io(reader, 1)
    io.start(log.append)
    loop.run(once=True, nowait=True)
    loop.run_callback(reopen)
    loop.run()
    os.close(writer)
    assert log == [b"new"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_descriptor_calls_back_instead_of_hanging(backend, log):
    # Ours only: libev's assertions may abort the process here.
    loop = ours.Loop(backend())
    reader, writer = os.pipe()
    io = loop.io(reader, 1)
    os.close(reader)
    os.close(writer)
    io.start(lambda: (log.append("told"), io.stop()))
    loop.run()
    loop.destroy()
    assert log == ["told"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_descriptor_calls_back_once(backend, log):
    loop = ours.Loop(backend())
    reader, writer = os.pipe()
    loop.io(reader, 1).start(log.append, "told")
    loop.run(nowait=True)
    os.close(reader)
    os.close(writer)
    loop.io(reader, 1).start(log.append, "told too")
    for _ in range(3):
        loop.run(nowait=True)
    loop.destroy()
    assert log in (["told", "told too"], ["told too"])  # epoll forgot the one


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_closed_watcher_is_forgotten_though_a_copy_stays_open(backend, pipe):
    # Epoll watches the file, not the number: while a copy is open, it would
    # go on reporting, and nobody could take a closed number off its list.
    kernel = backend()
    loop = ours.Loop(kernel)
    reader, writer = pipe
    copy = os.dup(reader)
    io = loop.io(reader, ours.READ)
    io.start(list)
    loop.run(nowait=True)
    io.close()
    os.close(reader)
    os.write(writer, b"x")
    assert kernel.poll(0) == []
    os.close(copy)
    loop.destroy()


@pytest.mark.parametrize(("fd", "events"), [(-1, 1), (0, 8)])
def test_a_wrong_descriptor_or_event_is_refused(loop, fd, events):
    with pytest.raises(ValueError):
        loop.io(fd, events)


def test_a_loop_takes_the_best_backend_there_is(monkeypatch):
    monkeypatch.setattr(ours, "kernel", system := SimpleNamespace())
    assert type(ours.default_backend()) is ours.Poll
    kqueue.add_to(system)
    assert type(ours.default_backend()) is ours.Kqueue
    monkeypatch.setattr(ours, "Epoll", lambda: "epoll")
    system.epoll = None
    assert ours.default_backend() == "epoll"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_reports_what_it_was_asked_for(backend):
    kernel = backend()
    left, right = socket.socketpair()
    with left, right:
        fd = left.fileno()
        kernel.modify(fd, 0, ours.IN)
        assert kernel.poll(0) == []
        right.send(b"x")
        assert kernel.poll(0) == [(fd, ours.IN)]
        kernel.modify(fd, ours.IN, ours.IN | ours.OUT)
        masks = [mask for one, mask in kernel.poll(0) if one == fd]
        assert sum(masks) == ours.IN | ours.OUT  # kqueue tells one by one
        kernel.modify(fd, ours.IN | ours.OUT, 0)
        assert kernel.poll(0) == []
    kernel.close()


# -- Other threads


def test_a_thread_wakes_a_sleeping_loop(loop, log):
    alarm = loop.async_()
    alarm.start(lambda: (log.append(threading.get_ident()), alarm.stop()))
    thread = threading.Thread(target=alarm.send)
    loop.run_callback(thread.start)
    loop.run()
    thread.join()
    assert log == [threading.get_ident()]


def test_a_send_before_the_start_is_forgotten(loop, log):
    alarm = loop.async_()
    alarm.send()
    alarm.start(log.append, "stale")
    loop.timer(0).start(alarm.stop)
    loop.run()
    assert log == []


def test_many_sends_before_a_turn_are_one_call(loop, log):
    alarm = loop.async_()
    alarm.start(lambda: (log.append("once"), alarm.stop()))
    for _ in range(100_000):
        alarm.send()
    loop.run()
    assert log == ["once"]


def test_a_thread_queues_a_callback(loop, log):
    keeps = loop.async_()
    keeps.start(list)

    def work():
        loop.run_callback_threadsafe(
            lambda: (log.append("called"), keeps.stop())
        )

    thread = threading.Thread(target=work)
    loop.run_callback(thread.start)
    loop.run()
    thread.join()
    assert log == ["called"]


# -- Running


def test_run_returns_when_nothing_is_left(loop):
    loop.run()


def test_run_does_one_turn_even_if_nothing_counts(loop, log):
    loop.timer(0, ref=False).start(log.append, "due")
    loop.run()
    assert log == ["due"]


def test_run_does_not_stay_for_a_watcher_without_ref(loop, log):
    loop.timer(60, ref=False).start(log.append, 1)
    loop.timer(0).start(log.append, 2)
    loop.run()
    assert log == [2]


def test_break_ends_the_run(loop, log):
    loop.timer(0, repeat=0.001).start(lambda: (log.append(1), loop.break_()))
    loop.run()
    assert log == [1]


def test_once_is_one_turn(loop, log):
    loop.timer(0, repeat=0.001).start(log.append, 1)
    loop.run(once=True)
    assert log == [1]


def test_nowait_does_not_sleep(loop, log):
    loop.timer(60).start(log.append, 1)
    loop.run(nowait=True)
    assert log == []


def test_activecnt_counts_the_started_watchers(loop):
    before = loop.activecnt
    timer, quiet = loop.timer(60), loop.timer(60, ref=False)
    timer.start(list)
    quiet.start(list)
    assert loop.activecnt == before + 1
    timer.stop()
    timer.stop()
    quiet.stop()
    assert loop.activecnt == before


def test_once_sleeps_until_something_comes(loop, log):
    loop.timer(0.001).start(log.append, "came")
    loop.run(once=True)
    assert log == ["came"]


@pytest.mark.parametrize(("how", "left"), [(1, ["inner", "outer"]), (2, [])])
def test_break_ends_the_innermost_run_or_all(loop, log, how, left):
    def nested():
        loop.timer(0).start(loop.break_, how)
        forever.start(list)
        loop.run()
        forever.stop()
        log.append("inner")
        loop.timer(0).start(log.append, "outer")

    forever = loop.timer(60)
    loop.timer(0).start(nested)
    loop.run()
    assert log == (left or ["inner"])


def test_a_break_can_be_taken_back(loop, log):
    loop.timer(0).start(lambda: (loop.break_(), loop.break_(0)))
    loop.timer(0.001).start(log.append, "goes on")
    loop.run()
    assert log == ["goes on"]


def test_ref_and_unref_count_as_a_watcher_does(loop, log):
    before = loop.activecnt
    loop.ref()
    assert loop.activecnt == before + 1
    loop.timer(0, ref=False).start(lambda: (log.append(1), loop.unref()))
    loop.run()
    assert log == [1]
    assert loop.activecnt == before


def test_a_destroyed_loop_refuses_to_run(loop):
    loop.destroy()
    loop.destroy()
    with pytest.raises(ValueError, match="destroyed"):
        loop.run()


def test_a_thread_cannot_wake_a_destroyed_loop(loop):
    loop.destroy()
    with pytest.raises(ValueError, match="destroyed"):
        loop.run_callback_threadsafe(list)


def test_a_loop_tells_what_it_is_and_how_much_is_pending(loop):
    assert loop.pendingcnt == 0
    for word in ("<loop at", "pending=0", f"ref={loop.activecnt}"):
        assert word in repr(loop)
    assert "poll" in repr(loop) or "kqueue" in repr(loop)


# -- Priorities, and what comes before and after the sleep


def test_the_highest_priority_is_called_first(loop, log):
    for priority in (-2, 0, 2, 1, -1):
        timer = loop.timer(0, priority=priority)
        timer.start(log.append, priority)
        assert timer.priority == priority
    loop.run()
    assert log == [2, 1, 0, -1, -2]


def test_prepare_comes_before_callbacks_and_check_after_the_sleep(loop, log):
    prepare, check = loop.prepare(), loop.check()
    prepare.start(log.append, "prepare")
    check.start(log.append, "check")
    loop.timer(0).start(log.append, "timer")
    loop.run_callback(log.append, "callback")
    loop.run(once=True)
    assert log == ["prepare", "callback", "check", "timer"]


def test_idle_is_called_while_nothing_else_is_to_do(loop, log, pipe):
    idle, io = loop.idle(), loop.io(pipe[0], 1)
    io.start(lambda: (log.append(os.read(pipe[0], 1)), io.stop()))
    os.write(pipe[1], b"x")
    idle.start(lambda: (log.append("idle"), len(log) > 2 and idle.stop()))
    loop.run()
    assert log == [b"x", "idle", "idle"]


@pytest.mark.parametrize(
    ("priority", "order"), [(1, ["idle", "timer"]), (-1, ["timer", "idle"])]
)
def test_idle_waits_for_its_priority_and_higher_ones(
    loop, log, priority, order
):
    idle = loop.idle(priority=priority)
    idle.start(lambda: (log.append("idle"), idle.stop()))
    loop.timer(0).start(log.append, "timer")
    loop.run()
    assert log == order


@pytest.mark.parametrize("kind", ["prepare", "check", "idle", "fork"])
def test_a_stopped_hook_is_not_called(loop, log, kind):
    hook = getattr(loop, kind)()
    hook.start(log.append, kind)
    assert hook.active
    hook.stop()
    loop.run()
    assert not hook.active
    assert log == []


def test_again_begins_a_repeat_anew(log):
    clock = FakeClock()
    loop = ours.Loop(FakeBackend(clock), clock)
    timer = loop.timer(5, repeat=2)
    timer.start(log.append, "old")
    timer.again(lambda: (log.append(clock.time), timer.stop()))
    loop.run()
    assert log == [102]


def test_again_needs_no_start_and_stops_what_does_not_repeat(loop, log):
    timer = loop.timer(60, repeat=0.001)
    timer.again(lambda: (log.append("rings"), timer.stop()))
    once = loop.timer(60)
    once.start(log.append, "never")
    once.again(log.append, "never")
    assert not once.active
    loop.run()
    assert log == ["rings"]


# -- Signals, children, forks, files


def test_a_signal_calls_back_in_the_loop(loop, log):
    former = signal.getsignal(signal.SIGUSR1)
    watchers = [loop.signal(signal.SIGUSR1) for _ in range(2)]
    for n, watcher in enumerate(watchers):
        watcher.start(lambda n=n, one=watcher: (log.append(n), one.stop()))
    loop.run_callback(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run()
    assert sorted(log) == [0, 1]
    assert signal.getsignal(signal.SIGUSR1) == former


def test_a_signal_wakes_a_sleeping_loop(loop, log):
    watcher = loop.signal(signal.SIGUSR1)
    watcher.start(lambda: (log.append("woke"), watcher.stop()))
    main = threading.main_thread().ident
    killer = threading.Thread(
        target=signal.pthread_kill, args=(main, signal.SIGUSR1)
    )
    loop.run_callback(killer.start)
    loop.run()
    killer.join()
    assert log == ["woke"]


def test_destroy_gives_a_signal_back():
    former = signal.getsignal(signal.SIGUSR1)
    loop = ours.Loop()
    loop.signal(signal.SIGUSR1).start(list)
    loop.destroy()
    assert signal.getsignal(signal.SIGUSR1) == former
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("signum", [0, -1, 1000])
def test_a_wrong_signal_is_refused(loop, signum):
    with pytest.raises(ValueError, match="illegal signal number"):
        loop.signal(signum)


@pytest.fixture
def program(make_loop, request):
    """A function that runs code on a default loop, in a process of its own."""
    way = request.node.callspec.params["make_loop"]
    package, backend = (
        ("evening", OWN[way].__name__) if way in OWN else (way, "")
    )
    head = f"import os\nfrom {package} import core\n"
    if way == "kqueue" and STAND_IN:
        head += "import kqueue\nkqueue.add_to(core.kernel)\n"
    head += f"loop = core.loop({backend and f'core.{backend}()'})"

    def run(code):
        path = os.pathsep.join(sys.path)  # a reader's package is in there
        child = subprocess.run(
            [sys.executable, "-uc", f"{head}\n{code}"],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert not child.stderr
        return child.stdout.split()

    return run


CHILD = """
gate, key = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(gate, 1)  # not before we watch: gevent would miss it
    os._exit(7)
child = loop.child(pid)

def ended():
    print(child.pid == child.rpid == pid, os.waitstatus_to_exitcode(
        child.rstatus), child.active)
    child.stop()

child.start(ended)
os.write(key, b"!")
loop.run()
"""


def test_the_end_of_a_child_process_calls_back(program):
    assert program(CHILD) == ["True", "7", "True"]


TWO_FOR_ONE_CHILD = """
gate, key = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(gate, 1)
    os._exit(7)
children = [loop.child(pid), loop.child(pid)]

def ended(child):
    print(child.rpid == pid)
    child.stop()

for child in children:
    child.start(ended, child)
os.write(key, b"!")
loop.run()
"""


def test_two_watchers_of_one_child_are_both_told(program):
    assert program(TWO_FOR_ONE_CHILD) == ["True", "True"]


MANY_CHILDREN = """
def bear():
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        pids.append(pid)

def ended():
    seen.append(child.rpid)
    if len(seen) == 3:
        child.stop()

pids, seen, child = [], [], loop.child(0)
child.start(ended)
loop.run_callback(bear)  # one signal may tell of them all
loop.run()
print(sorted(seen) == sorted(pids))
"""


def test_a_watcher_of_all_children_is_told_of_each(program):
    assert program(MANY_CHILDREN) == ["True"]


def test_ref_may_change_while_a_watcher_waits(loop):
    before = loop.activecnt
    timer = loop.timer(60)
    timer.start(list)
    timer.ref = False
    assert (timer.ref, loop.activecnt) == (False, before)
    timer.ref = True
    assert loop.activecnt == before + 1
    timer.stop()
    assert loop.activecnt == before


def test_a_watcher_is_closed_by_the_end_of_its_block(loop, log):
    with loop.timer(0) as timer:
        timer.start(log.append, "never")
    loop.run()
    assert log == []


def test_a_child_that_ended_before_the_start_is_told_too(log):
    loop = ours.Loop()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        child = loop.child(process.pid)
        child.start(lambda: (log.append(child.rstatus), child.stop()))
        loop.run()
    loop.destroy()
    assert log == [0]


FORK = """
r, w = os.pipe()
fork, io = loop.fork(ref=False), loop.io(r, 1)
fork.start(print, "forked")
io.start(lambda: (print(os.read(r, 1)), io.stop()))
loop.run(nowait=True)
pid = os.fork()
if pid == 0:
    os.write(w, b"c")
    loop.run()
    os._exit(0)
os.waitpid(pid, 0)
os.write(w, b"p")
loop.run()
"""


def test_a_forked_child_has_a_loop_of_its_own(program):
    assert program(FORK) == ["forked", "b'c'", "b'p'"]


FORK_AND_CLOSE = """
r, w = os.pipe()
io = loop.io(r, 1)
io.start(lambda: (print(os.read(r, 1)), io.stop()))
loop.run(nowait=True)
pid = os.fork()
if pid == 0:
    io.close()
    os._exit(0)
os.waitpid(pid, 0)
os.write(w, b"p")
loop.run()
"""


def test_what_a_forked_child_closes_the_parent_still_watches(program):
    assert program(FORK_AND_CLOSE) == ["b'p'"]


def test_reinit_can_be_asked_for(loop, log, pipe):
    io = loop.io(pipe[0], 1)
    io.start(lambda: (log.append(os.read(pipe[0], 1)), io.stop()))
    loop.run(nowait=True)
    loop.reinit()
    os.write(pipe[1], b"x")
    loop.run()
    assert log == [b"x"]


def test_a_file_that_changes_calls_back(loop, log, tmp_path):
    path = tmp_path / "file"
    stat = loop.stat(str(path), 0.25)
    stat.start(lambda: (log.append(stat.attr.st_size), stat.stop()))
    assert (stat.path, stat.interval, stat.attr) == (str(path), 0.25, None)
    loop.run_callback(path.write_bytes, b"four")
    loop.run()
    assert log == [4]
    assert stat.prev is None


def test_a_file_that_vanishes_calls_back(log, tmp_path):
    clock = FakeClock()
    loop = ours.Loop(FakeBackend(clock), clock)
    path = tmp_path / "file"
    path.touch()
    stat = loop.stat(str(path))
    stat.start(lambda: (log.append(stat.attr), stat.stop()))
    loop.run(once=True)
    assert log == []  # nothing has changed
    path.unlink()
    loop.run()
    assert log == [None]
    assert stat.prev.st_size == 0


def test_a_regular_file_is_always_ready(loop, log, tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        io = loop.io(file.fileno(), 1)
        io.start(lambda: (log.append(file.read()), io.stop()))
        loop.run()
    assert log == [b""]


# -- Errors


@pytest.mark.parametrize("fails", ["callback", "timer"])
def test_an_error_is_handed_to_the_handler_and_the_loop_goes_on(
    loop, log, fails
):
    loop.error_handler = lambda context, kind, value, tb: log.append(kind)
    if fails == "callback":
        loop.run_callback(lambda: 1 / 0)
    else:
        loop.timer(0).start(lambda: 1 / 0)
    loop.timer(0.001).start(log.append, "goes on")
    loop.run()
    assert log == [ZeroDivisionError, "goes on"]


def test_a_descriptor_whose_callback_fails_is_watched_no_more(loop, log, pipe):
    loop.error_handler = lambda *error: log.append(error[1])
    os.write(pipe[1], b"x")
    io = loop.io(pipe[0], 1)
    io.start(lambda: 1 / 0)
    loop.run()
    assert log == [ZeroDivisionError]
    assert not io.active


def test_without_a_handler_an_error_is_printed_and_breaks(loop, log, capfd):
    loop.timer(0).start(lambda: 1 / 0)
    loop.timer(0.01).start(log.append, "goes on")
    loop.run()
    assert log == []
    assert "ZeroDivisionError" in capfd.readouterr().err


# -- A kernel and a clock of our own


class FakeClock:
    """A clock that goes on only when somebody sleeps."""

    time = 100.0

    def __call__(self):
        return self.time


class FakeBackend:
    """A kernel with nothing to report; sleeping moves the clock."""

    edge = False

    def __init__(self, clock):
        self.clock, self.slept = clock, []

    def modify(self, fd, old, new):
        pass

    def poll(self, timeout):
        assert timeout is not None, "the loop would sleep for ever"
        if timeout:
            self.slept.append(timeout)
            self.clock.time += timeout
        return []

    def fork(self):
        pass

    def close(self):
        pass
