"""The contract of layer 3: greenlets wait, and the hub wakes them."""

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import greenlet
import pytest


@pytest.fixture
def hub(impl):
    return impl.get_hub()


@pytest.fixture
def log():
    return []


@pytest.fixture
def quiet(hub):
    """The hub's tracebacks, in a string."""
    before, hub.exception_stream = hub.exception_stream, io.StringIO()
    yield hub.exception_stream
    hub.exception_stream = before


def boom():
    raise ValueError("boom")


# -- The hub


def test_a_thread_has_one_hub(impl):
    assert impl.get_hub() is impl.get_hub()
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(impl.get_hub()))
    thread.start()
    thread.join()
    assert theirs[0] is not impl.get_hub()


def test_the_hub_is_a_greenlet_below_the_main_one(impl, hub):
    main = impl.getcurrent()
    assert hub.parent is main
    assert isinstance(hub, impl.hub.Hub)
    where = []
    hub.loop.run_callback(lambda: where.append(impl.getcurrent()))
    impl.sleep(0)
    assert where == [hub]


def test_wait_returns_when_the_watcher_fires(impl, hub, log):
    task = impl.spawn(lambda: log.append("meanwhile"))
    hub.wait(hub.loop.timer(0.001))
    assert log == ["meanwhile"]
    task.join()


def test_wait_for_a_descriptor(impl, hub):
    reader, writer = os.pipe()
    impl.spawn(os.write, writer, b"x")
    hub.wait(hub.loop.io(reader, 1))
    assert os.read(reader, 9) == b"x"
    os.close(reader)
    os.close(writer)


def test_a_wrong_waker_is_an_error(impl, hub):
    def wait():
        hub.wait(hub.loop.timer(60))

    task = impl.spawn(wait)
    impl.sleep(0)
    hub.loop.run_callback(task.switch, "not the timer")
    with pytest.raises(impl.errors.InvalidSwitchError):
        task.get()


def test_cancel_wait_raises_in_the_one_who_waits(impl, hub):
    watcher = hub.loop.timer(60)
    task = impl.spawn(hub.wait, watcher)
    impl.sleep(0)
    hub.cancel_wait(watcher, KeyError("cancelled"))
    with pytest.raises(KeyError, match="cancelled"):
        task.get()


def test_waiting_for_nothing_is_a_loop_exit(impl):
    with pytest.raises(impl.errors.LoopExit, match="would block forever"):
        impl.hub.Waiter().get()


def test_the_hub_goes_on_after_a_loop_exit(impl):
    for _ in range(3):
        with pytest.raises(impl.errors.LoopExit):
            impl.hub.Waiter().get()
    impl.sleep(0.001)


def test_a_callback_of_the_loop_may_not_wait(impl, hub, log):
    def wait():
        try:
            impl.sleep(0.001)
        except impl.errors.BlockingSwitchOutError as error:
            log.append(type(error))

    hub.loop.run_callback(wait)
    impl.sleep(0)
    assert log == [impl.errors.BlockingSwitchOutError]


def test_an_error_in_a_callback_is_printed_and_the_hub_goes_on(
    impl, hub, quiet
):
    hub.loop.run_callback(boom)
    impl.sleep(0)
    assert "ValueError: boom" in quiet.getvalue()


def test_an_exit_in_a_callback_is_not_printed(impl, hub, quiet):
    def leave():
        raise impl.GreenletExit

    hub.loop.run_callback(leave)
    impl.sleep(0)
    assert quiet.getvalue() == ""


def test_exception_stream_none_is_silence(impl, hub, quiet, capfd):
    hub.exception_stream = None
    hub.loop.run_callback(boom)
    impl.sleep(0)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_system_error_reaches_the_main_greenlet(impl, quiet, kind):
    def end():
        raise kind

    impl.spawn(end)
    with pytest.raises(kind):
        impl.sleep(1)


class FullDisk(io.StringIO):
    """A stream that can't be written to."""

    def write(self, text):
        raise OSError("the disk is full")


@pytest.mark.parametrize("begin", ["run_callback", "spawn"])
def test_an_error_while_an_error_is_handled_does_not_end_the_hub(
    impl, hub, quiet, capfd, begin
):
    hub.exception_stream = FullDisk()
    if begin == "spawn":
        impl.spawn(boom)
    else:
        hub.loop.run_callback(boom)
    impl.sleep(0.001)
    assert not hub.dead
    assert "the disk is full" in capfd.readouterr().err
    assert impl.spawn(lambda: "goes on").get() == "goes on"


def test_a_hub_has_a_small_number_too(impl, hub):
    assert 0 <= hub.minimal_ident < 1000
    assert hub.minimal_ident == hub.minimal_ident


def test_a_hub_hands_default_to_its_loop(impl):
    def work():
        hub = impl.hub.Hub(default=False)
        is_default = hub.loop.default
        hub.destroy(destroy_loop=True)
        return is_default

    assert in_a_thread(work) is False


def test_another_thread_may_not_wait_in_this_hub(impl, hub):
    def use():
        with pytest.raises(
            (impl.errors.InvalidThreadUseError, greenlet.error)
        ):
            hub.wait(watcher)
        return "refused"

    impl.sleep(0)
    watcher = hub.loop.timer(60)
    assert in_a_thread(use) == "refused"
    assert not watcher.active


# -- idle and signals


def test_idle_waits_until_the_others_have_nothing_to_do(impl, log):
    def work():
        for n in range(3):
            log.append(n)
            impl.sleep(0)

    task = impl.spawn(work)
    impl.idle()
    assert log == [0, 1, 2]
    task.join()


