"""The contract of layer 4: sockets whose waiting lets others run."""

import errno
import gc
import os
import socket as standard
import weakref

import pytest

from evening import socket as ours

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def listener(impl):
    sock = impl.socket.socket(standard.AF_INET, standard.SOCK_STREAM)
    sock.bind(LOOPBACK)
    sock.listen()
    yield sock
    sock.close()


@pytest.fixture
def pair(impl):
    ends = impl.socket.socketpair()
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def log():
    return []


def fill(sock):
    """Send until the kernel takes no more; return how much it took."""
    sent = 0
    sock.setblocking(False)
    try:
        while True:
            sent += sock.send(b"x" * 65536)
    except BlockingIOError:
        return sent
    finally:
        sock.setblocking(True)


# -- A connection


def test_an_echo_server_serves_two_at_once(impl, listener, log):
    def echo(conn):
        while data := conn.recv(100):
            conn.sendall(data.upper())
        conn.close()

    def serve():
        while True:
            conn, _ = listener.accept()
            impl.spawn(echo, conn)

    server = impl.spawn(serve)
    clients = [
        impl.socket.create_connection(listener.getsockname()) for _ in range(2)
    ]
    for word in (b"one", b"two"):
        for client in clients:
            client.sendall(word)
        log += [client.recv(100) for client in clients]
    for client in clients:
        client.close()
    server.kill()
    assert log == [b"ONE", b"ONE", b"TWO", b"TWO"]


def test_accept_gives_a_cooperative_socket_and_the_peers_address(
    impl, listener
):
    client = impl.socket.create_connection(listener.getsockname())
    conn, address = listener.accept()
    assert isinstance(conn, impl.socket.socket)
    assert address == client.getsockname()
    client.close()
    conn.close()


def test_accept_waits_for_a_client(impl, listener, log):
    task = impl.spawn(lambda: log.append(listener.accept()[0]))
    impl.sleep(0)
    assert log == []
    client = impl.socket.create_connection(listener.getsockname())
    task.join()
    assert log[0].getpeername() == client.getsockname()
    log[0].close()
    client.close()


def test_connect_to_nobody_is_refused(impl, listener):
    address = listener.getsockname()
    listener.close()
    sock = impl.socket.socket()
    with pytest.raises(ConnectionRefusedError):
        sock.connect(address)
    sock.close()
    sock = impl.socket.socket()
    assert sock.connect_ex(address) == errno.ECONNREFUSED
    sock.close()
    with pytest.raises(ConnectionRefusedError):
        impl.socket.create_connection(address)


def test_create_connection_may_tell_all_errors(impl, listener):
    address = listener.getsockname()
    listener.close()
    with pytest.raises(ExceptionGroup) as caught:
        impl.socket.create_connection(address, all_errors=True)
    assert all(
        isinstance(error, ConnectionRefusedError)
        for error in caught.value.exceptions
    )


def test_a_failed_create_connection_leaves_no_cycle(impl, listener):
    address = listener.getsockname()
    listener.close()

    class Host(str):
        """A host name that tells when it is forgotten."""

    host = Host(address[0])
    gone = weakref.ref(host)
    gc.disable()
    try:
        with pytest.raises(ConnectionRefusedError):
            impl.socket.create_connection((host, address[1]))
        del host
        assert gone() is None
    finally:
        gc.enable()


def test_create_connection_sets_timeout_and_source(impl, listener):
    client = impl.socket.create_connection(
        listener.getsockname(), timeout=5, source_address=LOOPBACK
    )
    assert client.gettimeout() == 5
    client.close()


def test_a_connect_that_nobody_answers_times_out(impl):
    listener = standard.socket()
    listener.bind(LOOPBACK)
    listener.listen(0)
    waiting = []
    try:
        with pytest.raises(TimeoutError):
            for _ in range(10):  # the backlog is full after one or two
                sock = impl.socket.socket()
                waiting.append(sock)
                sock.settimeout(0.05)
                sock.connect(listener.getsockname())
    finally:
        for sock in waiting:
            sock.close()
        listener.close()


# -- Reading


def test_recv_lets_others_run_until_data_comes(impl, pair, log):
    left, right = pair
    task = impl.spawn(lambda: log.append(left.recv(10)))
    impl.sleep(0)
    log.append("meanwhile")
    right.sendall(b"data")
    task.join()
    assert log == ["meanwhile", b"data"]


