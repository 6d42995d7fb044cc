"""The contract of layer 4: sockets whose waiting lets others run."""

import _socket
import errno
import functools
import gc
import io
import os
import pickle
import socket as standard
import struct
import subprocess
import sys
import threading
import weakref
from array import array
from pathlib import Path

import pytest

import evening
from conftest import need
from evening import core
from evening import socket as ours

LOOPBACK = ("127.0.0.1", 0)
FD_DIRECTORY = "/proc/self/fd"
PATIENCE = 10  # seconds; who waits longer hangs


def descriptors():
    """Return how many descriptors are open, None where nobody says."""
    if os.path.isdir(FD_DIRECTORY):
        return len(os.listdir(FD_DIRECTORY))
    return None


@pytest.fixture(autouse=True)
def tidy(request):
    """Let no test hang, or leave a descriptor open."""
    if "impl" not in request.fixturenames:
        yield
        return
    impl = request.getfixturevalue("impl")
    impl.socket.gethostbyname("localhost")  # opens what is kept for good
    before = descriptors()
    alarm = impl.Timeout.start_new(PATIENCE, ref=False)
    yield
    alarm.close()
    if descriptors() != before:  # some are closed in the next turn
        impl.sleep(0.001)
        gc.collect()
    assert descriptors() == before


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


def started(impl, call, *args):
    """Return a task that has begun to wait in *call*."""
    task = impl.spawn(call, *args)
    impl.sleep(0)
    assert not task.ready()
    return task


def tcp_pair(impl):
    """Return the two ends of a TCP connection."""
    with impl.socket.socket() as listener:
        listener.bind(LOOPBACK)
        listener.listen()
        client = impl.socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


@pytest.fixture
def tcp(impl):
    ends = tcp_pair(impl)
    yield ends
    for end in ends:
        end.close()


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
            echoes.append(impl.spawn(echo, conn))

    echoes = []
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
    impl.joinall(echoes)
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


def test_all_who_came_before_the_accept_are_accepted(impl, listener):
    clients = [
        impl.socket.create_connection(listener.getsockname()) for _ in range(5)
    ]
    listener.settimeout(1)
    peers = []
    for _ in clients:
        conn, peer = listener.accept()
        peers.append(peer)
        conn.close()
    assert peers == [client.getsockname() for client in clients]
    for client in clients:
        client.close()


def test_an_accepted_socket_is_as_a_new_one(impl, listener):
    listener.settimeout(5)
    with impl.socket.create_connection(listener.getsockname()):
        conn, _ = listener.accept()
        with conn:
            assert conn.gettimeout() is None
            assert not conn.get_inheritable()
            assert not os.get_blocking(conn.fileno())
            task = started(impl, conn.recv, 1)
            task.kill()


def test_a_connect_that_waits_lets_others_run(impl, listener, log):
    sock = impl.socket.socket()
    task = impl.spawn(sock.connect, listener.getsockname())
    task.link(lambda _: log.append("connected"))
    task.join()
    assert sock.getpeername() == listener.getsockname()
    sock.close()


def test_create_connection_tries_the_next_address(impl, listener, known_hosts):
    with impl.socket.socket() as closed:
        closed.bind(LOOPBACK)
        refusing = closed.getsockname()
    known_hosts["two.test"] = [refusing, listener.getsockname()]
    with impl.socket.create_connection(("two.test", 1)) as client:
        assert client.getpeername() == listener.getsockname()


def test_create_connection_tells_of_each_address(impl, known_hosts):
    with impl.socket.socket() as closed:
        closed.bind(LOOPBACK)
        known_hosts["two.test"] = [closed.getsockname()] * 2
    with pytest.raises(ConnectionRefusedError):
        impl.socket.create_connection(("two.test", 1))
    with pytest.raises(ExceptionGroup) as caught:
        impl.socket.create_connection(("two.test", 1), all_errors=True)
    assert len(caught.value.exceptions) == 2


def test_create_connection_needs_an_address(impl, known_hosts):
    known_hosts["none.test"] = []
    with pytest.raises(OSError, match=r"address|empty list"):
        impl.socket.create_connection(("none.test", 1))


def test_create_connection_refuses_a_source_that_is_not_ours(impl, listener):
    with pytest.raises(OSError) as caught:
        impl.socket.create_connection(
            listener.getsockname(), source_address=("192.0.2.1", 0)
        )
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_create_connection_takes_the_default_timeout(impl, listener):
    standard.setdefaulttimeout(7)
    try:
        client = impl.socket.create_connection(listener.getsockname())
    finally:
        standard.setdefaulttimeout(None)
    with client:
        assert client.gettimeout() == 7
    with impl.socket.create_connection(
        listener.getsockname(), timeout=None
    ) as client:
        assert client.gettimeout() is None


def test_create_server_listens(impl):
    with impl.socket.create_server(LOOPBACK, backlog=1) as server:
        assert server.family == standard.AF_INET
        assert server.getsockopt(standard.SOL_SOCKET, standard.SO_REUSEADDR)
        with impl.socket.create_connection(server.getsockname()):
            conn, _ = server.accept()
            conn.close()
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        impl.socket.create_server(("192.0.2.1", 0))


def test_create_server_serves_both_kinds_of_address(impl):
    need(impl.socket.has_dualstack_ipv6(), "a socket for IPv4 and IPv6")
    with impl.socket.create_server(
        ("::", 0), family=standard.AF_INET6, dualstack_ipv6=True
    ) as server:
        assert not server.getsockopt(
            standard.IPPROTO_IPV6, standard.IPV6_V6ONLY
        )


def test_a_created_server_waits_in_the_hub():
    # Ours only: gevent hands the standard library's create_server on, whose
    # socket blocks all unless the library is patched.
    with ours.create_server(LOOPBACK) as server:
        assert type(server) is ours.socket


# -- Every kind of socket


