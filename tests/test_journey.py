"""A byte goes down the stairs and up again, one short function a step."""

from journey import stations


def test_the_stations_of_a_byte_in_their_order():
    assert stations() == [
        ("socket", "socket.recv"),
        ("kernel", "recv"),  # there is nothing yet
        ("hub", "wait_on_readiness"),
        ("core", "Loop.fd_change"),
        ("core", "Callback.switch"),  # nobody else is due: it's the mark
        ("greenlet", "Loop.home"),  # the reader's stack is put down
        ("core", "Loop._fd_reify"),
        ("kernel", "Epoll.modify"),
        ("kernel", "Epoll.poll"),  # here the byte comes
        ("core", "queue.append"),  # the reader is due
        ("core", "Loop._run_callbacks"),
        ("greenlet", "greenlet.switch"),  # and its stack taken up again
        ("kernel", "recv"),
        ("socket", "recv: b'x'"),
    ]