def test_idle_takes_a_priority(impl, log):
    task = impl.spawn(log.append, "work")
    impl.idle(priority=1)
    assert log == ["work"]
    task.join()


def test_signal_has_two_names(impl):
    assert impl.signal_handler is impl.hub.signal


def test_a_signal_handler_must_be_callable(impl):
    with pytest.raises(TypeError):
        impl.signal_handler(signal.SIGURG, "no function")


def test_a_signal_handler_does_not_keep_the_loop_running(impl, hub):
    handler = impl.signal_handler(signal.SIGURG, print)
    try:
        assert handler.ref is False
        assert hub.join(timeout=60) is True
        handler.ref = True
        assert handler.ref is True
        assert hub.join(timeout=0.001) is False
    finally:
        handler.cancel()


# -- Waiter


def test_a_value_that_comes_later_wakes(impl, hub):
    waiter = impl.hub.Waiter()
    hub.loop.run_callback(waiter.switch, "hello")
    assert waiter.get() == "hello"


def test_a_value_that_came_early_is_kept(impl):
    waiter = impl.hub.Waiter()
    impl.spawn(waiter.switch, "early")
    impl.sleep(0)
    assert waiter.ready()
    assert waiter.get() == "early"


def test_an_error_that_comes_is_raised(impl, hub):
    late, early = impl.hub.Waiter(), impl.hub.Waiter()
    early.throw(KeyError("early"))
    with pytest.raises(KeyError, match="early"):
        early.get()
    hub.loop.run_callback(late.throw, KeyError("late"))
    with pytest.raises(KeyError, match="late"):
        late.get()


def test_a_waiter_serves_one(impl):
    waiter = impl.hub.Waiter()
    first = impl.spawn(waiter.get)
    impl.sleep(0)
    with pytest.raises(impl.errors.ConcurrentObjectUseError):
        waiter.get()
    impl.get_hub().loop.run_callback(waiter.switch, None)
    first.join()


def test_only_the_hub_wakes_the_one_who_waits(impl, hub):
    waiter = impl.hub.Waiter()
    task = impl.spawn(waiter.get)
    impl.sleep(0)
    with pytest.raises(AssertionError):
        waiter.switch("from the main greenlet")
    assert not waiter.ready()
    task.kill()


def test_a_waiter_can_be_waited_for_again(impl, hub):
    waiter = impl.hub.Waiter()
    for value in range(2):
        hub.loop.run_callback(waiter.switch, value)
        assert waiter.get() == value
    assert not waiter.ready()


# -- spawn and the life of a Greenlet


def test_spawn_does_not_run_it_now(impl, log):
    task = impl.spawn(log.append, 1)
    assert log == []
    task.join()
    assert log == [1]


def test_a_task_begins_once_though_somebody_switched_to_it(impl, log):
    impl.sleep(0)  # the hub runs
    first, _ = impl.spawn(log.append, 1), impl.spawn(log.append, 2)
    with pytest.raises(impl.errors.LoopExit):
        first.switch()  # it ends in the hub, which then has nothing to do
    assert log == [1, 2]


def test_the_dead_keep_no_place_among_those_who_begin(impl, log):
    first, _ = impl.spawn(log.append, 1), impl.spawn(log.append, 2)
    first.kill()
    impl.spawn(log.append, 3)
    impl.sleep(0)
    assert log == [2, 3]


def test_tasks_begin_in_the_order_of_spawn(impl, log):
    impl.joinall([impl.spawn(log.append, n) for n in range(5)])
    assert log == [0, 1, 2, 3, 4]


def test_spawn_hands_over_arguments(impl):
    assert impl.spawn(lambda *a, **k: (a, k), 1, b=2).get() == ((1,), {"b": 2})


def test_the_life_of_a_task(impl):
    task = impl.Greenlet(impl.sleep, 0)
    assert (task.started, task.ready(), task.dead) == (False, False, False)
    task.start()
    assert (task.started, bool(task)) == (True, True)
    impl.sleep(0)
    assert not task.ready() and not task.dead
    task.join()
    assert (task.ready(), task.successful(), task.dead) == (True,) * 3
    assert (task.started, bool(task)) == (False, False)


def test_a_task_runs_once(impl, log):
    task = impl.spawn(log.append, 1)
    task.start()
    task.join()
    task.start()
    impl.sleep(0)
    assert log == [1]


def test_spawn_later_waits(impl, log):
    soon = impl.spawn_later(0.001, log.append, "soon")
    later = impl.spawn_later(0.002, log.append, "later")
    assert log == []
    impl.joinall([later, soon])
    assert log == ["soon", "later"]


def test_one_that_begins_before_its_time_begins_once(impl, hub, log):
    def work():
        log.append("begun")
        impl.sleep(0.002)
        log.append("slept")

    task = impl.spawn_later(0.001, work)
    hub.loop.run_callback(task.switch)
    task.join()
    assert log == ["begun", "slept"]


def test_spawn_later_needs_a_function(impl):
    with pytest.raises(TypeError):
        impl.spawn_later(1)


def test_a_subclass_brings_its_own_work(impl):
    class Task(impl.Greenlet):
        def _run(self):
            return "own"

    task = Task()
    task.start()
    assert task.get() == "own"


def test_what_cannot_run_is_refused(impl):
    with pytest.raises(TypeError):
        impl.Greenlet("no function")


def test_a_value_is_kept(impl):
    task = impl.spawn(lambda: 42)
    assert task.value is None
    assert task.get() == 42
    assert (task.value, task.get(), task.exception) == (42, 42, None)


