"""The contract of events and results: who waits for them, and who is told."""

import threading

import pytest


@pytest.fixture
def event(impl):
    return impl.event.Event()


@pytest.fixture
def result(impl):
    return impl.event.AsyncResult()


@pytest.fixture
def log():
    return []


@pytest.fixture
def quiet(impl):
    """Nowhere for the hub's tracebacks."""
    hub = impl.get_hub()
    before, hub.exception_stream = hub.exception_stream, None
    yield
    hub.exception_stream = before


# -- Event


def test_the_flag_goes_up_and_down(event):
    assert not event.is_set()
    event.set()
    assert event.is_set() and event.isSet() and event.ready()
    event.clear()
    assert not event.is_set()


def test_wait_returns_when_the_flag_goes_up(impl, event, log):
    waiting = impl.spawn(lambda: log.append(event.wait()))
    impl.sleep(0)
    assert log == []
    event.set()
    assert log == []  # nobody is switched to yet
    waiting.join()
    assert log == [True]


def test_wait_for_a_flag_that_is_up_does_not_switch(impl, event, log):
    task = impl.spawn(log.append, "other")
    event.set()
    assert event.wait() is True
    assert log == []
    task.join()


def test_wait_gives_up_and_says_so(impl, event):
    assert event.wait(timeout=0.001) is False
    assert event.wait(timeout=0) is False
    event.set()
    assert event.wait(timeout=0) is True


def test_wait_and_get_take_an_alarm_of_ones_own(impl, event, result):
    assert event.wait(timeout=impl.Timeout(0.001)) is False
    assert result.wait(timeout=impl.Timeout(0.001)) is None
    alarm = impl.Timeout(0.001)
    with pytest.raises(impl.Timeout) as caught:
        result.get(timeout=alarm)
    assert caught.value is alarm


def test_who_waits_wakes_in_the_order_of_coming(impl, event, log):
    def wait(n):
        event.wait()
        log.append(n)

    tasks = [impl.spawn(wait, n) for n in range(3)]
    impl.sleep(0)
    event.set()
    impl.joinall(tasks)
    assert log == [0, 1, 2]


def test_all_who_waited_wake_though_the_flag_is_down_again(impl, event):
    tasks = [impl.spawn(event.wait) for _ in range(2)]
    impl.sleep(0)
    event.set()
    event.clear()
    impl.joinall(tasks)
    assert [task.value for task in tasks] == [True, True]


def test_links_and_those_who_wait_are_told_in_the_order_of_coming(
    impl, event, log
):
    def wait(n):
        event.wait()
        log.append(n)

    tasks = [impl.spawn(wait, 1)]
    impl.sleep(0)
    event.rawlink(lambda _: log.append(2))
    tasks.append(impl.spawn(wait, 3))
    impl.sleep(0)
    event.set()
    impl.joinall(tasks)
    assert log == [1, 2, 3]


def test_who_is_killed_before_the_news_wakes_it_keeps_no_place(
    impl, event, log
):
    victim = impl.spawn(event.wait)
    other = impl.spawn(lambda: log.append(event.wait()))
    impl.sleep(0)
    impl.get_hub().loop.run_callback(victim.throw, impl.GreenletExit)
    event.set()  # both are to be woken, after that
    other.join()
    assert isinstance(victim.value, impl.GreenletExit)
    assert log == [True]
    impl.sleep(0)


def test_who_comes_while_others_are_woken_stands_behind_them(impl, event, log):
    def wait(name):
        event.wait()
        log.append(name)

    first = impl.spawn(wait, "waited")
    impl.sleep(0)
    event.set()
    wait("came late")
    assert log == ["waited", "came late"]
    first.join()


def test_who_waits_after_clear_waits_for_the_next_set(impl, event, log):
    def twice():
        for _ in range(2):
            event.wait()
            event.clear()
            log.append("woke")

    task = impl.spawn(twice)
    impl.sleep(0)
    event.set()
    impl.sleep(0)
    impl.sleep(0)
    assert log == ["woke"]
    event.set()
    task.join()
    assert log == ["woke", "woke"]


def test_two_play_ping_pong(impl, log):
    ping, pong = impl.event.Event(), impl.event.Event()

    def play(mine, other, name):
        for _ in range(3):
            mine.wait()
            mine.clear()
            log.append(name)
            other.set()

    tasks = [
        impl.spawn(play, ping, pong, "ping"),
        impl.spawn(play, pong, ping, "pong"),
    ]
    ping.set()
    impl.joinall(tasks)
    assert log == ["ping", "pong"] * 3


def test_one_who_was_killed_is_not_woken(impl, event, log):
    def wait(n):
        event.wait()
        log.append(n)

    tasks = [impl.spawn(wait, n) for n in range(2)]
    impl.sleep(0)
    tasks[0].kill()
    event.set()
    tasks[1].join()
    assert log == [1]


def test_a_wrong_waker_is_an_error(impl, event):
    waiting = impl.spawn(event.wait)
    impl.sleep(0)
    impl.get_hub().loop.run_callback(waiting.switch, "not the event")
    with pytest.raises(impl.errors.InvalidSwitchError):
        waiting.get()


def test_nobody_left_to_set_it_is_a_loop_exit(impl, event):
    with pytest.raises(impl.errors.LoopExit):
        event.wait()


def test_a_link_is_called_by_the_hub_once(impl, event, log):
    event.rawlink(lambda one: log.append((one, impl.getcurrent())))
    event.rawlink(event.unlink)
    for _ in range(2):
        event.set()
        impl.sleep(0)
    assert log == [(event, impl.get_hub())]