def test_recv_of_what_is_there_does_not_wait(impl, pair, log):
    left, right = pair
    right.sendall(b"data")
    other = impl.spawn(log.append, "other")
    assert left.recv(10) == b"data"
    assert log == []
    other.join()


def test_recv_gives_no_more_than_asked(pair):
    left, right = pair
    right.sendall(b"abcdef")
    assert left.recv(4) == b"abcd"
    assert left.recv(4) == b"ef"


def test_recv_at_the_end_is_empty(pair):
    left, right = pair
    right.close()
    assert left.recv(10) == b""


def test_recv_into_fills_a_buffer(impl, pair):
    left, right = pair
    buffer = bytearray(8)
    task = impl.spawn(left.recv_into, buffer)
    impl.sleep(0)
    right.sendall(b"data")
    assert task.get() == 4
    assert buffer == b"data\0\0\0\0"


def test_half_a_close_still_reads(impl, pair):
    left, right = pair
    left.sendall(b"ask")
    left.shutdown(standard.SHUT_WR)
    assert right.recv(10) == b"ask"
    assert right.recv(10) == b""
    right.sendall(b"answer")
    assert left.recv(10) == b"answer"


def test_two_readers_of_one_socket_are_refused(impl, pair):
    left, right = pair
    first = impl.spawn(left.recv, 1)
    impl.sleep(0)
    with pytest.raises(impl.errors.ConcurrentObjectUseError):
        left.recv(1)
    right.sendall(b"x")
    assert first.get() == b"x"


def test_one_may_read_while_another_writes(impl, pair):
    left, right = pair
    reader = impl.spawn(left.recv, 10)
    fill(left)
    writer = impl.spawn(left.sendall, b"more")
    impl.sleep(0)
    right.sendall(b"for the reader")
    assert reader.get() == b"for the re"
    while not writer.ready():
        right.recv(1 << 20)
        impl.sleep(0)
    writer.get()


# -- Writing


def test_sendall_waits_until_all_is_taken(impl, pair):
    left, right = pair
    data = os.urandom(3_000_000)
    task = impl.spawn(left.sendall, data)
    received = bytearray()
    while len(received) < len(data):
        received += right.recv(1 << 16)
    task.get()
    assert received == data


def test_sendall_takes_any_buffer(pair):
    left, right = pair
    left.sendall(memoryview(b"abcd").cast("H"))
    left.sendall(bytearray(b"ef"))
    left.sendall(b"")
    assert right.recv(10) == b"abcdef"


def test_send_says_how_much_was_taken(impl, pair):
    left, right = pair
    assert left.send(b"abc") == 3
    fill(left)
    task = impl.spawn(left.send, b"x" * 65536)
    impl.sleep(0)
    assert not task.ready()
    while not task.ready():
        right.recv(1 << 20)
        impl.sleep(0)
    assert 0 < task.get() <= 65536


def test_a_peer_that_is_gone_breaks_the_pipe(pair):
    left, right = pair
    right.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        left.sendall(b"x" * 1_000_000)


# -- Timeouts


def test_recv_times_out(pair):
    pair[0].settimeout(0.001)
    with pytest.raises(TimeoutError, match="timed out"):
        pair[0].recv(1)


def test_accept_times_out(listener):
    listener.settimeout(0.001)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_the_timeout_of_sendall_is_for_the_whole(impl, pair):
    left, right = pair
    left.settimeout(0.1)

    def sip():  # each sip makes room before the time is over
        while True:
            right.recv(200_000)
            impl.sleep(0.03)

    sipper = impl.spawn(sip)
    with pytest.raises(TimeoutError):
        left.sendall(b"x" * 10_000_000)
    sipper.kill()


def test_a_timeout_in_time_leaves_no_alarm(impl, pair):
    left, right = pair
    loop = impl.get_hub().loop
    before = loop.activecnt
    left.settimeout(60)
    task = impl.spawn(left.recv, 1)
    impl.sleep(0)
    right.sendall(b"x")
    assert task.get() == b"x"
    impl.sleep(0)
    assert loop.activecnt == before


def test_a_timeout_of_zero_does_not_wait(pair):
    left, _ = pair
    left.settimeout(0)
    assert left.getblocking() is False
    with pytest.raises(BlockingIOError):
        left.recv(1)
    left.setblocking(True)
    assert left.gettimeout() is None