def test_a_finished_task_lets_go_of_what_it_worked_with(impl):
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    task = impl.spawn(lambda one: None, thing)
    task.join()
    del thing
    assert gone() is None


def test_an_error_is_kept_printed_and_raised_by_get(impl, quiet):
    task = impl.spawn(boom)
    task.join()
    assert task.ready() and not task.successful()
    assert str(task.exception) == "boom"
    assert "ValueError: boom" in quiet.getvalue()
    for _ in range(2):
        with pytest.raises(ValueError, match="boom"):
            task.get()


def test_an_error_does_not_stop_the_others(impl, quiet, log):
    impl.joinall([impl.spawn(boom), impl.spawn(log.append, "other")])
    assert log == ["other"]


def test_many_wait_for_one(impl, log):
    task = impl.spawn(impl.sleep, 0.001)
    waiting = [
        impl.spawn(lambda n=n: (task.join(), log.append(n))) for n in range(3)
    ]
    impl.joinall(waiting)
    assert log == [0, 1, 2]


def test_join_gives_up_in_silence(impl):
    task = impl.spawn(impl.sleep, 60)
    task.join(timeout=0.001)
    assert not task.ready()
    task.kill()


def test_get_gives_up_with_a_timeout(impl):
    task = impl.spawn(impl.sleep, 60)
    with pytest.raises(impl.Timeout):
        task.get(timeout=0.001)
    with pytest.raises(impl.Timeout):
        task.get(block=False)
    task.kill()


def test_a_timeout_may_be_given_as_an_alarm_of_ones_own(impl):
    task = impl.spawn(impl.sleep, 60)
    alarm = impl.Timeout(0.001)
    task.join(timeout=alarm)
    assert not task.ready() and not alarm.pending
    alarm = impl.Timeout(0.001)
    with pytest.raises(impl.Timeout) as caught:
        task.get(timeout=alarm)
    assert caught.value is alarm
    with pytest.raises(KeyError, match="own"):
        task.join(timeout=impl.Timeout(0.001, KeyError("own")))
    task.kill()


def test_an_outer_timeout_passes_through_join(impl):
    task = impl.spawn(impl.sleep, 60)
    with pytest.raises(impl.Timeout) as caught, impl.Timeout(0.001) as outer:
        task.join(timeout=60)
    assert caught.value is outer
    task.kill()


def test_a_link_is_called_by_the_hub(impl, hub, log):
    task = impl.spawn(lambda: "value")
    task.rawlink(lambda one: log.append((one.value, impl.getcurrent())))
    task.join()
    impl.sleep(0)
    assert log == [("value", hub)]


def test_a_link_to_a_finished_task_is_called(impl, log):
    task = impl.spawn(lambda: None)
    task.join()
    impl.sleep(0)  # all who waited have been told
    task.rawlink(log.append)
    impl.sleep(0)
    assert log == [task]


def test_an_unlinked_callback_is_not_called(impl, log):
    task = impl.spawn(lambda: None)
    task.rawlink(log.append)
    task.unlink(log.append)
    task.join()
    impl.sleep(0)
    assert log == []


def test_a_link_that_fails_does_not_stop_the_next(impl, quiet, log):
    task = impl.spawn(lambda: None)
    task.rawlink(lambda _: boom())
    task.rawlink(log.append)
    task.join()
    impl.sleep(0)
    assert log == [task]
    assert "boom" in quiet.getvalue()


def test_a_link_runs_in_a_greenlet_of_its_own_and_may_wait(impl, hub, log):
    def told(one):
        here = impl.getcurrent()
        log.append((one, here.parent is hub))
        impl.sleep(0)
        log.append("waited")

    task = impl.spawn(lambda: None)
    task.link(told)
    task.join()
    impl.sleep(0)
    impl.sleep(0)
    assert log == [(task, True), "waited"]


def test_links_for_success_and_for_failure(impl, quiet, log):
    for work in (lambda: "value", boom):
        task = impl.spawn(work)
        task.link_value(lambda one: log.append(one.value))
        task.link_exception(lambda one: log.append(str(one.exception)))
        task.join()
        impl.sleep(0)
    assert log == ["value", "boom"]


@pytest.mark.parametrize("kind", ["link", "link_value", "link_exception"])
def test_every_kind_of_link_can_be_taken_back(impl, quiet, log, kind):
    for work in (lambda: None, boom):
        task = impl.spawn(work)
        getattr(task, kind)(log.append)
        task.unlink(log.append)
        task.unlink(log.append)  # it is gone: nothing happens
        task.join()
        impl.sleep(0)
    assert log == []


@pytest.mark.parametrize("kind", ["rawlink", "link", "link_value"])
def test_a_link_must_be_callable(impl, kind):
    with pytest.raises(TypeError):
        getattr(impl.Greenlet(), kind)("no function")


def test_links_are_told_in_the_order_in_which_they_came(impl, log):
    task = impl.spawn(lambda: None)
    for name in "abc":
        task.rawlink(lambda _, name=name: log.append(name))
    task.join()
    impl.sleep(0)
    assert log == ["a", "b", "c"]


def test_a_link_may_take_a_later_one_back(impl, log):
    task = impl.spawn(lambda: None)
    task.rawlink(lambda one: one.unlink(log.append))
    task.rawlink(log.append)
    task.join()
    impl.sleep(0)
    assert log == []


def test_a_link_may_add_another(impl, log):
    task = impl.spawn(lambda: None)
    task.rawlink(lambda one: one.rawlink(log.append))
    task.join()
    impl.sleep(0)
    assert log == [task]


