"""A byte goes down the stairs and up again, one short function a step."""

from journey import stations


def test_the_stations_of_a_byte_in_their_order():
    assert stations() == [
        ("socket", "recv(1)"),
        ("socket", "socket._wait"),  # the kernel has nothing yet
        ("hub", "Hub.wait"),
        ("core", "Watcher.start"),
        ("hub", "Waiter.get"),
        ("greenlet", "Hub.switch"),  # the reader's stack is put down
        ("core", "Loop._fd_reify"),
        ("kernel", "Epoll.modify"),
        ("kernel", "Epoll.poll"),  # here the byte comes
        ("core", "Loop._fd_event"),
        ("core", "Loop._invoke_pending"),
        ("hub", "Waiter.switch"),
        ("greenlet", "Greenlet.switch"),  # and taken up again
        ("socket", "recv: b'x'"),
    ]