def test_a_timeout_of_zero_reads_what_is_there(pair):
    left, right = pair
    right.sendall(b"x")
    left.settimeout(0)
    assert left.timeout == 0
    assert left.recv(1) == b"x"


def test_a_connect_that_may_not_wait_says_that_it_goes_on(impl, listener):
    for method in ("connect", "connect_ex"):
        with impl.socket.socket() as sock:
            sock.settimeout(0)
            try:
                number = getattr(sock, method)(listener.getsockname())
            except BlockingIOError as error:
                number = error.errno
            assert number == errno.EINPROGRESS


def test_a_unix_connect_to_a_full_backlog_fails(tmp_path):
    # Ours only: gevent tries again without end.
    listener = standard.socket(standard.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(0)
    socks = [ours.socket(standard.AF_UNIX) for _ in range(3)]
    try:
        with pytest.raises(BlockingIOError):
            for sock in socks:
                sock.connect(str(tmp_path / "s"))
    finally:
        for sock in [listener, *socks]:
            sock.close()


def test_a_connect_that_is_killed_leaves_no_descriptor(impl):
    listener = standard.socket()
    listener.bind(LOOPBACK)
    listener.listen(0)
    address = listener.getsockname()
    tasks = [
        impl.spawn(impl.socket.create_connection, address) for _ in range(4)
    ]
    impl.joinall(tasks, timeout=0.01)
    connected = [task for task in tasks if task.ready()]
    impl.killall(tasks)
    gc.collect()
    for task in connected:
        task.value.close()
    listener.close()
    assert len(connected) < len(tasks)


def test_a_negative_timeout_is_refused(pair):
    with pytest.raises(ValueError, match="out of range"):
        pair[0].settimeout(-1)


def test_new_sockets_take_the_default_timeout(impl):
    before = standard.getdefaulttimeout()
    try:
        standard.setdefaulttimeout(3)
        with impl.socket.socket() as sock:
            assert sock.gettimeout() == 3
    finally:
        standard.setdefaulttimeout(before)


# -- Close


def test_a_socket_closed_while_another_reads_tells_the_reader(impl, pair):
    left, _ = pair
    reader = impl.spawn(left.recv, 1)
    impl.sleep(0)
    left.close()
    with pytest.raises(impl.socket.cancel_wait_ex) as caught:
        reader.get()
    assert caught.value.errno == errno.EBADF


def test_a_closed_socket_can_do_no_more(pair):
    left, _ = pair
    left.close()
    assert left.fileno() == -1
    with pytest.raises(OSError) as caught:
        left.recv(1)
    assert caught.value.errno == errno.EBADF
    left.close()


def test_the_with_block_closes(impl):
    with impl.socket.socket() as sock:
        assert sock.fileno() >= 0
    assert sock.fileno() == -1


def test_detach_gives_the_descriptor_away(impl):
    left, right = impl.socket.socketpair()
    fd = left.detach()
    assert left.fileno() == -1
    right.sendall(b"x")
    assert os.read(fd, 1) == b"x"
    os.close(fd)
    right.close()


def test_descriptors_that_come_back_are_watched(impl):
    for _ in range(20):
        left, right = impl.socket.socketpair()
        task = impl.spawn(left.recv, 1)
        impl.sleep(0)
        right.sendall(b"x")
        assert task.get() == b"x"
        left.close()
        right.close()


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="counts by /proc"
)
def test_no_path_leaks_a_descriptor(impl, listener):
    def visit(n):
        client = impl.socket.create_connection(listener.getsockname())
        conn, _ = listener.accept()
        if n % 3 == 0:
            conn.settimeout(0.001)
            with pytest.raises(TimeoutError):
                conn.recv(1)
        elif n % 3 == 1:
            task = impl.spawn(conn.recv, 1)
            impl.sleep(0)
            conn.close()
            task.join()
        client.close()
        conn.close()

    hub = impl.get_hub()
    before_stream, hub.exception_stream = hub.exception_stream, None
    visit(0)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for n in range(30):
        visit(n)
    impl.sleep(0)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    hub.exception_stream = before_stream


def test_what_never_waits_is_the_standard_librarys(impl):
    assert impl.socket.AF_INET is standard.AF_INET
    assert impl.socket.timeout is TimeoutError
    with pytest.raises(AttributeError):
        _ = impl.socket.no_such_name