def test_joinall_returns_each_as_often_as_it_was_given(impl):
    class Same(impl.Greenlet):
        __hash__ = None

        def __eq__(self, other):
            return self is other

    one, other = Same.spawn(), Same.spawn()
    came = impl.joinall([one, other, one])
    assert sorted(map(id, came)) == sorted(map(id, [one, other, one]))


def test_who_equals_others_can_be_killed_in_the_queue(impl):
    class Same(impl.Greenlet):
        __hash__ = impl.Greenlet.__hash__

        def __eq__(self, other):
            return self.args == other.args

        def _run(self):
            while True:
                impl.sleep(0)

    tasks = [Same.spawn() for _ in range(2)]
    impl.sleep(0)
    impl.killall(tasks)
    assert all(isinstance(one.value, impl.GreenletExit) for one in tasks)


def test_a_task_whose_callback_is_linked_may_wait_for_the_same(impl, log):
    dependency = impl.spawn(impl.sleep, 0)

    class Waiting(impl.Greenlet):
        callback = log.append

        def _run(self):
            dependency.join()
            log.append("joined")

    waiting = Waiting.spawn()
    impl.sleep(0)
    dependency.link(waiting.callback)
    waiting.join()
    impl.sleep(0)
    assert sorted(log, key=str) == [dependency, "joined"]


def test_exc_info_is_there_where_a_task_failed(impl, quiet):
    good, bad = impl.spawn(lambda: None), impl.spawn(boom)
    assert bad.exc_info is None
    impl.joinall([good, bad])
    kind, error, tb = bad.exc_info
    assert (kind, error) == (ValueError, bad.exception)
    while tb.tb_next is not None:
        tb = tb.tb_next
    assert tb.tb_frame.f_code.co_name == "boom"
    assert good.exc_info is None or good.exc_info[0] is None


def test_get_tells_where_the_task_failed_and_no_more_each_time(impl, quiet):
    task, lengths = impl.spawn(boom), []
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            task.get()
        names = [entry.name for entry in caught.traceback]
        assert names[-1] == "boom"
        lengths.append(len(names))
    assert lengths[1] == lengths[2]


def test_a_wrong_waker_of_join_is_an_error(impl, hub):
    task = impl.spawn(impl.sleep, 60)
    waiting = impl.spawn(task.join)
    impl.sleep(0)
    hub.loop.run_callback(waiting.switch, "not the task")
    with pytest.raises(impl.errors.InvalidSwitchError):
        waiting.get()
    task.kill()


def test_minimal_idents_are_small_and_differ(impl):
    tasks = [impl.Greenlet() for _ in range(3)]
    idents = [task.minimal_ident for task in tasks]
    assert len(set(idents)) == 3
    assert idents == [task.minimal_ident for task in tasks]
    assert all(0 <= ident < 1000 for ident in idents)


def test_a_minimal_ident_comes_back_when_its_owner_died(impl):
    tasks = [impl.Greenlet() for _ in range(3)]
    idents = sorted(task.minimal_ident for task in tasks)
    del tasks
    gc.collect()
    again = [impl.Greenlet() for _ in range(3)]
    assert max(task.minimal_ident for task in again) <= idents[-1]


def test_a_task_has_a_name_and_may_be_given_another(impl):
    task = impl.Greenlet()
    assert task.name == f"Greenlet-{task.minimal_ident}"
    task.name = "reader"
    assert task.name == "reader"


def test_has_links_tells_whether_anybody_wants_to_be_told(impl, log):
    task = impl.spawn(lambda: None)
    assert not task.has_links()
    task.rawlink(log.append)
    assert task.has_links()
    task.unlink(log.append)
    assert not task.has_links()
    task.join()


# -- A task in a with block


def test_the_end_of_a_with_block_waits_for_the_task(impl):
    with impl.spawn(lambda: (impl.sleep(0), "value")) as task:
        assert isinstance(task, impl.Greenlet)
        assert not task.ready()
    assert task.value == (None, "value")


def test_a_with_block_that_fails_ends_the_task(impl, quiet):
    error = KeyError("in the block")
    with pytest.raises(KeyError, match="in the block"):
        with impl.spawn(impl.sleep, 60) as task:
            impl.sleep(0)
            raise error
    assert task.dead
    assert task.exception is error


def test_an_alarm_at_the_end_of_a_with_block_ends_the_task(impl):
    task = impl.spawn(impl.sleep, 60)
    with impl.Timeout(0.001, False), task:
        pass
    assert task.dead
    assert isinstance(task.value, impl.GreenletExit)


# -- spawn_raw


def test_spawn_raw_starts_a_bare_greenlet(impl, hub, log):
    raw = impl.spawn_raw(lambda *a, **k: log.append((a, k)), 1, b=2)
    assert not isinstance(raw, impl.Greenlet)
    assert raw.parent is hub and raw.loop is hub.loop
    assert log == []
    impl.sleep(0)
    assert log == [((1,), {"b": 2})]
    assert raw.dead


def test_an_error_in_a_bare_greenlet_is_printed(impl, quiet):
    impl.spawn_raw(boom)
    impl.sleep(0)
    assert "ValueError: boom" in quiet.getvalue()


def test_the_message_names_the_bare_greenlet_that_failed(impl, quiet):
    def work():
        impl.sleep(0)
        boom()

    def others():
        for _ in range(3):  # one of these hands over to it
            impl.sleep(0)

    task = impl.spawn(others)
    raw = impl.spawn_raw(work)
    task.join()
    assert f"{id(raw):#x}" in quiet.getvalue()