@functools.cache
def has_ipv6():
    """Return whether this machine has the address ::1."""
    try:
        with standard.socket(standard.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(params=["AF_INET", "AF_INET6", "AF_UNIX"])
def family(request):
    need(request.param != "AF_INET6" or has_ipv6(), "the address ::1")
    return getattr(standard, request.param)


@pytest.fixture
def bound(impl, family, tmp_path):
    """Make sockets of the family, each with an address of its own."""
    made = []

    def make(kind):
        sock = impl.socket.socket(family, kind)
        made.append(sock)
        path = str(tmp_path / str(len(made)))
        hosts = {standard.AF_INET: LOOPBACK, standard.AF_INET6: ("::1", 0)}
        sock.bind(hosts.get(family, path))
        return sock

    yield make
    for sock in made:
        sock.close()


def test_a_stream_connects_and_talks(impl, family, bound):
    listener = bound(standard.SOCK_STREAM)
    listener.listen()
    accepting = started(impl, listener.accept)
    with impl.socket.socket(family, standard.SOCK_STREAM) as client:
        client.connect(listener.getsockname())
        conn, peer = accepting.get()
        with conn:
            assert (conn.family, conn.type) == (family, standard.SOCK_STREAM)
            assert peer == client.getsockname()
            assert client.getpeername() == listener.getsockname()
            reader = started(impl, conn.recv, 10)
            client.sendall(b"ask")
            assert reader.get() == b"ask"
            reader = started(impl, client.recv, 10)
            conn.sendall(b"answer")
            assert reader.get() == b"answer"


def test_a_datagram_tells_whom_it_is_from(impl, bound):
    here, there = bound(standard.SOCK_DGRAM), bound(standard.SOCK_DGRAM)
    reader = started(impl, here.recvfrom, 100)
    assert there.sendto(b"hello", here.getsockname()) == 5
    assert reader.get() == (b"hello", there.getsockname())

    buffer = bytearray(100)
    reader = started(impl, there.recvfrom_into, buffer)
    here.sendto(b"and you?", 0, there.getsockname())
    assert reader.get() == (8, here.getsockname())
    assert buffer[:8] == b"and you?"


def test_a_datagram_socket_may_have_one_peer(impl, bound):
    here, there = bound(standard.SOCK_DGRAM), bound(standard.SOCK_DGRAM)
    here.connect(there.getsockname())
    there.connect(here.getsockname())
    reader = started(impl, here.recv, 100)
    there.send(b"hello")
    assert reader.get() == b"hello"
    here.sendall(b"good-bye")
    assert there.recv(100) == b"good-bye"


def test_each_datagram_is_read_by_itself(impl, bound):
    here, there = bound(standard.SOCK_DGRAM), bound(standard.SOCK_DGRAM)
    here.settimeout(1)
    for word in (b"one", b"", b"three", b"four"):
        there.sendto(word, here.getsockname())
    assert here.recv(100) == b"one"
    assert here.recv(100) == b""  # no end: there is none
    assert here.recv(2) == b"th"
    assert here.recv(100) == b"four"  # what was cut off is gone
    reader = started(impl, here.recv, 100)
    there.sendto(b"five", here.getsockname())
    assert reader.get() == b"five"


def test_a_datagram_that_nobody_takes_tells_who_waits(impl):
    with impl.socket.socket(type=standard.SOCK_DGRAM) as here:
        with impl.socket.socket(type=standard.SOCK_DGRAM) as gone:
            gone.bind(LOOPBACK)
            here.connect(gone.getsockname())
        reader = started(impl, here.recv, 100)
        here.send(b"is anybody there?")
        with pytest.raises(ConnectionRefusedError):
            reader.get()


def test_sendto_a_full_queue_goes_on_when_there_is_room(impl, tmp_path):
    path = str(tmp_path / "s")
    count = 500  # more than the kernel queues
    with (
        impl.socket.socket(standard.AF_UNIX, standard.SOCK_DGRAM) as here,
        impl.socket.socket(standard.AF_UNIX, standard.SOCK_DGRAM) as there,
    ):
        here.bind(path)

        def send():
            for _ in range(count):
                while not there.sendto(b"x", path):  # gevent gives up: 0
                    impl.sleep(0)

        task = started(impl, send)
        assert [here.recv(10) for _ in range(count)] == [b"x"] * count
        task.get()


# -- Every call that reads


def read_recv_into(sock):
    buffer = bytearray(10)
    return bytes(buffer[: sock.recv_into(buffer)])


def read_recvfrom_into(sock):
    buffer = bytearray(10)
    return bytes(buffer[: sock.recvfrom_into(buffer)[0]])


def read_recvmsg_into(sock):
    buffer = bytearray(10)
    return bytes(buffer[: sock.recvmsg_into([buffer])[0]])


def read_makefile(sock):
    with sock.makefile("rb", buffering=0) as file:
        return file.read(10)


READERS = {
    "recv": lambda sock: sock.recv(10),
    "recv_into": read_recv_into,
    "recvfrom": lambda sock: sock.recvfrom(10)[0],
    "recvfrom_into": read_recvfrom_into,
    "recvmsg": lambda sock: sock.recvmsg(10)[0],
    "recvmsg_into": read_recvmsg_into,
    "makefile": read_makefile,
}


# A file keeps its socket open, so it is not told of a close.
NO_FILES = [name for name in READERS if name != "makefile"]


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


def test_each_reader_lets_others_run_until_data_comes(impl, tcp, read, log):
    left, right = tcp
    task = started(impl, read, left)
    impl.spawn(log.append, "meanwhile").join()
    assert not task.ready()
    right.sendall(b"data")
    assert task.get() == b"data"
    assert log == ["meanwhile"]


def test_each_reader_takes_what_is_there_at_once(impl, pair, read, log):
    left, right = pair
    right.sendall(b"0123456789abc")
    other = impl.spawn(log.append, "other")
    assert read(left) == b"0123456789"
    assert read(left) == b"abc"
    assert log == []
    other.join()


def test_each_reader_finds_the_end(impl, tcp, read):
    left, right = tcp
    task = started(impl, read, left)
    right.sendall(b"last")
    right.shutdown(standard.SHUT_WR)
    assert task.get() == b"last"
    assert read(left) == b""
    assert read(left) == b""


def test_each_reader_is_woken_by_the_end(impl, tcp, read):
    left, right = tcp
    task = started(impl, read, left)
    right.close()
    assert task.get() == b""


def test_each_reader_times_out(impl, tcp, read):
    left, right = tcp
    left.settimeout(0.001)
    with pytest.raises(TimeoutError, match="timed out"):
        read(left)
    right.sendall(b"late")
    left.settimeout(1)
    assert read(left) == b"late"


def test_a_new_timeout_is_for_the_next_wait(impl, pair):
    left, _ = pair
    left.settimeout(0.001)
    task = started(impl, left.recv, 1)
    left.settimeout(None)
    with pytest.raises(TimeoutError, match="timed out"):
        task.get()


def test_data_that_came_goes_before_an_alarm(impl, pair):
    left, right = pair
    impl.spawn(right.send, b"x")
    with impl.Timeout(0):
        assert left.recv(1) == b"x"


def test_each_reader_may_be_told_not_to_wait(pair):
    left, right = pair
    left.settimeout(0)
    for name, read in READERS.items():
        if name == "makefile":  # a file that may not wait says None
            assert read(left) is None
            continue
        with pytest.raises(BlockingIOError):
            read(left)
    right.sendall(b"x")
    assert left.recv(10) == b"x"


@pytest.mark.parametrize("read", NO_FILES, indirect=True)
def test_each_reader_is_told_of_a_close(impl, tcp, read):
    left, _ = tcp
    task = started(impl, read, left)
    left.close()
    with pytest.raises(impl.socket.cancel_wait_ex) as caught:
        task.get()
    assert caught.value.errno == errno.EBADF


def test_a_reader_that_was_killed_leaves_its_place(impl, tcp, read):
    left, right = tcp
    loop = impl.get_hub().loop
    before = loop.activecnt
    left.settimeout(60)
    started(impl, read, left).kill()
    assert loop.activecnt == before
    task = started(impl, read, left)
    right.sendall(b"data")
    assert task.get() == b"data"


def test_an_alarm_ends_a_read(impl, tcp, read):
    left, right = tcp
    with pytest.raises(impl.Timeout):
        with impl.Timeout(0.001):
            read(left)
    right.sendall(b"data")
    assert read(left) == b"data"


def test_no_second_reader_is_served(impl, tcp, read):
    left, right = tcp
    task = started(impl, read, left)
    with pytest.raises(impl.errors.ConcurrentObjectUseError):
        left.recv(1)
    right.sendall(b"data")
    assert task.get() == b"data"


def test_a_second_reader_of_what_is_there_is_served(impl, pair):
    # It has nothing to wait for; whoever waited goes on waiting.
    left, right = pair
    task = started(impl, left.recv, 10)
    right.send(b"first")  # no greenlet runs between this and the recv
    assert left.recv(10) == b"first"
    impl.sleep(0)
    assert not task.ready()
    right.sendall(b"second")
    assert task.get() == b"second"


def test_the_last_bytes_and_the_end_may_come_together(impl, pair):
    left, right = pair
    reader = started(impl, lambda: [left.recv(10) for _ in range(3)])
    right.sendall(b"x")
    while right.fileno() >= 0 and not reader.ready():
        impl.sleep(0.001)  # until it waits again: the end is watched now
        right.sendall(b"y")
        right.close()
    assert reader.get(timeout=PATIENCE) == [b"x", b"y", b""]


def test_a_reader_woken_for_nothing_waits_again(impl, tcp):
    left, right = tcp
    twin = left.dup()
    tasks = [impl.spawn(one.recv, 10) for one in (left, twin)]
    impl.sleep(0)
    right.sendall(b"x")
    impl.joinall(tasks, count=1)
    impl.sleep(0)
    assert sorted(task.ready() for task in tasks) == [False, True]
    right.sendall(b"y")
    impl.joinall(tasks)
    assert sorted(task.value for task in tasks) == [b"x", b"y"]
    twin.close()


def test_a_connection_reset_tells_the_reader(impl, tcp, read):
    left, right = tcp
    task = started(impl, read, left)
    right.setsockopt(
        standard.SOL_SOCKET, standard.SO_LINGER, struct.pack("ii", 1, 0)
    )
    right.close()
    with pytest.raises(ConnectionResetError):
        task.get()


def test_recv_into_may_take_less_than_fits(pair):
    left, right = pair
    right.sendall(b"abcdef")
    buffer = bytearray(6)
    assert left.recv_into(buffer, 2) == 2
    assert left.recv_into(memoryview(buffer)[2:], 3) == 3
    assert buffer == b"abcde\0"
    assert left.recvfrom_into(buffer, 1)[0] == 1
    assert buffer[:1] == b"f"
    right.sendall(b"x" * 8)
    with pytest.raises(ValueError, match="buffer"):
        left.recv_into(bytearray(2), 4)


def test_recv_of_nothing_takes_nothing(pair):
    left, right = pair
    right.sendall(b"data")
    assert left.recv(0) == b""
    assert left.recv(10) == b"data"
    with pytest.raises(ValueError, match="negative"):
        left.recv(-1)


def test_a_peek_takes_nothing(impl, tcp):
    left, right = tcp
    peeking = started(impl, left.recv, 10, standard.MSG_PEEK)
    right.sendall(b"data")
    assert peeking.get() == b"data"
    assert left.recv(10, standard.MSG_PEEK) == b"data"
    assert left.recv(10) == b"data"
    reader = started(impl, left.recv, 10)
    right.sendall(b"more")
    assert reader.get() == b"more"


def test_recv_waits_though_told_not_to(impl, pair):
    # The standard library's would raise; only sendmsg heeds this flag.
    left, right = pair
    task = started(impl, left.recv, 10, standard.MSG_DONTWAIT)
    right.sendall(b"x")
    assert task.get() == b"x"


def test_recv_does_not_wait_for_all(pair):
    # The descriptor does not block, so the kernel gives what it has.
    left, right = pair
    right.sendall(b"some")
    assert left.recv(10, standard.MSG_WAITALL) == b"some"


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


def write_file(sock):
    with sock.makefile("wb", buffering=0) as file:
        file.write(b"more")


WRITERS = {
    "send": lambda sock: sock.send(b"more"),
    "sendall": lambda sock: sock.sendall(b"more"),
    "sendmsg": lambda sock: sock.sendmsg([b"mo", b"re"]),
    "sendfile": lambda sock: sock.sendfile(io.BytesIO(b"more")),
    "makefile": write_file,
}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


@pytest.fixture
def full(pair):
    """The ends of a connection whose left end takes no more, and its size."""
    return (*pair, fill(pair[0]))


def drain(sock, size):
    """Read *size* bytes; return the last four."""
    last = b""
    while size > 0:
        data = sock.recv(min(size, 1 << 20))
        last = (last + data)[-4:]
        size -= len(data)
    return last


def test_each_writer_waits_for_room(impl, full, write):
    left, right, size = full
    task = started(impl, write, left)
    assert drain(right, size + 4) == b"more"
    task.get()


def test_each_writer_times_out(impl, full, write):
    left, right, size = full
    left.settimeout(0.001)
    with pytest.raises(TimeoutError, match="timed out"):
        write(left)
    left.settimeout(None)
    task = started(impl, write, left)
    assert drain(right, size + 4) == b"more"
    task.get()


def test_each_writer_may_be_told_not_to_wait(full):
    left, *_ = full
    left.settimeout(0)
    for name in ("send", "sendall", "sendmsg"):
        with pytest.raises(BlockingIOError):
            WRITERS[name](left)


@pytest.mark.parametrize(
    "write", ["send", "sendall", "sendmsg", "sendfile"], indirect=True
)
def test_each_writer_is_told_of_a_close(impl, full, write):
    left, *_ = full
    task = started(impl, write, left)
    left.close()
    with pytest.raises(impl.socket.cancel_wait_ex):
        task.get()


def test_each_writer_is_told_of_a_peer_that_is_gone(impl, full, write):
    left, right, _ = full
    task = started(impl, write, left)
    right.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        task.get()


def test_a_writer_that_was_killed_leaves_its_place(impl, full, write):
    left, right, size = full
    loop = impl.get_hub().loop
    before = loop.activecnt
    left.settimeout(60)
    started(impl, write, left).kill()
    assert loop.activecnt == before
    task = started(impl, write, left)
    assert drain(right, size + 4) == b"more"
    task.get()


def test_no_second_writer_is_served(impl, full, write):
    left, right, size = full
    task = started(impl, write, left)
    with pytest.raises(impl.errors.ConcurrentObjectUseError):
        left.send(b"x")
    assert drain(right, size + 4) == b"more"
    task.get()


def test_many_rounds_through_a_small_buffer_lose_nothing(impl, tcp):
    left, right = tcp
    left.setsockopt(standard.SOL_SOCKET, standard.SO_SNDBUF, 4096)
    data = os.urandom(300_000)
    task = impl.spawn(left.sendall, data)
    received = bytearray()
    while len(received) < len(data):
        received += right.recv(999)
    task.get()
    assert received == data


def test_both_ends_may_send_more_than_fits(impl, tcp):
    data = b"x" * 3_000_000

    def receive(sock):
        count = 0
        while count < len(data):
            count += len(sock.recv(1 << 16))
        return count

    readers = [impl.spawn(receive, end) for end in tcp]
    writers = [impl.spawn(end.sendall, data) for end in tcp]
    impl.joinall(readers + writers, raise_error=True)
    assert [reader.value for reader in readers] == [len(data)] * 2


# -- A file made from a socket


def test_a_file_is_read_line_by_line(impl, pair, log):
    left, right = pair

    def read_lines():
        with left.makefile() as file:
            log.extend(file)

    task = started(impl, read_lines)
    for piece in (b"one\nt", b"wo\nth", b"ree"):
        right.sendall(piece)
        impl.sleep(0)
    right.close()
    task.get()
    assert log == ["one\n", "two\n", "three"]


def test_a_file_reads_as_much_as_asked(impl, pair):
    left, right = pair
    with left.makefile("rb") as file:
        task = started(impl, file.read, 6)
        right.sendall(b"abc")
        impl.sleep(0)
        assert not task.ready()
        right.sendall(b"defg")
        assert task.get() == b"abcdef"
        assert file.read(1) == b"g"


def test_a_file_sends_when_it_is_flushed(pair):
    left, right = pair
    right.settimeout(0)
    with left.makefile("wb") as file:
        file.write(b"data")
        with pytest.raises(BlockingIOError):
            right.recv(10)
        file.flush()
        assert right.recv(10) == b"data"
        file.write(b"the rest")
    assert right.recv(10) == b"the rest"


def test_a_file_of_text_encodes(pair):
    left, right = pair
    with left.makefile("w", encoding="utf-16-le", newline="\r\n") as file:
        assert file.mode == "w"
        file.write("ä\n")
    assert right.recv(10) == "ä\r\n".encode("utf-16-le")


def test_one_file_may_read_and_write(impl, pair):
    left, right = pair
    with left.makefile("rwb") as file:
        file.write(b"ask\n")
        file.flush()
        assert right.recv(10) == b"ask\n"
        task = started(impl, file.readline)
        right.sendall(b"answer\n")
        assert task.get() == b"answer\n"
    with left.makefile("rw") as file:
        file.write("text\n")
        file.flush()
        assert right.recv(10) == b"text\n"


def test_a_file_writes_more_than_fits(impl, pair):
    left, right = pair
    data = os.urandom(1_000_000)

    def send():
        with left.makefile("wb") as file:
            file.write(data)

    task = impl.spawn(send)
    with right.makefile("rb") as file:
        assert file.read(len(data)) == data
    task.get()


@pytest.mark.parametrize("mode", ["a", "r+", "rt"])
def test_a_file_has_no_other_modes(pair, mode):
    with pytest.raises(ValueError, match="mode"):
        pair[0].makefile(mode)


def test_a_file_of_text_needs_a_buffer(pair):
    with pytest.raises(ValueError, match="binary"):
        pair[0].makefile("r", buffering=0)


def test_a_file_keeps_its_socket_open(impl):
    left, right = impl.socket.socketpair()
    file, other = left.makefile("rb"), left.makefile("wb")
    before = descriptors()
    left.close()
    assert descriptors() == before
    assert left.fileno() >= 0
    right.sendall(b"data\n")
    assert file.readline() == b"data\n"
    file.close()
    other.write(b"last words")
    other.close()
    assert left.fileno() == -1
    assert right.recv(100) == b"last words"
    assert right.recv(100) == b""
    right.close()


def test_a_socket_outlives_its_file(pair):
    left, right = pair
    left.makefile("rb").close()
    right.sendall(b"data")
    assert left.recv(10) == b"data"


def test_a_file_that_is_forgotten_lets_go_of_its_socket(impl):
    left, right = impl.socket.socketpair()
    file = left.makefile("rb", buffering=0)
    left.close()
    del file
    gc.collect()
    assert left.fileno() == -1
    assert right.recv(1) == b""
    right.close()


def test_a_reading_file_goes_on_though_the_socket_is_closed(impl):
    left, right = impl.socket.socketpair()
    with left.makefile("rb") as file:
        task = started(impl, file.readline)
        left.close()
        impl.sleep(0)
        assert not task.ready()
        right.sendall(b"data\n")
        assert task.get() == b"data\n"
    right.close()


def test_a_file_that_timed_out_reads_no_more(pair):
    left, right = pair
    left.settimeout(0.001)
    with left.makefile("rb") as file:
        with pytest.raises(TimeoutError):
            file.readline()
        right.sendall(b"late\n")
        with pytest.raises(OSError, match="timed out"):
            file.readline()


# -- A file sent through a socket


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(os.urandom(1_000_000))
    with path.open("rb") as file:
        yield file


def receive(sock):
    """Return all that comes until the end."""
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def test_sendfile_sends_a_file_while_others_run(impl, pair, big_file):
    left, right = pair
    task = started(impl, left.sendfile, big_file)
    reader = impl.spawn(receive, right)
    assert task.get() == big_file.tell() == 1_000_000
    left.close()
    big_file.seek(0)
    assert reader.get() == big_file.read()


@pytest.mark.parametrize(
    ("offset", "count", "sent"),
    [
        (0, 10, 10),
        (10, None, 999_990),
        (5, 100_000, 100_000),
        (999_999, 100, 1),
        (1_000_000, None, 0),
    ],
)
def test_sendfile_may_send_a_part(impl, pair, big_file, offset, count, sent):
    left, right = pair
    reader = impl.spawn(receive, right)
    assert left.sendfile(big_file, offset=offset, count=count) == sent
    if sent:
        assert big_file.tell() == offset + sent
    left.close()
    big_file.seek(offset)
    assert reader.get() == big_file.read(sent)


def test_sendfile_takes_a_file_that_is_none(pair):
    left, right = pair
    assert left.sendfile(io.BytesIO(b"0123456789"), 2, 5) == 5
    assert right.recv(100) == b"23456"


def test_sendfile_of_a_pipe_sends_until_its_end(pair):
    left, right = pair
    reading, writing = os.pipe()
    os.write(writing, b"data")
    os.close(writing)
    with open(reading, "rb") as file, pytest.raises(OSError, match="seek"):
        left.sendfile(file)  # all is sent, but its place can't be kept
    assert right.recv(100) == b"data"


def test_sendfile_that_times_out_says_where(pair, big_file):
    left, right = pair
    left.settimeout(0.01)
    with pytest.raises(TimeoutError):
        left.sendfile(big_file)
    left.close()
    assert big_file.tell() == len(receive(right))


def test_sendfile_refuses_what_it_cannot_send(impl, pair, big_file):
    left, _ = pair
    with open(big_file.name, encoding="latin-1") as text:
        with pytest.raises(ValueError, match="binary"):
            left.sendfile(text)
    with pytest.raises(ValueError, match="count"):
        left.sendfile(big_file, count=0)
    with pytest.raises(TypeError, match="count"):
        left.sendfile(big_file, count="1")
    left.settimeout(0)
    with pytest.raises(ValueError, match="non-blocking"):
        left.sendfile(big_file)
    with impl.socket.socket(type=standard.SOCK_DGRAM) as datagrams:
        with pytest.raises(ValueError, match="SOCK_STREAM"):
            datagrams.sendfile(big_file)


# -- Messages


def test_a_descriptor_goes_through_a_socket(impl, pair):
    left, right = pair
    reading, writing = os.pipe()
    rights = standard.SOL_SOCKET, standard.SCM_RIGHTS
    size = standard.CMSG_LEN(array("i").itemsize)
    task = started(impl, right.recvmsg, 10, size)
    assert left.sendmsg([b"x"], [(*rights, array("i", [writing]))]) == 1
    data, [(level, kind, packed)], flags, _ = task.get()
    assert (data, level, kind) == (b"x", *rights)
    assert not flags & standard.MSG_CTRUNC
    (passed,) = array("i", packed)
    os.write(passed, b"through")
    assert os.read(reading, 10) == b"through"
    for fd in (passed, reading, writing):
        os.close(fd)


def test_send_fds_and_recv_fds_wait_too(impl, pair):
    left, right = pair
    reading, writing = os.pipe()
    task = started(impl, impl.socket.recv_fds, right, 10, 2)
    impl.socket.send_fds(left, [b"two"], [reading, writing])
    data, fds, _, _ = task.get()
    assert (data, len(fds)) == (b"two", 2)
    for fd in (*fds, reading, writing):
        os.close(fd)


def test_recvmsg_into_fills_one_buffer_after_the_other(impl, pair):
    left, right = pair
    buffers = [bytearray(2), bytearray(3)]
    task = started(impl, right.recvmsg_into, buffers)
    left.sendmsg([b"abc", b"d"])
    assert task.get()[:3] == (4, [], 0)
    assert buffers == [b"ab", b"cd\0"]


def test_what_fills_a_message_may_be_a_generator():
    # Ours only: gevent has used it up when it tries again.
    left, right = ours.socketpair()
    buffer = bytearray(10)
    with left, right:
        reader = evening.spawn(right.recvmsg_into, (one for one in [buffer]))
        evening.sleep(0)
        left.send(b"data")
        assert reader.get()[0] == 4
        size = fill(left)
        writer = evening.spawn(left.sendmsg, (one for one in [b"mo", b"re"]))
        evening.sleep(0)
        assert drain(right, size + 4) == b"more"
        assert writer.get() == 4
    assert buffer[:4] == b"data"


def test_a_message_may_have_an_address(impl, bound):
    here, there = bound(standard.SOCK_DGRAM), bound(standard.SOCK_DGRAM)
    task = started(impl, here.recvmsg, 2)
    there.sendmsg([b"on", b"e"], [], 0, here.getsockname())
    data, _, flags, address = task.get()
    assert (data, address) == (b"on", there.getsockname())
    assert flags & standard.MSG_TRUNC


def test_sendmsg_does_not_wait_if_told_so(full):
    left, *_ = full
    with pytest.raises(BlockingIOError):
        left.sendmsg([b"x"], (), standard.MSG_DONTWAIT)


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
    impl.killall(tasks)  # one may connect before it is its turn
    made = [task.value for task in tasks]
    connected = [one for one in made if isinstance(one, impl.socket.socket)]
    gc.collect()
    for one in connected:
        one.close()
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


@pytest.mark.parametrize("wrong", ["1", b"1", [], object()])
def test_a_timeout_is_a_number(pair, wrong):
    with pytest.raises(TypeError):
        pair[0].settimeout(wrong)
    assert pair[0].gettimeout() is None


def test_blocking_is_another_word_for_a_timeout(pair):
    left, _ = pair
    for blocking, seconds in ((False, 0.0), (True, None)):
        left.setblocking(blocking)
        assert left.gettimeout() == left.timeout == seconds
        assert left.getblocking() is blocking
    left.settimeout(2)
    assert left.getblocking() is True
    assert repr(left.gettimeout()) == "2.0"


def test_the_default_timeout_is_for_sockets_to_come(impl):
    setdefaulttimeout = impl.socket.setdefaulttimeout
    old = impl.socket.socket()
    setdefaulttimeout(3)
    try:
        assert impl.socket.getdefaulttimeout() == 3
        left, right = impl.socket.socketpair()
        with left, right:
            assert left.timeout == right.timeout == 3
            assert old.timeout is None
        setdefaulttimeout(0)
        with impl.socket.socket(type=standard.SOCK_DGRAM) as sock:
            sock.bind(LOOPBACK)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
    finally:
        setdefaulttimeout(None)
        old.close()


def test_the_descriptor_never_blocks(impl, pair):
    left, _ = pair
    for seconds in (None, 5, 0):
        left.settimeout(seconds)
        assert not os.get_blocking(left.fileno())


# -- What an end remembers


def test_the_book_tells_the_life_of_an_end_as_it_goes(monkeypatch):
    def note(what, *, doubt=False):
        assert end.doubt is doubt
        asks = ", ".join(f"once, for {kind}" for kind in asked) or "\u2013"
        words = {True: "yes", False: "no"}
        waiter = "the reader" if end.waiter else "\u2013"
        row = what, words[end.ready], words[end.armed], waiter, asks
        rows.append(f"| {' | '.join(row)} |")
        asked.clear()

    def noted(fd, old, new):
        if fd == reader.fileno():
            asked.append("edges" if new & core.EDGE else "levels")
        modify(fd, old, new)

    loop = evening.get_hub().loop
    if not loop._backend.edge:
        pytest.skip("this system has no edges")
    modify = loop._backend.modify
    rows, asked = [], []
    peer, reader = tcp_pair(evening)
    monkeypatch.setattr(loop._backend, "modify", noted)
    end = reader._read
    note("a new socket")
    task = started(evening, reader.recv, 10)
    note("`recv` tries in vain, and waits")
    loop._fd_reify()
    note("the turn comes to `_fd_reify`")
    peer.send(b"x")
    loop._backend_poll(0.0)
    note("bytes come, and the end fires")
    assert task.get() == b"x"
    note("`recv` gets them, fewer than it asked for")
    task = started(evening, reader.recv, 10)
    loop._fd_reify()
    note("the next `recv` waits at once")
    peer.close()
    loop._backend_poll(0.0)
    note("the peer hangs up, and the end fires", doubt=True)
    assert task.get() == b""
    reader.close()
    book = Path(__file__).parents[1] / "docs/core.md"
    lines = book.read_text("utf-8").splitlines()
    first = 2 + lines.index(
        "| what happens | `ready` | `armed` | `waiter` | asks the kernel |"
    )
    assert rows == lines[first : lines.index("", first)]


# -- Shutdown


def test_a_shutdown_tells_who_reads_here(impl, tcp):
    left, _ = tcp
    task = started(impl, left.recv, 1)
    left.shutdown(standard.SHUT_RD)
    with pytest.raises(impl.socket.cancel_wait_ex):
        task.get()
    assert left.recv(1) == b""


def test_a_shutdown_tells_who_writes_here(impl, full):
    left, *_ = full
    task = started(impl, left.sendall, b"more")
    left.shutdown(standard.SHUT_WR)
    with pytest.raises(impl.socket.cancel_wait_ex):
        task.get()
    with pytest.raises(BrokenPipeError):
        left.send(b"x")


def test_a_shutdown_of_writing_lets_the_reader_wait(impl, tcp):
    left, right = tcp
    task = started(impl, left.recv, 10)
    left.shutdown(standard.SHUT_WR)
    assert right.recv(1) == b""
    assert not task.ready()
    right.sendall(b"answer")
    assert task.get() == b"answer"


def test_a_shutdown_of_both_tells_both(impl, full):
    left, *_ = full
    tasks = [
        started(impl, left.recv, 1),
        started(impl, left.sendall, b"more"),
    ]
    left.shutdown(standard.SHUT_RDWR)
    for task in tasks:
        with pytest.raises(impl.socket.cancel_wait_ex):
            task.get()


def test_a_shutdown_needs_a_connection(impl):
    with impl.socket.socket() as sock:
        with pytest.raises(OSError) as caught:
            sock.shutdown(standard.SHUT_RDWR)
        assert caught.value.errno == errno.ENOTCONN


# -- What a socket is


def test_a_socket_knows_its_kind(impl):
    with impl.socket.socket() as sock:
        assert repr(sock.family) == repr(standard.AF_INET)
        assert sock.type == standard.SOCK_STREAM
        assert sock.proto == 0
        assert sock.closed is False
        assert isinstance(sock.fileno(), int)
        assert sock.getsockname()[1] == 0
    assert sock.closed is True
    with impl.socket.socket(
        standard.AF_INET, standard.SOCK_DGRAM, standard.IPPROTO_UDP
    ) as sock:
        assert sock.type == standard.SOCK_DGRAM
        assert sock.proto == standard.IPPROTO_UDP


def test_the_options_of_a_socket_are_the_kernels(impl):
    reuse = standard.SOL_SOCKET, standard.SO_REUSEADDR
    with impl.socket.socket() as sock:
        assert not sock.getsockopt(*reuse)
        sock.setsockopt(*reuse, 1)
        assert sock.getsockopt(*reuse)


def test_a_socket_says_what_it_is(impl):
    sock = impl.socket.socket()
    assert f"fd={sock.fileno()}" in repr(sock)
    assert "socket" in repr(sock)
    assert "[closed]" not in repr(sock)
    sock.close()
    assert "[closed]" in repr(sock)


def test_a_socket_can_be_weakly_referenced_and_not_pickled(impl):
    with impl.socket.socket() as sock:
        assert weakref.ref(sock)() is sock
        with pytest.raises(TypeError):
            pickle.dumps(sock)


def test_a_socket_is_not_inherited_unless_it_is_told(impl, pair):
    for sock in pair:
        assert sock.get_inheritable() is False
        sock.set_inheritable(True)
        assert os.get_inheritable(sock.fileno())
        assert sock.get_inheritable() is True


def test_a_kind_that_is_none_is_refused(impl):
    with pytest.raises(OSError) as caught:
        impl.socket.socket(standard.AF_INET, 99)
    assert caught.value.errno in (errno.EINVAL, errno.ESOCKTNOSUPPORT)


def test_a_forgotten_socket_closes_its_descriptor(impl):
    before = descriptors()
    with pytest.warns(ResourceWarning):
        impl.socket.socket()
    assert descriptors() == before


def test_a_pair_is_of_the_kind_asked_for(impl):
    left, right = impl.socket.socketpair()
    with left, right:
        assert left.family == standard.AF_UNIX
        assert left.type == right.type == standard.SOCK_STREAM
    left, right = impl.socket.socketpair(type=standard.SOCK_DGRAM)
    with left, right:
        assert left.type == right.type == standard.SOCK_DGRAM
        task = started(impl, left.recv, 10)
        right.send(b"whole")
        assert task.get() == b"whole"


# -- Several names of one connection


def test_a_duplicate_is_another_descriptor_of_the_same(impl, pair):
    left, right = pair
    left.settimeout(5)
    with left.dup() as twin:
        assert type(twin) is type(left)
        assert twin.fileno() != left.fileno()
        assert not twin.get_inheritable()
        assert (twin.family, twin.type) == (left.family, left.type)
        assert twin.gettimeout() == 5
        left.close()
        task = started(impl, twin.recv, 10)
        right.sendall(b"still here")
        assert task.get() == b"still here"
    assert right.recv(1) == b""


def test_fromfd_leaves_the_descriptor_alone(impl, pair):
    left, right = pair
    kind = left.family, left.type
    with impl.socket.fromfd(left.fileno(), *kind) as twin:
        assert isinstance(twin, impl.socket.socket)
        assert twin.fileno() != left.fileno()
        task = started(impl, twin.recv, 10)
        right.sendall(b"data")
        assert task.get() == b"data"
    right.sendall(b"more")
    assert left.recv(10) == b"more"


def test_a_socket_takes_a_descriptor_over(impl, pair):
    left, right = pair
    raw = standard.socket(standard.AF_UNIX, standard.SOCK_DGRAM)
    with impl.socket.socket(fileno=raw.detach()) as sock:
        assert sock.family == standard.AF_UNIX
        assert sock.type == standard.SOCK_DGRAM
        assert not os.get_blocking(sock.fileno())
    with impl.socket.socket(fileno=left.detach()) as sock:
        right.sendall(b"data")
        assert sock.recv(10) == b"data"
    with pytest.raises(ValueError, match="negative"):
        impl.socket.socket(fileno=-1)


def test_two_sockets_of_one_descriptor_may_both_read(impl):
    left, right = impl.socket.socketpair(type=standard.SOCK_DGRAM)
    twin = impl.socket.socket(fileno=left.fileno())
    for readers in (left, twin), (twin, left):
        tasks = [started(impl, sock.recv, 10) for sock in readers]
        for n in range(len(tasks)):
            right.send(b"%d" % n)
        assert sorted(task.get() for task in tasks) == [b"0", b"1"]
    twin.detach()
    left.close()
    right.close()


def test_one_socket_of_a_descriptor_leaves_the_rest_to_the_other(impl, pair):
    left, right = pair
    twin = impl.socket.socket(fileno=left.fileno())
    tasks = [started(impl, sock.recv, 2) for sock in (left, twin)]
    right.sendall(b"abc")
    assert sorted(len(task.get()) for task in tasks) == [1, 2]
    task = started(impl, left.recv, 10)
    assert twin.detach() == left.fileno()
    right.sendall(b"more")
    assert task.get() == b"more"


def test_one_reader_of_two_sockets_is_told_what_the_other_left(impl, pair):
    left, right = pair
    twin = impl.socket.socket(fileno=left.fileno())
    for sock in left, twin:
        sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.settimeout(5)
    task = started(impl, left.recv, 1)
    right.sendall(b"ab")
    assert task.get() == b"a"
    assert twin.recv(1) == b"b"
    twin.detach()


def test_a_read_that_brought_a_descriptor_is_short_though_more_is_there(
    impl, pair
):
    # So it is on Linux, of a stream within one machine.
    left, right = pair
    task = started(impl, left.recv, 10)
    standard.send_fds(right, [b"a"], [right.fileno()])
    right.send(b"b")
    assert task.get() + left.recv(10) == b"ab"


def test_a_callback_may_read_where_reading_does_not_wait(impl, pair):
    left, right = pair
    left.settimeout(0)
    got = []

    def drain():
        try:
            while True:
                got.append(left.recv(10))
        except BlockingIOError:
            watcher.stop()

    watcher = impl.get_hub().loop.io(left.fileno(), 1)
    watcher.start(drain)
    right.send(b"x")
    impl.get_hub().join()
    assert got == [b"x"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has them")
def test_an_abstract_address_may_be_a_string(impl):
    name = f"\0evening-{os.getpid()}-{impl.name}"
    with standard.socket(standard.AF_UNIX) as door:
        door.bind(name)
        door.listen()
        with impl.socket.socket(standard.AF_UNIX) as sock:
            sock.connect(name)


def test_whoever_reads_a_closed_socket_is_told_whatever_else_waited(
    impl, pair
):
    left, right = pair
    right.send(b"x")
    assert left.recv(10) == b"x"
    waiter = started(impl, impl.socket.wait_read, left.fileno())
    left.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        left.recv(10)
    waiter.kill()


def test_a_reader_and_a_waiter_of_one_descriptor_are_both_woken(impl, pair):
    left, right = pair
    tasks = [
        started(impl, left.recv, 10),
        started(impl, impl.socket.wait_read, left.fileno()),
    ]
    right.sendall(b"x")
    assert tasks[0].get() == b"x"
    tasks[1].get()


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


@pytest.mark.parametrize(
    "call",
    [
        "getsockname",
        "getpeername",
        "listen",
        "accept",
        "dup",
        "get_inheritable",
    ],
)
def test_a_closed_socket_refuses_each_call(impl, call):
    sock = impl.socket.socket()
    sock.close()
    with pytest.raises(OSError) as caught:
        getattr(sock, call)()
    assert caught.value.errno == errno.EBADF


def test_a_close_tells_reader_and_writer(impl, full):
    left, *_ = full
    tasks = [
        started(impl, left.recv, 1),
        started(impl, left.sendall, b"more"),
    ]
    left.close()
    for task in tasks:
        with pytest.raises(impl.socket.cancel_wait_ex):
            task.get()


def test_a_close_tells_who_accepts(impl, listener):
    task = started(impl, listener.accept)
    listener.close()
    with pytest.raises(impl.socket.cancel_wait_ex):
        task.get()


def test_a_close_tells_who_connects(impl, backlog):
    address, fill_backlog = backlog
    fill_backlog()
    with impl.socket.socket() as sock:
        task = started(impl, sock.connect, address)
        sock.close()
        with pytest.raises(impl.socket.cancel_wait_ex):
            task.get()


@pytest.fixture
def backlog():
    """A listener that accepts nobody, and what fills its queue."""
    listener = standard.socket()
    listener.bind(LOOPBACK)
    listener.listen(0)
    socks = []

    def fill_backlog():
        for _ in range(5):
            sock = standard.socket()
            socks.append(sock)
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())

    yield listener.getsockname(), fill_backlog
    for sock in [listener, *socks]:
        sock.close()


def test_who_was_told_of_a_close_may_open_the_number_again(impl):
    left, right = impl.socket.socketpair()
    number = left.fileno()
    task = started(impl, left.recv, 1)
    left.close()
    task.join()
    impl.sleep(0)
    again = impl.socket.socketpair()
    assert number in [sock.fileno() for sock in again]
    task = started(impl, again[0].recv, 10)
    again[1].sendall(b"new")
    assert task.get() == b"new"
    for sock in (*again, right):
        sock.close()


def test_detach_tells_who_waits(impl):
    left, right = impl.socket.socketpair()
    task = started(impl, left.recv, 1)
    fd = left.detach()
    with pytest.raises(impl.socket.cancel_wait_ex):
        task.get()
    assert left.closed
    assert left.detach() == -1
    os.close(fd)
    right.close()


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
    before = descriptors()
    for n in range(30):
        visit(n)
    impl.sleep(0)
    gc.collect()
    assert descriptors() == before
    hub.exception_stream = before_stream


# -- To wait for a descriptor


def test_wait_read_waits_for_data(impl, pair, log):
    left, right = pair
    task = started(impl, impl.socket.wait_read, left.fileno())
    right.sendall(b"x")
    assert task.get() is None
    impl.socket.wait_read(left.fileno())  # it is still there
    assert left.recv(1) == b"x"


def test_wait_write_waits_for_room(impl, full):
    left, right, size = full
    task = started(impl, impl.socket.wait_write, left.fileno())
    drain(right, size)
    assert task.get() is None
    impl.socket.wait_write(right.fileno())


def test_wait_readwrite_waits_for_either(impl, full):
    left, right, size = full
    impl.socket.wait_readwrite(right.fileno())
    task = started(impl, impl.socket.wait_readwrite, left.fileno())
    right.sendall(b"x")
    assert task.get() is None
    assert left.recv(1) == b"x"
    task = started(impl, impl.socket.wait_readwrite, left.fileno())
    drain(right, size)
    assert task.get() is None


WAITS = ["wait_read", "wait_write", "wait_readwrite"]


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_times_out(impl, full, name):
    wait = getattr(impl.socket, name)
    fd = full[0].fileno()
    before = impl.get_hub().loop.activecnt
    with pytest.raises(TimeoutError, match="timed out"):
        wait(fd, 0.001)
    with pytest.raises(KeyError):
        wait(fd, timeout=0.001, timeout_exc=KeyError("mine"))
    with pytest.raises(impl.Timeout, match=r"0\.001 seconds"):
        wait(fd, 0.001, None)
    assert impl.get_hub().loop.activecnt == before


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_that_was_killed_leaves_nothing(impl, full, name):
    before = impl.get_hub().loop.activecnt
    started(impl, getattr(impl.socket, name), full[0].fileno()).kill()
    assert impl.get_hub().loop.activecnt == before


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_needs_a_descriptor(impl, name):
    with pytest.raises(ValueError):
        getattr(impl.socket, name)(-1)


def test_several_may_wait_for_one_descriptor(impl, pair):
    left, right = pair
    tasks = [
        started(impl, impl.socket.wait_read, left.fileno()) for _ in range(3)
    ]
    right.sendall(b"x")
    impl.joinall(tasks, raise_error=True)


def test_a_pipe_can_be_waited_for(impl):
    reading, writing = os.pipe()
    task = started(impl, impl.socket.wait_read, reading)
    os.write(writing, b"x")
    task.get()
    impl.socket.wait_write(writing)
    os.close(reading)
    os.close(writing)


def test_a_plain_file_is_always_ready(impl, big_file):
    impl.socket.wait_read(big_file.fileno(), 1)


def test_one_watcher_serves_one_who_waits(impl, pair):
    left, right = pair
    watcher = impl.get_hub().loop.io(left.fileno(), 1)
    task = started(impl, impl.socket.wait, watcher)
    with pytest.raises(impl.errors.ConcurrentObjectUseError):
        impl.socket.wait(watcher)
    right.sendall(b"x")
    task.get()
    with pytest.raises(KeyError):
        impl.socket.wait(impl.get_hub().loop.timer(60), 0.001, KeyError)
    watcher.close()


def test_cancel_wait_tells_who_waits(impl, pair):
    watcher = impl.get_hub().loop.io(pair[0].fileno(), 1)
    task = started(impl, impl.socket.wait, watcher)
    impl.socket.cancel_wait(watcher)
    with pytest.raises(impl.socket.cancel_wait_ex) as caught:
        task.get()
    assert caught.value.errno == errno.EBADF
    assert "closed in another greenlet" in str(caught.value)

    task = started(impl, impl.socket.wait, watcher)
    impl.socket.cancel_wait(watcher, KeyError("mine"))
    with pytest.raises(KeyError):
        task.get()

    impl.socket.cancel_wait(watcher)  # nobody waits
    impl.sleep(0)
    watcher.close()


# -- To look up names


@pytest.fixture
def known_hosts(monkeypatch):
    """Have the names that end in .test mean the addresses that are put here.

    A function instead of addresses is called, in the native thread.
    """
    hosts = {}
    real = _socket.getaddrinfo

    def getaddrinfo(host, *rest):
        numeric = len(rest) == 5 and rest[4] & standard.AI_NUMERICHOST
        if not host.endswith(".test"):
            return real(host, *rest)
        if numeric or host not in hosts:
            raise standard.gaierror(standard.EAI_NONAME, "not known")
        known = hosts[host]
        return [
            (standard.AF_INET, standard.SOCK_STREAM, 6, "", address)
            for address in (known() if callable(known) else known)
        ]

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    return hosts


LOOK_UPS = {
    "getaddrinfo": ("localhost", 80),
    "gethostbyname": ("localhost",),
    "gethostbyname_ex": ("localhost",),
    "gethostbyaddr": ("127.0.0.1",),
    "getnameinfo": (("127.0.0.1", 80), 0),
    "getfqdn": ("localhost",),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_look_up_lets_others_run(impl, name, log):
    arguments = LOOK_UPS[name]
    other = impl.spawn(log.append, "meanwhile")
    log.append(getattr(impl.socket, name)(*arguments))
    assert log == ["meanwhile", getattr(standard, name)(*arguments)]
    other.join()


def test_an_address_is_looked_up_like_a_name(impl):
    for host, port in (
        ("127.0.0.1", 80),
        ("::1", "http"),
        ("127.0.0.1", "http"),
        (None, 80),
        (b"127.0.0.1", b"80"),
        ("localhost", None),
    ):
        asked = host, port, 0, standard.SOCK_STREAM
        found = impl.socket.getaddrinfo(*asked)
        assert repr(found) == repr(standard.getaddrinfo(*asked))
    named = impl.socket.getaddrinfo(
        "127.0.0.1", 80, flags=standard.AI_CANONNAME
    )
    assert named[0][3] == "127.0.0.1"


@pytest.mark.parametrize("name", LOOK_UPS)
def test_who_looks_up_gets_the_error(impl, name):
    wrong = {
        "getnameinfo": (("localhost", "no port"), 0),
        "getfqdn": (1,),
    }.get(name, ("a..name", 80)[: len(LOOK_UPS[name])])
    with pytest.raises(Exception) as expected:
        getattr(standard, name)(*wrong)
    with pytest.raises(expected.type):
        getattr(impl.socket, name)(*wrong)


def test_a_name_that_is_not_known_is_an_error(impl, known_hosts):
    with pytest.raises(impl.socket.gaierror) as caught:
        impl.socket.getaddrinfo("nobody.test", 80)
    assert caught.value.errno == standard.EAI_NONAME
    with impl.socket.socket() as sock:
        with pytest.raises(impl.socket.gaierror):
            sock.connect(("nobody.test", 80))
        with pytest.raises(impl.socket.gaierror):
            sock.connect_ex(("nobody.test", 80))
    with pytest.raises(impl.socket.gaierror):
        impl.socket.create_connection(("nobody.test", 80))


@pytest.fixture
def slow_host(known_hosts):
    """Have the look-up of slow.test wait until this is set."""
    gate = threading.Event()
    gate.answers = 0

    def answer():
        gate.wait(PATIENCE)
        gate.answers += 1
        return [LOOPBACK]

    known_hosts["slow.test"] = answer
    yield gate
    gate.set()


def test_connect_looks_a_name_up_while_others_run(impl, listener, slow_host):
    with impl.socket.socket() as sock:
        port = listener.getsockname()[1]
        task = started(impl, sock.connect, ("slow.test", port))
        slow_host.set()
        task.get()
        assert sock.getpeername() == listener.getsockname()


def test_a_look_up_that_takes_long_is_left(impl, slow_host, known_hosts):
    loop = impl.get_hub().loop
    before = loop.activecnt
    with pytest.raises(impl.Timeout):
        with impl.Timeout(0.001):
            impl.socket.getaddrinfo("slow.test", 80)
    task = started(impl, impl.socket.getaddrinfo, "slow.test", 80)
    task.kill()
    slow_host.set()
    known_hosts["fast.test"] = []
    assert impl.socket.getaddrinfo("fast.test", 80) == []
    # gevent counts until the threads are done; and where a thread begins late
    # it must not ask the true getaddrinfo, which is back after this test.
    while loop.activecnt != before or slow_host.answers < 2:
        impl.sleep(0.001)


def test_look_ups_run_beside_each_other(impl, known_hosts):
    together = threading.Barrier(5)
    known_hosts["slow.test"] = lambda: [together.wait(PATIENCE)]
    tasks = [
        impl.spawn(impl.socket.getaddrinfo, "slow.test", 80) for _ in range(5)
    ]
    impl.joinall(tasks, raise_error=True)


def test_more_look_ups_than_threads_are_all_answered(impl):
    tasks = [
        impl.spawn(impl.socket.gethostbyname, "localhost") for _ in range(40)
    ]
    impl.joinall(tasks, raise_error=True)
    assert {task.value for task in tasks} == {"127.0.0.1"}


def test_each_thread_has_its_own_answers(impl):
    found = []

    def look_up():
        found.append(impl.socket.gethostbyname("localhost"))
        impl.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=look_up)
    thread.start()
    thread.join()
    assert found == ["127.0.0.1"]


def run_script(script, name):
    """Run *script* with the library of that *name*; return what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, name],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not done.stderr
    assert done.returncode == 0
    return done.stdout


SCRIPT = """
import _socket, importlib, os, sys, time
lib = importlib.import_module(sys.argv[1])
socket = importlib.import_module(sys.argv[1] + ".socket")
"""

FORKS = (
    SCRIPT
    + """
print(socket.gethostbyname("localhost"), flush=True)
if os.fork():
    sys.exit(os.wait()[1])
if hasattr(lib, "reinit"):
    lib.reinit()
with lib.Timeout(5):
    print(socket.gethostbyname("localhost"), flush=True)
"""
)

LEAVES = (
    SCRIPT
    + """
def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    if flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, "not a number")
    time.sleep(60)