def test_a_link_to_a_flag_that_is_up_is_called(impl, event, log):
    event.set()
    event.rawlink(log.append)
    impl.sleep(0)
    assert log == [event]


def test_an_unlinked_callback_is_not_called(impl, event, log):
    event.rawlink(log.append)
    event.unlink(log.append)
    event.unlink(log.append)
    event.set()
    impl.sleep(0)
    assert log == []


def test_a_link_that_fails_does_not_stop_the_next(impl, event, log, quiet):
    event.rawlink(lambda one: 1 / 0)
    event.rawlink(log.append)
    event.set()
    impl.sleep(0)
    assert log == [event]


def test_a_link_that_links_itself_again_lets_others_run(impl):
    event = impl.event.Event()

    def link(one):
        if one.is_set():
            one.rawlink(link)

    event.rawlink(link)
    event.set()
    impl.sleep(0)
    impl.sleep(0)
    event.clear()


def test_an_event_may_be_made_before_there_is_a_hub(impl):
    made = []
    thread = threading.Thread(target=lambda: made.append(impl.event.Event()))
    thread.start()
    thread.join()
    impl.spawn(made[0].set)
    assert made[0].wait() is True


def test_another_thread_may_set_it(impl, event):
    bell = impl.get_hub().loop.async_()  # so the loop knows of the thread
    bell.start(lambda: None)
    thread = threading.Thread(target=event.set)
    impl.get_hub().loop.run_callback(thread.start)
    try:
        assert event.wait(timeout=20) is True
    finally:
        bell.close()
    thread.join()


def test_another_thread_may_not_wait_for_it(impl, event):
    errors = []

    def wait():
        try:
            event.wait()
        except impl.errors.InvalidThreadUseError as error:
            errors.append(error)

    mine = impl.spawn(event.wait)
    impl.sleep(0)
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert len(errors) == 1
    mine.kill()


# -- AsyncResult


def test_a_result_has_nothing_at_first(impl, result):
    assert not result.ready() and not result.successful()
    assert not result.done()
    assert (result.value, result.exception) == (None, None)
    assert result.exc_info == ()
    for ask in (result.get_nowait, lambda: result.get(block=False)):
        with pytest.raises(impl.Timeout):
            ask()


@pytest.mark.parametrize("value", ["value", None])
def test_a_value_is_kept(result, value):
    result.set(value)
    assert result.ready() and result.successful() and result.done()
    assert result.get() is result.get_nowait() is result.wait() is value
    assert result.value is result.result() is value
    assert result.exception is None


def test_an_error_is_kept_and_raised(result):
    error = KeyError("why")
    result.set_exception(error)
    assert result.ready() and not result.successful()
    assert (result.value, result.exception) == (None, error)
    assert result.exc_info[:2] == (KeyError, error)
    assert result.wait() is None
    for _ in range(2):
        with pytest.raises(KeyError, match="why"):
            result.get()


def test_all_who_wait_get_the_value_in_order(impl, result, log):
    tasks = [
        impl.spawn(lambda n=n: log.append((n, result.get()))) for n in (0, 1)
    ]
    impl.sleep(0)
    result.set("value")
    assert log == []
    impl.joinall(tasks)
    assert log == [(0, "value"), (1, "value")]


def test_the_error_is_raised_in_who_waits(impl, result, quiet):
    task = impl.spawn(result.get)
    impl.sleep(0)
    result.set_exception(KeyError("why"))
    with pytest.raises(KeyError, match="why"):
        task.get()


def test_get_gives_up_with_a_timeout_and_wait_in_silence(impl, result):
    with pytest.raises(impl.Timeout):
        result.get(timeout=0.001)
    with pytest.raises(impl.Timeout):
        result.result(timeout=0.001)
    assert result.wait(timeout=0.001) is None
    assert not result.ready()


def test_a_result_is_a_link(impl, result):
    impl.spawn(lambda: "value").link(result)
    assert result.get() == "value"


def test_a_result_is_a_raw_link_and_takes_the_traceback(impl, result, quiet):
    def boom():
        raise ValueError("boom")

    impl.spawn(boom).rawlink(result)
    with pytest.raises(ValueError, match="boom") as caught:
        result.get()
    assert caught.traceback[-1].name == "boom"


def test_a_result_passes_on_to_another(impl, result):
    other = impl.event.AsyncResult()
    result.rawlink(other)
    result.set("value")
    assert other.get() == "value"


def test_set_result_is_set_and_nobody_cancels(result):
    assert not result.cancel() and not result.cancelled()
    result.set_result("value")
    assert result.get() == "value"


# -- wait, iwait and joinall take them too


def test_wait_returns_the_ready_in_order(impl):
    slow = impl.spawn(impl.sleep, 60)
    second = impl.spawn_later(0.001, str)
    event = impl.event.Event()
    event.set()
    assert impl.wait([slow, second, event], count=2) == [event, second]
    assert impl.wait([slow, event], timeout=0.001) == [event]
    assert impl.wait([]) == []
    slow.kill()


def test_iwait_yields_each_when_it_is_ready(impl, log):
    event, task = impl.event.Event(), impl.spawn(log.append, "task ran")
    for one in impl.iwait([event, task]):
        log.append(one)
        event.set()
    assert log == ["task ran", task, event]


def test_wait_and_joinall_take_whatever_can_be_linked(impl, quiet):
    result = impl.event.AsyncResult()
    impl.spawn(lambda: 1 / 0).link(result)
    assert impl.wait([result]) == [result]
    with pytest.raises(ZeroDivisionError):
        impl.joinall([result], raise_error=True)