def test_spawn_raw_refuses_what_cannot_run(impl):
    with pytest.raises(TypeError):
        impl.spawn_raw("no function")


# -- kill


def test_kill_raises_where_it_waits_and_waits_for_the_end(impl, log):
    def work():
        try:
            impl.sleep(60)
        finally:
            log.append("cleaned up")

    task = impl.spawn(work)
    impl.sleep(0)
    task.kill()
    assert log == ["cleaned up"]
    assert isinstance(task.value, impl.GreenletExit)
    assert task.successful()


def test_kill_without_block_returns_before_the_end(impl):
    task = impl.spawn(impl.sleep, 60)
    impl.sleep(0)
    task.kill(block=False)
    assert not task.dead
    task.join()
    assert task.dead


def test_a_task_killed_before_it_began_never_runs(impl, log):
    task = impl.spawn(log.append, "ran")
    task.kill()
    impl.sleep(0)
    assert log == []
    assert task.dead and task.ready()
    assert isinstance(task.get(), impl.GreenletExit)


def test_kill_of_one_that_was_never_started(impl, log):
    task = impl.Greenlet(log.append, "ran")
    task.kill()
    task.start()
    impl.sleep(0)
    assert log == []
    assert task.dead


def test_kill_with_an_error_of_ones_own(impl, quiet):
    task = impl.spawn(impl.sleep, 60)
    impl.sleep(0)
    task.kill(KeyError("why"))
    assert isinstance(task.exception, KeyError)
    assert not task.successful()


def test_kill_takes_an_error_in_three_parts(impl, quiet):
    error = KeyError("why")
    task = impl.spawn(impl.sleep, 60)
    impl.sleep(0)
    task.kill((KeyError, error, None))
    assert task.exception is error


def test_kill_with_what_is_no_exception_is_a_type_error(impl, quiet):
    task = impl.spawn(impl.sleep, 60)
    impl.sleep(0)
    task.kill("no exception", block=False)
    impl.sleep(0)
    assert "TypeError: exceptions must be" in quiet.getvalue()
    task.kill()
    assert task.dead


def test_kill_of_a_dead_one_does_nothing(impl):
    task = impl.spawn(lambda: 1)
    task.join()
    task.kill()
    assert task.value == 1


def test_a_task_may_refuse_to_die(impl):
    def stay():
        try:
            impl.sleep(60)
        except impl.GreenletExit:
            impl.sleep(0)
            return "stayed"

    task = impl.spawn(stay)
    impl.sleep(0)
    task.kill()
    assert task.value == "stayed"


def test_the_function_kill_does_not_wait(impl):
    task = impl.spawn(impl.sleep, 60)
    impl.sleep(0)
    impl.kill(task)
    assert not task.dead
    impl.sleep(0)
    assert task.dead


def test_the_function_kill_stops_a_start(impl, log):
    task = impl.spawn(log.append, "ran")
    impl.kill(task)
    impl.sleep(0)
    assert log == [] and task.dead


def test_an_error_that_kills_before_the_start_is_printed(impl, quiet):
    task = impl.spawn(pytest.fail)
    task.kill(KeyError("early"))
    assert "KeyError" in quiet.getvalue()
    with pytest.raises(KeyError):
        task.get()


def test_killall_gives_up_with_a_timeout(impl):
    def stay():
        while True:
            try:
                impl.sleep(60)
            except impl.GreenletExit:
                if done:
                    raise

    done = []
    task = impl.spawn(stay)
    impl.sleep(0)
    with pytest.raises(impl.Timeout):
        impl.killall([task], timeout=0.001)
    done.append(True)
    task.kill()


def test_killall_ends_the_started_and_the_others(impl, log):
    tasks = [impl.spawn(impl.sleep, 60) for _ in range(2)]
    impl.sleep(0)
    tasks.append(impl.spawn(log.append, "ran"))
    impl.killall(tasks)
    assert all(task.dead for task in tasks)
    assert log == []


def test_kill_and_killall_end_bare_greenlets_too(impl, log):
    def work():
        try:
            impl.sleep(60)
        finally:
            log.append("cleaned up")

    raw = [impl.spawn_raw(work) for _ in range(2)]
    impl.sleep(0)
    impl.killall(raw)
    assert log == ["cleaned up"] * 2
    assert all(one.dead for one in raw)
    impl.kill(raw[0])
    impl.sleep(0)


def test_killall_without_block_returns_before_the_end(impl):
    tasks = [impl.spawn(impl.sleep, 60) for _ in range(2)]
    impl.sleep(0)
    impl.killall(iter(tasks), block=False)
    assert not any(task.dead for task in tasks)
    impl.sleep(0)
    assert all(task.dead for task in tasks)


# -- joinall


def test_joinall_returns_the_finished_in_order(impl):
    slow = impl.spawn(impl.sleep, 0.01)
    fast = impl.spawn(impl.sleep, 0)
    assert impl.joinall([slow, fast]) == [fast, slow]


def test_joinall_of_none_returns_at_once(impl):
    assert list(impl.joinall([])) == []


def test_joinall_may_wait_for_some(impl):
    slow, fast = impl.spawn(impl.sleep, 60), impl.spawn(lambda: None)
    assert impl.joinall([slow, fast], count=1) == [fast]
    slow.kill()


def test_joinall_gives_up(impl):
    slow, fast = impl.spawn(impl.sleep, 60), impl.spawn(lambda: None)
    assert impl.joinall([slow, fast], timeout=0.01) == [fast]
    slow.kill()