_socket.getaddrinfo = getaddrinfo
with lib.Timeout(0.01, False):
    socket.getaddrinfo("slow.test", 80)
print("done")
"""
)


def test_a_forked_child_looks_up_names(impl):
    assert run_script(FORKS, impl.name) == "127.0.0.1\n127.0.0.1\n"


def test_no_look_up_holds_up_the_end_of_the_process(impl):
    assert run_script(LEAVES, impl.name) == "done\n"


def test_an_answer_for_a_hub_that_is_gone_harms_nobody(slow_host, known_hosts):
    # Ours only: the hubs of all threads share the threads that look up.
    def leave():
        task = evening.spawn(ours.getaddrinfo, "slow.test", 80)
        evening.sleep(0)
        evening.get_hub().destroy(destroy_loop=True)
        assert not task.ready()

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    slow_host.set()
    known_hosts["fast.test"] = []
    tasks = [
        evening.spawn(ours.getaddrinfo, "fast.test", 80)
        for _ in range(ours.Resolver.THREADS)
    ]
    evening.joinall(tasks, timeout=PATIENCE)
    assert [task.value for task in tasks] == [[]] * len(tasks)


# -- Names


def test_what_never_waits_is_the_standard_librarys(impl):
    assert impl.socket.AF_INET is standard.AF_INET
    assert impl.socket.timeout is TimeoutError
    with pytest.raises(AttributeError):
        _ = impl.socket.no_such_name


def test_each_name_of_the_standard_library_is_there(impl):
    missing = {
        name for name in standard.__all__ if not hasattr(impl.socket, name)
    }
    assert missing <= {"CAPI"}


def test_a_star_brings_all_names(impl):
    names = {}
    exec(f"from {impl.name}.socket import *", names)
    for name in ("socket", "wait_read", "cancel_wait", "getaddrinfo"):
        assert names[name] is getattr(impl.socket, name)
    for name in ("AF_INET", "SOCK_STREAM", "gaierror", "timeout", "inet_aton"):
        assert names[name] is getattr(standard, name)


def test_what_would_wait_is_not_the_standard_librarys(impl):
    for name in (
        "create_connection",
        "fromfd",
        "socket",
        "socketpair",
        *LOOK_UPS,
    ):
        assert getattr(impl.socket, name) is not getattr(standard, name)
    assert impl.socket.SocketType is impl.socket.socket


def test_no_method_of_the_standard_librarys_socket_is_missing(impl):
    missing = {
        name
        for name in dir(standard.socket)
        if not name.startswith("_") and not hasattr(impl.socket.socket, name)
    }
    assert missing <= {"sendmsg_afalg"}  # gevent finds it on the instance


def test_the_errors_are_the_standard_librarys(impl):
    assert impl.socket.error is OSError
    assert impl.socket.timeout is TimeoutError
    assert impl.socket.gaierror is standard.gaierror
    assert impl.socket.herror is standard.herror
    assert issubclass(impl.socket.cancel_wait_ex, OSError)