def test_joinall_raises_the_first_error_if_asked(impl, quiet):
    slow = impl.spawn(impl.sleep, 60)
    with pytest.raises(ValueError, match="boom"):
        impl.joinall([slow, impl.spawn(boom)], raise_error=True)
    impl.joinall([impl.spawn(boom)])
    slow.kill()


# -- wait and iwait


def test_wait_returns_the_finished_in_order(impl):
    slow, fast = impl.spawn(impl.sleep, 60), impl.spawn(lambda: None)
    assert impl.wait([slow, fast], count=1) == [fast]
    assert impl.wait([slow, fast], timeout=0.001) == [fast]
    assert impl.wait([]) == []
    slow.kill()


def test_iwait_keeps_those_that_come_while_nobody_waits(impl):
    tasks = [impl.spawn(lambda: None) for _ in range(3)]
    came = []
    for one in impl.iwait(tasks):
        impl.sleep(0.001)
        came.append(one)
    assert came == tasks


def test_iwait_gives_up(impl):
    slow, fast = impl.spawn(impl.sleep, 60), impl.spawn(lambda: None)
    assert list(impl.iwait([slow, fast], timeout=0.001)) == [fast]
    assert list(impl.iwait([slow], timeout=0)) == []
    slow.kill()


def test_iwait_may_wait_for_some(impl):
    tasks = [impl.spawn(lambda: None) for _ in range(3)]
    assert list(impl.iwait(tasks, count=1)) == tasks[:1]
    assert list(impl.iwait(tasks, count=0)) == []
    assert list(impl.iwait([])) == []


def test_the_with_block_of_iwait_takes_its_links_back(impl):
    links = []

    class Linkable:
        def rawlink(self, callback):
            links.append(callback)
            impl.get_hub().loop.run_callback(callback, self)

        def unlink(self, callback):
            links.remove(callback)

    one, other = Linkable(), Linkable()
    with impl.iwait([one, other]) as arrivals:
        for arrived in arrivals:
            assert arrived is one
            break
    assert links == []


# -- The hub's end


def test_wait_for_nothing_waits_until_nothing_is_left(impl, log):
    impl.spawn_later(0.001, log.append, "last")
    assert impl.wait() is True
    assert log == ["last"]
    assert list(impl.iwait(None)) == [True]


def test_join_gives_up_while_something_is_left(impl, hub):
    task = impl.spawn(impl.sleep, 60)
    assert hub.join(timeout=0.001) is False
    assert impl.wait(timeout=0.001) is False
    task.kill()
    assert hub.join(timeout=60) is True


def test_the_hub_can_be_joined_again(impl, hub, log):
    for n in range(2):
        impl.spawn(log.append, n)
        assert hub.join()
    assert log == [0, 1]


def test_only_the_main_greenlet_joins_the_hub(impl, hub, quiet):
    with pytest.raises(AssertionError):
        impl.spawn(hub.join).get()


def in_a_thread(work):
    """Return what *work* returns in a thread of its own."""
    box = []
    thread = threading.Thread(target=lambda: box.append(work()))
    thread.start()
    thread.join()
    return box[0]


@pytest.mark.parametrize("begun", [False, True])
def test_a_destroyed_hub_has_no_loop_and_the_next_is_new(impl, begun):
    def work():
        first = impl.get_hub()
        if begun:
            impl.sleep(0)
        first.destroy(destroy_loop=True)
        second = impl.get_hub()
        impl.sleep(0.001)
        second.destroy(destroy_loop=True)
        return first, second

    first, second = in_a_thread(work)
    assert first.loop is None
    assert second is not first


def test_a_destroyed_hub_can_leave_its_loop_to_the_next(impl):
    def work():
        hub = impl.get_hub()
        loop = hub.loop
        impl.sleep(0)
        hub.destroy(destroy_loop=False)
        kept = impl.get_hub().loop is loop
        impl.sleep(0.001)
        impl.get_hub().destroy(destroy_loop=True)
        return kept

    assert in_a_thread(work)


def test_destroy_gives_the_descriptors_back(impl):
    def work():
        impl.sleep(0.001)
        impl.get_hub().destroy(destroy_loop=True)
        return len(os.listdir("/proc/self/fd"))

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("no /proc to count descriptors in")
    assert len({in_a_thread(work) for _ in range(5)}) == 1


# -- sleep


def test_sleep_zero_lets_each_of_the_others_run_once(impl, log):
    def work(name):
        for _ in range(2):
            log.append(name)
            impl.sleep(0)

    impl.joinall([impl.spawn(work, "a"), impl.spawn(work, "b")])
    assert log == ["a", "b", "a", "b"]


def test_idle_lets_all_run_that_can(impl, log):
    def busy():
        for _ in range(40):
            impl.sleep(0)
            log.append("busy")

    task = impl.spawn(busy)
    impl.hub.idle()
    log.append("idle")
    task.join()
    assert log == ["busy"] * 40 + ["idle"]


def test_sleepers_wake_in_the_order_of_their_times(impl, log):
    def sleeper(seconds):
        impl.sleep(seconds)
        log.append(seconds)

    # The shortest begins first: however slow the machine, it is due first.
    impl.joinall([impl.spawn(sleeper, n / 500) for n in (1, 2, 3)])
    assert log == [0.002, 0.004, 0.006]


# -- Timeout


def test_a_timeout_raises_itself(impl):
    timeout = impl.Timeout(0.001)
    with pytest.raises(impl.Timeout) as caught, timeout:
        impl.sleep(60)
    assert caught.value is timeout
    assert str(timeout) == "0.001 seconds"


def test_a_timeout_in_time_raises_nothing(impl):
    with impl.Timeout(60) as timeout:
        assert timeout.pending
        impl.sleep(0)
    assert not timeout.pending
    impl.sleep(0.001)


def test_a_silent_timeout_ends_the_block(impl, log):
    with impl.Timeout(0.001, False):
        impl.sleep(60)
        log.append("not reached")
    assert log == []


def test_a_timeout_may_raise_another_error(impl):
    with pytest.raises(KeyError), impl.Timeout(0.001, KeyError):
        impl.sleep(60)
    with pytest.raises(KeyError, match="own"):
        with impl.Timeout(0.001, KeyError("own")):
            impl.sleep(60)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1,), "1 second"),
        ((2,), "2 seconds"),
        ((2, False), "2 seconds (silent)"),
        ((1, "too slow"), "1 second: too slow"),
        ((None,), ""),
    ],
)
def test_a_timeout_says_how_long_it_was(impl, arguments, text):
    assert str(impl.Timeout(*arguments)) == text


def test_a_timeout_with_a_text_raises_itself(impl):
    with pytest.raises(impl.Timeout, match="too slow"):
        with impl.Timeout(0.001, "too slow"):
            impl.sleep(60)


def test_a_timeout_of_none_never_rings(impl):
    with impl.Timeout(None) as timeout:
        impl.sleep(0.001)
        assert not timeout.pending


def test_the_outer_timeout_is_not_the_inner_ones(impl):
    outer, inner = impl.Timeout(0.001), impl.Timeout(60, False)
    with pytest.raises(impl.Timeout) as caught, outer:
        with inner:
            impl.sleep(60)
    assert caught.value is outer


@pytest.mark.parametrize(("priority", "came"), [(-1, ["data"]), (1, [])])
def test_a_timeout_of_low_priority_lets_data_go_first(
    impl, hub, log, priority, came
):
    with impl.Timeout(0.001, False, priority=priority):
        hub.loop.timer(0.001).start(log.append, "data")
        time.sleep(0.005)  # both are due when the loop turns
        impl.sleep(60)
    assert log == came
    impl.sleep(0.001)


def test_an_alarm_may_come_in_the_turn_in_which_a_sleeper_is_due(impl, hub):
    with impl.Timeout(0, False, priority=1):
        impl.sleep(1e-9)
    hub.loop.verify()


def test_a_timeout_is_no_exception_but_a_base_exception(impl):
    assert not issubclass(impl.Timeout, Exception)
    with pytest.raises(impl.Timeout), impl.Timeout(0.001):
        try:
            impl.sleep(60)
        except Exception:
            pytest.fail("caught by except Exception")


def test_start_new_starts_and_cancel_stops(impl):
    timeout = impl.Timeout.start_new(0.001)
    assert timeout.pending
    timeout.cancel()
    impl.sleep(0.002)
    timeout.close()


def test_a_timeout_cannot_be_started_twice(impl):
    timeout = impl.Timeout.start_new(60)
    with pytest.raises(AssertionError):
        timeout.start()
    timeout.cancel()


def test_a_cancelled_timeout_can_be_started_again(impl):
    timeout = impl.Timeout.start_new(60)
    timeout.cancel()
    timeout.start()
    assert timeout.pending
    timeout.close()


def test_a_closed_timeout_can_not(impl):
    timeout = impl.Timeout(60)
    with timeout:
        pass
    assert not timeout.pending
    with pytest.raises(AssertionError):
        timeout.start()
    timeout.close()


def test_start_new_takes_a_timeout_too(impl):
    timeout = impl.Timeout(60)
    for _ in range(2):
        assert impl.Timeout.start_new(timeout) is timeout
        assert timeout.pending
    timeout.close()


def test_with_starts_a_timeout_that_is_started_no_second_time(impl):
    with impl.Timeout.start_new(60) as timeout:
        assert timeout.pending
    assert not timeout.pending


def test_a_timeout_of_zero_rings_at_the_next_wait(impl):
    timeout = impl.Timeout.start_new(0)
    with pytest.raises(impl.Timeout) as caught:
        impl.sleep(60)
    assert caught.value is timeout


def test_the_inner_timeout_rings_and_the_outer_one_goes_on(impl):
    with impl.Timeout(60) as outer:
        with impl.Timeout(0.001, False):
            impl.sleep(60)
        assert outer.pending
    assert not outer.pending


def test_a_silent_outer_timeout_passes_through_the_inner_one(impl, log):
    with impl.Timeout(0.001, False):
        with impl.Timeout(60, False):
            impl.sleep(60)
        log.append("not reached")
    assert log == []


def test_a_silent_timeout_lets_other_errors_through(impl):
    with pytest.raises(KeyError), impl.Timeout(60, False):
        raise KeyError


def test_a_timeout_rings_in_the_greenlet_that_started_it(impl):
    def wait():
        with impl.Timeout(0.001, KeyError("mine")):
            impl.sleep(60)

    task = impl.spawn(wait)
    with pytest.raises(KeyError, match="mine"):
        task.get()


def test_with_timeout_returns_what_the_function_returns(impl):
    def work(*args, **kwargs):
        impl.sleep(0)
        return args, kwargs

    assert impl.with_timeout(60, work, 1, b=2) == ((1,), {"b": 2})
    assert impl.with_timeout(None, work) == ((), {})


def test_with_timeout_gives_up(impl):
    with pytest.raises(impl.Timeout):
        impl.with_timeout(0.001, impl.sleep, 60)
    for value in ("late", None):
        assert value == impl.with_timeout(
            0.001, impl.sleep, 60, timeout_value=value
        )


def test_with_timeout_swallows_no_other_alarm(impl):
    with pytest.raises(impl.Timeout) as caught, impl.Timeout(0.001) as outer:
        impl.with_timeout(60, impl.sleep, 60, timeout_value="late")
    assert caught.value is outer


# -- Whole programs, each in a process of its own

CTRL_C_AT_EACH_LINE = """
import signal, sys
import evening, evening.socket
from evening.hub import get_hub

signal.signal(signal.SIGINT, signal.default_int_handler)

def spin(n):
    for _ in range(2):
        evening.sleep(0)
    return n

def read(sock):
    return sock.recv(1)

def press_at(moment):
    # Whoever is asked by the handler is to be a line of evening's own.
    line = [0]
    def trace(frame, event, _):
        if frame.f_globals.get("__package__") != "evening":
            return None
        line[0] += event == "line"
        if line[0] == moment:
            line[0] += 1
            signal.raise_signal(signal.SIGINT)
        return trace
    return trace, line

def exchange(moment):
    left, right = evening.socket.socketpair()
    tasks = []
    trace, line = press_at(moment)
    told = False
    try:
        tasks += [evening.spawn(spin, n) for n in range(2)]
        tasks.append(evening.spawn(read, left))
        tasks.append(evening.spawn(right.send, b"x"))
        sys.settrace(trace)
        evening.joinall(tasks)
        sys.settrace(None)
        evening.sleep(0)  # what came late is told now
    except KeyboardInterrupt:
        told = True
    sys.settrace(None)
    with evening.Timeout(5):
        assert [task.get() for task in tasks] == [0, 1, b"x", 1], moment
    loop = get_hub().loop
    loop.verify()
    assert told == (line[0] >= moment), moment
    left.close(), right.close()
    get_hub().destroy()
    return told

press_at.__globals__["__package__"] = "evening"
moment = 1
while exchange(moment):
    moment += 1
print(moment > 100)
"""


def test_a_ctrl_c_at_each_of_our_lines_reaches_the_main_program():
    child = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT_EACH_LINE],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (child.stdout, child.stderr) == ("True\n", "")


PROGRAMS = {
    "Ctrl-C while all sleep is raised in the main greenlet": (
        """
        import os, signal, threading, {impl}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def press():
            os.kill(os.getpid(), signal.SIGINT)
        other = {impl}.spawn({impl}.sleep, 30)
        presser = threading.Thread(target=press)
        {impl}.get_hub().loop.run_callback(presser.start)
        try:
            {impl}.sleep(30)
        except KeyboardInterrupt:
            print({impl}.getcurrent().parent, other.dead)
        {impl}.sleep(0.001)
        """,
        "None False\n",
    ),
    "a signal spawns its handler until that is cancelled": (
        """
        import os, signal, {impl}
        from {impl}.event import Event
        told = Event()
        def handle(*args, **kwargs):
            {impl}.sleep(0)
            print(args, kwargs)
            told.set()
        def send():
            os.kill(os.getpid(), signal.SIGURG)
        handler = {impl}.signal_handler(signal.SIGURG, handle, 1, b=2)
        for _ in range(2):
            told.clear()
            {impl}.spawn(send)
            assert told.wait(10)
        handler.cancel()
        told.clear()
        send()
        print(told.wait(0.01))
        """,
        "(1,) {'b': 2}\n(1,) {'b': 2}\nFalse\n",
    ),
    "a forked child goes on with loops and tasks of its own": (
        """
        import os, sys, {impl}
        from {impl} import core
        hub = {impl}.get_hub()
        r, w = os.pipe()
        ours = hub.loop.io(r, core.READ)
        task = {impl}.spawn(hub.wait, ours)
        {impl}.sleep(0.001)
        pid = os.fork()
        if not pid:
            {impl}.reinit()
            print("child", {impl}.spawn({impl}.sleep, 0.001).get())
            hub.loop.run_callback_threadsafe(print, "child called")
            {impl}.sleep(0.001)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os.write(w, b"x")
        task.join(timeout=10)
        print("parent", status, task.successful(), flush=True)
        """,
        "child None\nchild called\nparent 0 True\n",
    ),
    "a KeyboardInterrupt while the hub sleeps ends the main program": (
        """
        import os, signal, {impl}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
        {impl}.spawn_later(0.01, interrupt)
        try:
            {impl}.sleep(30)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        "interrupted\n",
    ),
    "a hub that a task destroys leaves its thread the next one": (
        """
        import {impl}
        def destroy():
            {impl}.get_hub().destroy()
        try:
            {impl}.spawn(destroy).join()
        except BaseException:  # nobody is there to wake it
            print("told")
        print({impl}.spawn(int, "1").get())
        """,
        "told\n1\n",
    ),
    "the end of the main program drops what still waits": (
        """
        import {impl}
        def work():
            print("begun")
            {impl}.sleep(30)
            print("not reached")
        {impl}.spawn(work)
        {impl}.sleep(0)
        """,
        "begun\n",
    ),
    "each thread runs its own tasks": (
        """
        import threading, {impl}
        def work(name):
            {impl}.joinall([{impl}.spawn({impl}.sleep, 0.001)])
            print(name)
        threads = [threading.Thread(target=work, args=[n]) for n in "ab"]
        for thread in threads:
            thread.start()
            thread.join()
        """,
        "a\nb\n",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(impl, name):
    program, printed = PROGRAMS[name]
    program = program.replace("{impl}", impl.name).replace("\n        ", "\n")
    child = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    assert (child.returncode, child.stdout) == (0, printed)
