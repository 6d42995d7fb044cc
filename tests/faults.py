"""Faults of layers 2 to 4, one function each.

``python tests/faults.py LIBRARY NAME`` proves one on ``gevent``, on
``evening``, or on ``poll``, which is evening on its portable backend.  It
exits with 0, or says what was wrong.  One that hangs prints where every
greenlet waits, and exits with 3.  What a library gets wrong here may hang,
spin or take the process down: a test starts each in a child
(``test_faults.py``).

Order comes from switching: ``sleep(0)`` lets what is ready run, ``turn``
makes the loop ask the kernel.  Over the loopback what was sent is there.
"""

import ctypes
import errno
import gc
import hashlib
import importlib
import io
import itertools
import linecache
import os
import random
import re
import resource
import select
import signal
import socket as standard
import struct
import sys
import threading
import time
import traceback
import warnings
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import SimpleNamespace

LIMIT = 120  # seconds for a scenario; the longest takes some five, alone
PAGE = resource.getpagesize()
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # of SO_LINGER: send RST, not FIN

NUMBERS = itertools.count()
SCENARIOS = {}


def scenario(prove):
    SCENARIOS[prove.__name__] = prove
    return prove


# -- The library under test


def library(name):
    """Return a package under gevent's API: its names, and its layers."""
    package = importlib.import_module(name.replace("poll", "evening"))
    if name == "poll":
        core = importlib.import_module("evening.core")
        core.default_backend = core.Poll
    layers = {
        layer: importlib.import_module(f"{package.__name__}.{layer}")
        for layer in ("core", "event", "hub", "socket")
    }
    layers["greenlet"], layers["errors"] = (
        map(importlib.import_module, ("greenlet", "gevent.exceptions"))
        if name == "gevent"
        else (importlib.import_module("evening.greenlet"), layers["hub"])
    )
    return SimpleNamespace(**vars(package) | layers)


def turn(lib):
    """Let the loop ask the kernel, and whoever it wakes run."""
    lib.sleep(0.0005)


def started(lib, function, *args):
    """Return a greenlet of *function* that has run until it waits."""
    task = lib.spawn(function, *args)
    lib.sleep(0)
    return task


def until(lib, condition, turns=2000):
    """Turn until *condition* holds."""
    for _ in range(turns):
        if condition():
            return
        turn(lib)
    raise AssertionError(f"{turns} turns, and still not: {condition}")


def ended(lib, *tasks, within=5):
    """Wait for *tasks*, which must end."""
    lib.joinall(tasks, timeout=within)
    late = [task for task in tasks if not task.ready()]
    assert not late, f"after {within} s these still wait: {late}"


def count_turns(lib):
    """Return a list that grows by one with each turn of the loop."""
    turns = []
    watcher = lib.get_hub().loop.prepare(ref=False)
    watcher.start(lambda: turns.append(watcher))
    return turns


def silent(lib):
    """Have the hub print its errors to a stream that is returned."""
    lib.get_hub().exception_stream = stream = io.StringIO()
    return stream


def raises(kind, call, *args):
    """Return the error of this *kind* that *call* must raise."""
    try:
        result = call(*args)
    except kind as caught:
        return caught
    raise AssertionError(f"{call} returned {result!r}")


# -- Sockets


def pair(lib, *args):
    return lib.socket.socketpair(*args)


def listener(lib, backlog=128):
    sock = lib.socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(backlog)
    return sock


def unix_listener(lib):
    """Return one whose connections have small buffers, and drop nothing.

    TCP with a small buffer may drop segments, and be slow to send them anew.
    """
    sock = lib.socket.socket(standard.AF_UNIX)
    sock.bind(f"\0faults-{os.getpid()}-{next(NUMBERS)}")
    sock.listen()
    return sock


def client_of(lib, door):
    """Return a socket to connect to *door*."""
    sock = lib.socket.socket(door.family)
    if door.family == standard.AF_UNIX:
        shrink(sock, 4096)
    return sock


def tcp_pair(lib, buffers=None):
    """Return both ends of a TCP connection, perhaps with small *buffers*."""
    with listener(lib) as door:
        client = lib.socket.socket()
        for sock in (door, client):
            if buffers is not None:
                shrink(sock, buffers)
        client.connect(door.getsockname())
        return client, door.accept()[0]


def shrink(sock, size):
    for option in standard.SO_SNDBUF, standard.SO_RCVBUF:
        sock.setsockopt(standard.SOL_SOCKET, option, size)


def reset(sock):
    """Close with RST instead of FIN."""
    sock.setsockopt(standard.SOL_SOCKET, standard.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


def fill(sock):
    """Send until the kernel takes no more; return how much it took."""
    before, sent = sock.gettimeout(), 0
    sock.settimeout(0)
    with suppress(BlockingIOError):
        while True:
            sent += sock.send(b"x" * 65536)
    sock.settimeout(before)
    return sent


def read(sock, size):
    """Return exactly *size* bytes."""
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, f"EOF after {len(data)} of {size} bytes"
        data += chunk
    return bytes(data)


def echo(conn):
    """Hand back what comes, until EOF."""
    with conn:
        while data := conn.recv(4096):
            conn.sendall(data)


def ask(sock, rounds, size=10):
    """Have *rounds* random messages echoed, and check each; then close."""
    with sock:
        for _ in range(rounds):
            data = os.urandom(size)
            sock.sendall(data)
            assert read(sock, size) == data


def bystanders(lib, rounds=20):
    """Start an echo pair; return both greenlets, which must end well."""
    left, right = pair(lib)
    return lib.spawn(echo, left), lib.spawn(ask, right, rounds)


def ended_well(lib, *tasks):
    ended(lib, *tasks)
    for task in tasks:
        task.get()


# -- What a process holds


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident():
    """Return how much memory the process has now, in bytes.

    What was freed does not count where Python takes its memory from malloc;
    its own arenas keep it, and settle only after many passes.
    """
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * PAGE


def greenlets(lib):
    """Return how many greenlets are alive."""
    gc.collect()
    kind = lib.greenlet.greenlet
    return sum(isinstance(one, kind) and bool(one) for one in gc.get_objects())


def raise_the_limit():
    """Allow as many descriptors as the machine does; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def no_descriptors_left():
    """Take all but one number below a low limit; yield a function.

    The function frees a descriptor.  At the end all are free.
    """
    linecache.getline(__file__, 1)  # to print errors it imports and opens
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, limits[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield lambda: os.close(taken.pop())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)


# -- Out of descriptors


@scenario
def accept_without_a_descriptor_fails_and_recovers_when_one_is_free(lib):
    with listener(lib) as door, ExitStack() as stack:
        clients = [stack.enter_context(lib.socket.socket()) for _ in range(2)]
        task = started(lib, door.accept)  # waits for the first
        with no_descriptors_left() as free:
            for client in clients:
                client.connect(door.getsockname())
            assert raises(OSError, task.get).errno == errno.EMFILE
            assert raises(OSError, door.accept).errno == errno.EMFILE
            # Nothing new arrives: those two wait in the backlog.
            free()
            conn, address = door.accept()
            assert address == clients[0].getsockname()
            assert raises(OSError, door.accept).errno == errno.EMFILE
            free()
            other, address = door.accept()
            assert address == clients[1].getsockname()
            for sock in (conn, other):
                sock.close()


@scenario
def a_backlog_that_nobody_can_accept_does_not_spin_the_loop(lib):
    silent(lib)
    with listener(lib) as door, lib.socket.socket() as client:
        task = started(lib, door.accept)
        with no_descriptors_left():
            client.connect(door.getsockname())
            raises(OSError, task.get)
            turns = count_turns(lib)
            lib.sleep(0.1)
            assert len(turns) <= 5, f"{len(turns)} turns of an idle loop"


@scenario
def a_server_out_of_descriptors_goes_on_serving_those_it_has(lib):
    failures = []

    def serve():
        while True:
            try:
                conn, _ = door.accept()
            except OSError as error:
                failures.append(error.errno)
                turn(lib)
            else:
                lib.spawn(echo, conn)

    with listener(lib) as door:
        server = started(lib, serve)
        first, second = lib.socket.socket(), lib.socket.socket()
        first.connect(door.getsockname())
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        with no_descriptors_left() as free:
            second.connect(door.getsockname())
            until(lib, lambda: len(failures) >= 3)
            ask(first, 20)
            free()
            ask(second, 20)
        server.kill()
        assert set(failures) == {errno.EMFILE}


@scenario
def to_make_a_socket_without_a_descriptor_leaves_nothing_behind(lib):
    tasks = bystanders(lib)
    before = descriptors()
    with no_descriptors_left() as free:
        for make in lib.socket.socket, lib.socket.socketpair:
            assert raises(OSError, make).errno == errno.EMFILE
        free()  # one is not enough for two
        assert raises(OSError, lib.socket.socketpair).errno == errno.EMFILE
        lib.socket.socket().close()
    assert descriptors() == before
    ended_well(lib, *tasks)


# -- Resets


@scenario
def a_reset_in_the_middle_of_sendall_raises_there(lib):
    client, server = tcp_pair(lib)
    task = started(lib, client.sendall, b"x" * 20_000_000)
    read(server, 100_000)
    turn(lib)
    assert not task.ready()
    reset(server)
    ended(lib, task)
    assert isinstance(task.exception, ConnectionResetError | BrokenPipeError)
    raises((BrokenPipeError, ConnectionResetError), client.sendall, b"x")
    client.close()


@scenario
def a_reset_wakes_one_who_reads(lib):
    client, server = tcp_pair(lib)
    task = started(lib, client.recv, 10)
    reset(server)
    ended(lib, task)
    assert isinstance(task.exception, ConnectionResetError)
    assert client.recv(10) == b"", "it was told once"
    client.close()


@scenario
def a_reset_wakes_both_who_reads_and_who_writes(lib):
    silent(lib)
    client, server = tcp_pair(lib)
    fill(client)
    reader = started(lib, client.recv, 10)
    writer = started(lib, client.sendall, b"x" * 1000)
    turn(lib)
    assert not reader.ready() and not writer.ready()
    reset(server)
    ended(lib, reader, writer)
    errors = [task.exception for task in (reader, writer)]
    kinds = ConnectionResetError | BrokenPipeError
    assert any(isinstance(error, kinds) for error in errors), errors
    assert reader.value in (None, b"")
    assert isinstance(writer.exception, kinds)
    client.close()


@scenario
def a_connection_reset_in_the_backlog_is_accepted_and_says_so(lib):
    with listener(lib) as door:
        client = lib.socket.socket()
        client.connect(door.getsockname())
        reset(client)
        conn, _ = door.accept()
        raises(ConnectionResetError, conn.recv, 10)
        conn.close()
        client = lib.socket.socket()
        client.connect(door.getsockname())
        client.sendall(b"next")
        conn, _ = door.accept()
        assert conn.recv(10) == b"next"
        for sock in (client, conn):
            sock.close()


# -- Half a close


def broke(task):
    return isinstance(task.exception, BrokenPipeError)


def was_cancelled(lib, task):
    return isinstance(task.exception, lib.socket.cancel_wait_ex)


@scenario
def one_direction_may_end_while_the_other_streams(lib):
    data = os.urandom(3_000_000)
    for client, server in (tcp_pair(lib), pair(lib)):
        client.sendall(b"ask")
        client.shutdown(standard.SHUT_WR)
        task = started(lib, server.sendall, data)
        assert server.recv(10) == b"ask"
        assert server.recv(10) == b""
        assert read(client, len(data)) == data
        task.get()
        server.close()
        assert client.recv(10) == b"" == client.recv(10)
        client.close()


@scenario
def a_shutdown_ends_ones_own_wait_for_data(lib):
    for client, server in (tcp_pair(lib), pair(lib)):
        task = started(lib, client.recv, 10)
        turn(lib)
        client.shutdown(standard.SHUT_RD)
        ended(lib, task)
        assert task.value == b"" or was_cancelled(lib, task)
        client.sendall(b"still writes")
        assert server.recv(100) == b"still writes"
        client.close(), server.close()


@scenario
def a_shutdown_ends_ones_own_wait_for_room(lib):
    silent(lib)
    for client, server in (tcp_pair(lib), pair(lib)):
        sent = fill(client)
        task = started(lib, client.sendall, b"x")
        turn(lib)
        assert not task.ready()
        client.shutdown(standard.SHUT_WR)
        ended(lib, task)
        assert broke(task) or was_cancelled(lib, task)
        assert len(read(server, sent)) == sent
        assert server.recv(1) == b""
        client.close(), server.close()


@scenario
def a_peers_shutdown_of_its_reading_breaks_the_pipe(lib):
    left, right = pair(lib)
    task = started(lib, left.recv, 100)
    right.shutdown(standard.SHUT_RD)
    turn(lib)
    raises(BrokenPipeError, left.sendall, b"x")
    assert not task.ready()
    right.sendall(b"still writes")
    assert task.get() == b"still writes"
    left.close(), right.close()


@scenario
def a_shutdown_of_both_wakes_both(lib):
    silent(lib)
    client, server = tcp_pair(lib)
    fill(client)
    reader = started(lib, client.recv, 10)
    writer = started(lib, client.sendall, b"x")
    turn(lib)
    client.shutdown(standard.SHUT_RDWR)
    ended(lib, reader, writer)
    assert reader.value == b"" or was_cancelled(lib, reader)
    assert broke(writer) or was_cancelled(lib, writer)
    client.close(), server.close()


# -- Slow peers


@scenario
def sendall_to_one_who_never_reads_times_out_and_others_run(lib):
    for client, server in (tcp_pair(lib), pair(lib)):
        data = os.urandom(10_000_000)
        client.settimeout(0.5)
        task = started(lib, client.sendall, data)
        ended_well(lib, *bystanders(lib, 50))
        assert not task.ready()
        ended(lib, task)
        assert isinstance(task.exception, TimeoutError)
        # What the kernel took is there, in order; the connection still works.
        client.shutdown(standard.SHUT_WR)
        received = bytearray()
        while chunk := server.recv(1 << 20):
            received += chunk
        assert 0 < len(received) < len(data)
        assert data.startswith(received)
        client.close(), server.close()


@scenario
def each_wait_has_its_whole_timeout(lib):
    """Waits that ended in time leave no alarm that rings in a later one."""
    left, right = pair(lib)
    left.settimeout(0.5)
    for n in range(3):  # together they last longer than the timeout
        later = lib.spawn_later(0.2, right.sendall, b"%d" % n)
        assert left.recv(10) == b"%d" % n
        later.join()
    assert lasts(0.5, raises, TimeoutError, left.recv, 10)
    left.settimeout(10)
    lib.spawn_later(0.001, right.sendall, b"x")
    assert left.recv(10) == b"x"
    left.settimeout(0.02)
    begin = time.monotonic()
    raises(TimeoutError, left.recv, 10)
    assert time.monotonic() - begin < 5, "it waited as long as before"
    left.settimeout(0.01)
    fill(left)
    raises(TimeoutError, left.sendall, b"x")
    left.settimeout(None)
    task = started(lib, left.recv, 10)
    lib.sleep(0.03)
    assert not task.ready(), "an alarm that was taken back rang"
    right.sendall(b"data")
    assert task.get() == b"data"


@scenario
def a_wait_that_ended_in_time_keeps_no_hub_from_its_end(lib):
    left, right = pair(lib)
    left.settimeout(60)
    task = started(lib, left.recv, 10)
    right.sendall(b"x")
    assert task.get() == b"x"
    assert lib.get_hub().join(timeout=5), "something is left to wait for"
    raises(lib.errors.LoopExit, lib.get_hub().switch)


@scenario
def connections_with_timeouts_leave_no_alarms(lib, count=1000):
    def visit():
        left, right = pair(lib)
        left.settimeout(3600)
        task = started(lib, left.recv, 10)
        right.sendall(b"x")
        assert task.get() == b"x"
        left.close(), right.close()

    counts = []
    for _ in range(3):
        for _ in range(count):
            visit()
        gc.collect()
        counts.append(len(gc.get_objects()))
    # A heap may keep some hundred that were cancelled.
    assert counts[2] - counts[1] < count / 2, counts


@scenario
def two_thousand_slow_requests_do_not_slow_the_live_ones(lib, count=2000):
    """Each slow one sends a byte now and then and never ends its request."""
    hard = raise_the_limit()
    assert hard > 2 * count + 100, (
        f"this machine allows {hard} descriptors, and this needs "
        f"{2 * count + 100}: raise the hard limit (ulimit -Hn)"
    )
    turns, steps = count_turns(lib), []

    def read_request(conn):
        line = b""
        while not line.endswith(b"\n"):
            line += conn.recv(100)
            steps.append(conn)

    def live(rounds=50):
        before = len(turns)
        pairs = [bystanders(lib, rounds) for _ in range(5)]
        ended_well(lib, *itertools.chain(*pairs))
        return len(turns) - before

    alone = live()
    slow = [pair(lib) for _ in range(count)]
    tasks = [lib.spawn(read_request, conn) for conn, _ in slow]
    turn(lib)
    beside_idle_ones = live()
    assert steps == []
    assert beside_idle_ones <= 1.2 * alone + 10, (beside_idle_ones, alone)
    for _, peer in slow:
        peer.send(b"G")
    beside_a_burst = live()
    assert len(steps) == count, "each was served once"
    assert beside_a_burst <= 1.2 * alone + 10, (beside_a_burst, alone)
    for _, peer in slow:
        peer.send(b"\n")
    ended_well(lib, *tasks)


# -- Signals


def bombard(signum, heard, count):
    """Send the process *signum* until *heard* has *count* of them."""
    while len(heard) < count:
        os.kill(os.getpid(), signum)
        time.sleep(0.001)  # it hears one at a time


@scenario
def a_signal_while_all_wait_is_handled_and_the_wait_goes_on(lib):
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    left, right = pair(lib)
    task = started(lib, left.recv, 10)
    thread = threading.Thread(target=bombard, args=(signal.SIGUSR1, heard, 50))
    thread.start()
    with lib.Timeout(20):
        while len(heard) < 50:
            lib.sleep(0.01)
            assert not task.ready()
    thread.join()
    right.sendall(b"data")
    assert task.get() == b"data"


@scenario
def a_signal_while_nothing_has_a_time_is_handled(lib):
    """No timer wakes the loop: only the signal can."""
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    left, right = pair(lib)

    def bombard_and_send():
        bombard(signal.SIGUSR1, heard, 10)
        os.write(right.fileno(), b"data")

    thread = threading.Thread(target=bombard_and_send)
    thread.start()
    assert left.recv(10) == b"data"
    thread.join()
    assert len(heard) >= 10


@scenario
def an_error_of_a_signal_handler_is_raised_in_main(lib):
    class Alarm(Exception):
        pass

    def fail(*_):
        raise Alarm

    silent(lib)
    signal.signal(signal.SIGUSR1, fail)
    left, right = pair(lib)
    task = started(lib, left.recv, 10)
    signaller = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
    signaller.start()
    raises(Alarm, lib.sleep, 10)
    signaller.join()
    assert not task.ready()
    right.sendall(b"data")
    assert task.get() == b"data"


@scenario
def data_in_a_storm_of_signals_arrives_whole(lib):
    heard = []
    signal.signal(signal.SIGPROF, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    streams = [stream_both_ways(lib, tcp_pair(lib, 8192)) for _ in range(2)]
    ended_well(lib, *itertools.chain(*streams))
    until(lib, lambda: len(heard) > 5, 10**6)
    signal.setitimer(signal.ITIMER_PROF, 0)


# -- Small buffers


def stream_both_ways(lib, ends, size=300_000):
    """Start senders and readers of random data; return the greenlets."""
    tasks = []
    for sender, receiver in (ends, ends[::-1]):
        data = random.randbytes(size)
        digest = hashlib.sha256(data).digest()
        tasks.append(lib.spawn(sender.sendall, data))
        tasks.append(lib.spawn(check_stream, receiver, size, digest))
    return tasks


def check_stream(sock, size, digest):
    """Read *size* bytes in bites of many sizes; check what they are."""
    received = bytearray()
    while len(received) < size:
        bite = random.choice((1, 100, 1448, 4096, 65536))
        chunk = sock.recv(min(bite, size - len(received)))
        assert chunk, f"EOF after {len(received)} of {size} bytes"
        received += chunk
    assert hashlib.sha256(received).digest() == digest


@scenario
def through_the_smallest_buffers_all_arrives_in_order(lib):
    streams = [
        stream_both_ways(lib, tcp_pair(lib, 1), 100_000),
        stream_both_ways(lib, tcp_pair(lib, 4096)),
    ]
    left, right = pair(lib)
    shrink(left, 1), shrink(right, 1)
    streams.append(stream_both_ways(lib, (left, right)))
    ended_well(lib, *itertools.chain(*streams))


@scenario
def partial_sends_add_up(lib):
    left, right = pair(lib)
    shrink(left, 1), shrink(right, 1)
    data = random.randbytes(200_000)
    sizes = []

    def send():
        view = memoryview(data)
        while view:
            sizes.append(left.send(view))
            view = view[sizes[-1] :]

    task = lib.spawn(send)
    assert read(right, len(data)) == data
    task.get()
    assert len(sizes) > 10 and min(sizes) > 0 and sum(sizes) == len(data)


@scenario
def a_buffer_that_was_emptied_while_nobody_looked_has_room(lib):
    for left, right in (pair(lib), tcp_pair(lib)):
        for _ in range(3):
            sent = fill(left)
            assert len(read(right, sent)) == sent
            left.sendall(b"go on")
            assert read(right, 5) == b"go on"
        left.close(), right.close()


@scenario
def a_buffer_filled_to_the_last_byte_makes_the_next_one_wait(lib):
    left, right = pair(lib)
    while True:  # no send fails, and none is cut short
        left.settimeout(0)
        try:
            left.send(b"x")
        except BlockingIOError:
            break
    left.settimeout(None)
    task = started(lib, left.sendall, b"end")
    turn(lib)
    assert not task.ready()
    while not task.ready():
        assert right.recv(1 << 16)
        turn(lib)
    task.get()
    left.close()
    rest = b""
    while chunk := right.recv(1 << 16):
        rest = (rest + chunk)[-3:]
    assert rest in (b"end", b"")


@scenario
def one_may_send_again_and_again_to_one_who_sips(lib):
    """Each sip makes room once; each room must be told."""
    left, right = tcp_pair(lib, 1)
    total = 60_000
    task = started(lib, left.sendall, b"x" * total)
    received = 0
    while received < total:
        received += len(right.recv(700))
        lib.sleep(0)
    ended_well(lib, task)


# -- Descriptors that come back


def next_pair(lib, fd):
    """Return a pair whose first end has the number *fd* of one that closed.

    gevent closes a turn later where somebody waits.
    """
    until(lib, lambda: not os.path.exists(f"/proc/self/fd/{fd}"))
    left, right = pair(lib)
    if right.fileno() == fd:
        left, right = right, left
    assert left.fileno() == fd, "its number did not come back"
    return left, right


def hears_nothing_of(lib, poke, left, right):
    """Prove that *left*'s reader is not woken by *poke*, but by *right*."""
    task = started(lib, left.recv, 100)
    turns = count_turns(lib)
    poke()
    for _ in range(3):
        turn(lib)
    assert not task.ready(), task.value
    lib.sleep(0.05)
    assert len(turns) < 20, f"it spins: {len(turns)} turns in 50 ms"
    right.sendall(b"its own")
    ended(lib, task)
    assert task.get() == b"its own"
    left.settimeout(0.001)
    raises(TimeoutError, left.recv, 1)
    left.close(), right.close()


@scenario
def a_number_that_comes_back_hears_nothing_of_its_old_socket(lib):
    left, right = pair(lib)
    task = started(lib, left.recv, 10)
    fd = left.fileno()
    right.sendall(b"old")
    left.close()  # while the kernel has its event, and somebody waits
    new, peer = next_pair(lib, fd)
    hears_nothing_of(lib, lambda: None, new, peer)
    assert isinstance(task.exception, lib.socket.cancel_wait_ex)


@scenario
def what_was_known_of_a_number_is_forgotten_with_its_socket(lib):
    def readable(left, right):
        right.sendall(b"unread")

    def gone(left, right):
        right.close()

    def full(left, right):
        fill(left)

    def both_waited(left, right):
        fill(left)
        for call, arg in (left.recv, 10), (left.sendall, b"x"):
            started(lib, call, arg).kill()

    for history in readable, gone, full, both_waited:
        left, right = pair(lib)
        history(left, right)
        turn(lib)
        fd = left.fileno()
        left.close(), right.close()
        new, peer = next_pair(lib, fd)
        new.sendall(b"room")
        assert peer.recv(10) == b"room"
        hears_nothing_of(lib, lambda: None, new, peer)


@scenario
def a_copy_that_stays_open_does_not_reach_the_next_socket(lib):
    for history in "waits", "waited", "full":
        left, right = pair(lib)
        task = started(lib, left.recv, 10)
        if history == "waited":
            right.sendall(b"x")
            ended_well(lib, task)
        elif history == "full":
            fill(left)
            started(lib, left.sendall, b"x")
        fd, copy = left.fileno(), os.dup(left.fileno())
        silent(lib)
        left.close()
        new, peer = next_pair(lib, fd)
        hears_nothing_of(lib, partial(right.sendall, b"old"), new, peer)
        os.close(copy)
        right.close()


@scenario
def a_copy_in_a_forked_child_does_not_reach_the_next_socket(lib):
    silent(lib)
    left, right = pair(lib)
    started(lib, left.recv, 10)
    stop, stopper = os.pipe()
    pid = os.fork()
    if pid == 0:  # keeps all that it inherited
        os.close(stopper)
        os.read(stop, 1)
        os._exit(0)
    fd = left.fileno()
    left.close()
    new, peer = next_pair(lib, fd)
    hears_nothing_of(lib, lambda: right.sendall(b"old"), new, peer)
    os.close(stopper)
    os.waitpid(pid, 0)


@scenario
def a_duplicate_goes_on_when_the_first_is_closed(lib):
    left, right = pair(lib)
    twin = left.dup()
    first, second = started(lib, left.recv, 10), started(lib, twin.recv, 10)
    left.close()
    ended(lib, first)
    assert isinstance(first.exception, lib.socket.cancel_wait_ex)
    turn(lib)
    assert not second.ready()
    right.sendall(b"data")
    ended_well(lib, second)
    assert second.value == b"data"
    fill(twin)
    writer = started(lib, twin.sendall, b"x")
    while not writer.ready():
        right.recv(1 << 20)
        turn(lib)
    writer.get()


@scenario
def a_descriptor_given_away_and_taken_back_is_watched(lib):
    left, right = pair(lib)
    for n in range(5):
        task = started(lib, left.recv, 10)
        right.sendall(b"%d" % n)
        assert task.get() == b"%d" % n
        fd = left.detach()
        left = lib.socket.socket(fileno=fd)
    left.close()
    assert right.recv(1) == b""


@scenario
def a_second_object_on_a_descriptor_may_come_and_go(lib):
    left, right = pair(lib)
    for n in range(3):
        second = lib.socket.socket(fileno=left.fileno())
        task = started(lib, second.recv, 10)
        right.sendall(b"second")
        assert task.get() == b"second"
        second.detach()
        task = started(lib, left.recv, 10)
        turn(lib)
        assert not task.ready()
        right.sendall(b"%d" % n)
        ended_well(lib, task)
        assert task.value == b"%d" % n


@scenario
def a_socket_that_is_forgotten_leaves_its_number_and_no_trace(lib):
    warnings.simplefilter("ignore", ResourceWarning)

    def forget(history):
        left, right = pair(lib)
        if history == "waited":
            task = started(lib, left.recv, 10)
            right.sendall(b"x")
            ended_well(lib, task)
        elif history == "timed out":
            left.settimeout(0.001)
            raises(TimeoutError, left.recv, 1)
        elif history == "gone":
            right.close()
            turn(lib)
        elif history == "full":
            fill(left)
            started(lib, left.sendall, b"x").kill()
        return left.fileno()

    turn(lib)
    before = descriptors()
    for history in "new", "waited", "timed out", "gone", "full":
        fd = forget(history)
        lib.sleep(0)
        gc.collect()
        assert descriptors() == before, f"it stays open ({history})"
        new, peer = next_pair(lib, fd)
        hears_nothing_of(lib, lambda: None, new, peer)


@scenario
def thousands_of_numbers_come_back_within_one_turn(lib):
    """The loop is never asked between a close and the next socket."""
    door = listener(lib)
    for n in range(1000):
        client = lib.socket.socket()
        client.connect(door.getsockname())
        conn, _ = door.accept()
        client.sendall(b"x")
        if n % 3 == 0:
            assert conn.recv(10) == b"x"
        (reset if n % 2 else type(conn).close)(conn)
        client.close()
    door.close()


# -- Many connections


@scenario
def ten_thousand_connections_twice_leave_nothing(lib, count=10_000):
    hard = raise_the_limit()
    step = min(count, (hard - 200) // 2)
    assert step >= 1000, (
        f"this machine allows {hard} descriptors: too few for 1,000 "
        "connections at once; raise the hard limit (ulimit -Hn)"
    )
    if step < count:
        print(
            f"the hard limit of {hard} descriptors is too small for {count:,}"
            f" connections at once: they come in steps of {step:,}"
        )
    open_and_close(lib, step)
    fds, alive, sizes = descriptors(), greenlets(lib), []
    objects = len(gc.get_objects())
    for _ in range(2):
        for done in range(0, count, step):
            open_and_close(lib, min(step, count - done))
        gc.collect()
        assert descriptors() == fds
        assert greenlets(lib) == alive
        sizes.append(resident())
    objects = len(gc.get_objects()) - objects
    assert objects < 100, f"{objects} objects more"
    # One socket and its greenlet are well over a kilobyte.
    growth = sizes[1] - sizes[0]
    assert growth < 500 * count, f"{growth:,} bytes for {count:,} connections"


def open_and_close(lib, count):
    """Have *count* connections open at once, each with one who waits."""
    served = []

    def serve(conn):
        with conn, suppress(ConnectionResetError):
            served.append(conn.recv(10))
            conn.recv(10)

    with listener(lib, 1000) as door:
        clients, tasks = [], []
        for _ in range(count):
            client = lib.socket.socket()
            client.connect(door.getsockname())
            clients.append(client)
            tasks.append(lib.spawn(serve, door.accept()[0]))
        for client in clients:
            client.sendall(b"x")
        until(lib, lambda: len(served) == count)
        for client in clients:
            reset(client)  # leaves no port in TIME_WAIT
        ended_well(lib, *tasks)


# -- Errors that nobody caught


class Oops(Exception):
    """What callbacks and greenlets here fail with."""


def fails(*_):
    raise Oops("on purpose")


@scenario
def an_error_in_any_callback_is_told_with_its_owner(lib):
    loop, stream = lib.get_hub().loop, silent(lib)
    ready, peer = pair(lib)
    peer.sendall(b"x")
    watchers = [
        loop.timer(0.001),
        loop.io(ready.fileno(), 1),
        loop.prepare(ref=False),
        loop.check(ref=False),
        loop.async_(),
    ]
    tasks = bystanders(lib, 50)
    for watcher in watchers:

        def fail(watcher=watcher):
            watcher.stop()
            raise Oops(type(watcher).__name__)

        watcher.start(fail)
    watchers[-1].send()
    loop.run_callback(fails)
    loop.run_callback_threadsafe(fails)
    until(lib, lambda: stream.getvalue().count("Oops: ") >= 7)
    ended_well(lib, *tasks)
    told = stream.getvalue()
    owners = re.findall(r"^.*<(.+)> failed with Oops$", told, re.M)
    assert len(owners) == 7, told
    for watcher in watchers:
        assert f"Oops: {type(watcher).__name__}" in told
        watcher.close()
    ready.close()


@scenario
def an_error_in_a_greenlet_is_told_with_its_owner(lib):
    stream = silent(lib)
    tasks = bystanders(lib)
    failed = [lib.spawn(fails), lib.spawn_later(0.001, fails)]
    lib.spawn_raw(fails)
    linked = lib.spawn(lambda: "done")
    linked.rawlink(fails)
    linked.link(fails)
    ended_well(lib, *tasks, linked)
    ended(lib, *failed)
    until(lib, lambda: stream.getvalue().count("failed with Oops") == 5)
    for owner in failed:
        assert f"{id(owner):#x}" in stream.getvalue(), stream.getvalue()


@scenario
def an_owner_that_cannot_be_shown_does_not_hide_the_error(lib):
    class Mute:
        def __call__(self):
            raise Oops

        def __repr__(self):
            raise RuntimeError("no repr")

    stream = silent(lib)
    lib.get_hub().loop.run_callback(Mute())
    with suppress(RuntimeError):
        turn(lib)
    turn(lib)
    assert "Oops" in stream.getvalue()
    ended_well(lib, *bystanders(lib))


@scenario
def an_error_that_cannot_be_printed_does_not_end_the_hub(lib):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "no space left")

    lib.get_hub().exception_stream = Full()
    task = lib.spawn(fails)
    lib.get_hub().loop.run_callback(fails)
    ended(lib, task)
    turn(lib)
    lib.get_hub().exception_stream = None
    assert isinstance(task.exception, Oops)
    ended_well(lib, *bystanders(lib))


@scenario
def an_error_while_it_is_killed_does_not_stop_the_killer(lib):
    silent(lib)

    def die_badly(sock):
        try:
            sock.recv(10)
        finally:
            fails()

    left, _ = pair(lib)
    task = started(lib, die_badly, left)
    task.kill()
    assert isinstance(task.exception, Oops)
    ended_well(lib, *bystanders(lib))


@scenario
def an_exit_in_a_greenlet_reaches_main_and_the_others_go_on(lib):
    silent(lib)
    tasks = bystanders(lib)
    lib.spawn(sys.exit, 7)
    assert raises(SystemExit, lib.sleep, 10).code == 7
    ended_well(lib, *tasks)


# -- Those that never stop


# In how many of its rounds a spinner sees another's input served.  gevent
# calls back for one switch interval before it asks the kernel.
ROUNDS = {"gevent": 1000, "evening": 40}


def rounds_of(lib):
    return ROUNDS[lib.__name__]


def served_beside(lib, spin, rounds=20):
    """Echo beside *spin*, which counts; each echo comes after few rounds."""
    sys.setswitchinterval(1e-5)
    counts, left, right = [], *pair(lib)
    server = lib.spawn(echo, left)
    spun = [0]
    spin(spun)
    lib.sleep(0)
    for _ in range(rounds):
        before = spun[0]
        right.sendall(b"x")
        assert right.recv(1) == b"x"
        counts.append(spun[0] - before)
    right.close()
    ended_well(lib, server)
    # Two waits each: the server's and ours.
    assert max(counts) <= 2 * rounds_of(lib), counts


@scenario
def input_beside_a_spinner_is_served_within_a_few_rounds(lib):
    def spinner(spun):
        while not stop:
            spun[0] += 1
            lib.sleep(0)

    stop = []
    served_beside(lib, lambda spun: lib.spawn(spinner, spun))
    # Nine more, uncounted: a round is a round.
    more = [lib.spawn(spinner, [0]) for _ in range(9)]
    served_beside(lib, lambda spun: lib.spawn(spinner, spun))
    stop.append(True)
    ended_well(lib, *more)


@scenario
def input_beside_endless_births_is_served(lib):
    def breed(spun):
        spun[0] += 1
        if not stop:
            lib.spawn(breed, spun)

    stop = []
    served_beside(lib, lambda spun: lib.spawn(breed, spun))
    stop.append(True)
    lib.sleep(0)


@scenario
def input_beside_two_that_wake_each_other_is_served(lib):
    def play(mine, other, spun):
        while not stop:
            mine.wait()
            mine.clear()
            spun[0] += 1
            other.set()

    def start(spun):
        ping, pong = lib.event.Event(), lib.event.Event()
        lib.spawn(play, ping, pong, spun)
        lib.spawn(play, pong, ping, [0])
        ping.set()

    stop = []
    served_beside(lib, start)
    stop.append(True)
    turn(lib)


@scenario
def a_callback_that_queues_itself_lets_input_in(lib):
    loop = lib.get_hub().loop

    def again(spun):
        spun[0] += 1
        if not stop:
            loop.run_callback(again, spun)

    stop = []
    served_beside(lib, lambda spun: loop.run_callback(again, spun))
    stop.append(True)
    lib.sleep(0)


@scenario
def a_timer_beside_a_spinner_rings(lib):
    def spin():
        while True:
            lib.sleep(0)

    spinner = lib.spawn(spin)
    for _ in range(10):
        lib.sleep(0.001)
    with lib.Timeout(0.001, False):
        while True:
            lib.sleep(0)
    spinner.kill()


# -- At every switch of an exchange


def at_switch(lib, k, act):
    """Call *act* at the *k*-th switch from now; return the count, a list."""
    switches = []

    def tracer(event, pair):
        switches.append(event)
        if len(switches) == k:
            act()

    lib.greenlet.settrace(tracer)
    return switches


class Exchange:
    """A server greenlet, and a client greenlet that checks its echo."""

    rounds = 3

    def __init__(self, lib, listen):
        self.lib, self.door = lib, listen(lib)
        # Over TCP it waits to connect, over Unix to send.
        self.size = 100 if listen is listener else 20_000
        self.address = self.door.getsockname()
        self.server = lib.spawn(self.serve)
        self.client = lib.spawn(self.ask)
        # One that is killed before it began closes nothing itself.
        for task in (self.server, self.client):
            task.rawlink(lambda _: self.door.close())

    def serve(self):
        self.conn = None
        with self.door, suppress(OSError):
            self.conn, _ = self.door.accept()
            if self.door.family == standard.AF_UNIX:
                shrink(self.conn, 4096)
            echo(self.conn)

    def ask(self):
        with client_of(self.lib, self.door) as self.sock:
            with suppress(OSError):
                self.sock.connect(self.address)
                for n in range(self.rounds):
                    data = bytes([n]) * self.size
                    sender = self.lib.spawn(send_quietly, self.sock, data)
                    received = bytearray()
                    while len(received) < self.size:
                        chunk = self.sock.recv(4096)
                        if not chunk:
                            return sender.join()
                        received += chunk
                    assert received == data
                    sender.join()
                return "finished"


def send_quietly(sock, data):
    with suppress(OSError):
        sock.sendall(data)


def at_every_switch(lib, harm):
    """Run an exchange once for each of its switches, and *harm* it there.

    *harm* gets the exchange.  Both its greenlets must end, another exchange
    beside it must not notice, and nothing may be left.
    """
    silent(lib)
    for listen in listener, unix_listener:
        at_every_switch_of(lib, harm, listen)
    ended_well(lib, *bystanders(lib))


def at_every_switch_of(lib, harm, listen):
    def run(k):
        victim, other = Exchange(lib, listen), Exchange(lib, listen)
        switches = at_switch(lib, k, lambda: harm(victim))
        ended(lib, victim.server, victim.client, other.server, other.client)
        lib.greenlet.settrace(None)
        turn(lib)
        assert other.client.get() == "finished"
        return len(switches)

    run(0), run(0)  # whatever is made once is made
    # No later than when both are done, where it harms nobody.
    count = max(run(0) for _ in range(3)) + 1
    assert count > 20, count
    loop = lib.get_hub().loop
    fds, alive, active = descriptors(), greenlets(lib), loop.activecnt
    for k in range(1, count + 1):
        run(k)
        assert descriptors() == fds, f"descriptors leak at switch {k}"
        assert loop.activecnt == active, f"a watcher is left at switch {k}"
    assert greenlets(lib) == alive


@scenario
def a_server_killed_at_any_switch_leaves_nothing_behind(lib):
    at_every_switch(lib, lambda one: one.server.kill(block=False))


@scenario
def a_client_killed_at_any_switch_leaves_nothing_behind(lib):
    at_every_switch(lib, lambda one: one.client.kill(block=False))


@scenario
def a_server_that_times_out_at_any_switch_leaves_nothing_behind(lib):
    def ring(one):
        one.server.kill(lib.Timeout(None), block=False)

    at_every_switch(lib, ring)


@scenario
def a_client_that_times_out_at_any_switch_leaves_nothing_behind(lib):
    def ring(one):
        one.client.kill(lib.Timeout(None), block=False)

    at_every_switch(lib, ring)


@scenario
def a_pair_killed_at_any_switch_leaves_nothing_behind(lib):
    def kill_both(one):
        one.client.kill(block=False)
        one.server.kill(block=False)

    at_every_switch(lib, kill_both)


@scenario
def a_socket_closed_at_any_switch_leaves_nothing_behind(lib):
    def close(one):
        # In the loop, for a switch is no place to do anything else.
        lib.get_hub().loop.run_callback(close_now, one)

    def close_now(one):
        conn = getattr(one, "conn", None)
        (one.door if conn is None else conn).close()

    at_every_switch(lib, close)


class Resumed:
    """An echo whose every call is made again after a Timeout."""

    def __init__(self, lib, size=60_000):
        self.lib, self.hits, self.data = lib, 0, random.randbytes(size)
        door = unix_listener(lib)
        self.client = client_of(lib, door)
        server = started(lib, self.serve, door)
        self.client.connect(door.getsockname())
        sender = lib.spawn(self.send, self.client, self.data)
        self.tasks = [server, sender, lib.spawn(self.receive)]
        lib.sleep(0)  # one that has not begun can't catch a Timeout

    def again(self, call, *args):
        while True:
            try:
                return call(*args)
            except self.lib.Timeout:
                self.hits += 1

    def send(self, sock, data):
        while data:
            data = data[self.again(sock.send, data) :]

    def serve(self, door):
        with door:
            conn, _ = self.again(door.accept)
        with conn:
            while data := self.again(conn.recv, 4096):
                self.send(conn, data)

    def receive(self):
        received = b""
        while len(received) < len(self.data):
            received += self.again(self.client.recv, 4096)
        assert received == self.data

    def run(self, k, victim):
        """Interrupt greenlet number *victim* at switch *k*."""
        alarm, victim = self.lib.Timeout(None), self.tasks[victim]
        interrupt = partial(victim.kill, alarm, block=False)
        switches = at_switch(self.lib, k, interrupt)
        ended_well(self.lib, *self.tasks[1:])
        self.lib.greenlet.settrace(None)
        self.client.close()
        ended_well(self.lib, *self.tasks)
        return len(switches)


@scenario
def a_wait_that_is_interrupted_at_any_switch_loses_nothing(lib):
    for victim in range(3):
        count = max(Resumed(lib).run(0, victim) for _ in range(2))
        hits = 0
        for k in range(1, count - 3):
            exchange = Resumed(lib)
            exchange.run(k, victim)
            hits += exchange.hits
        assert hits > count // 4, (hits, count)


@scenario
def a_killed_one_may_wait_once_more_for_its_last_words(lib):
    def serve(conn):
        try:
            echo_once = conn.recv(10)
            conn.sendall(echo_once)
            conn.recv(10)
        finally:
            lib.sleep(0)
            turn(lib)
            conn.sendall(b"bye")
            conn.recv(10)
            conn.close()

    left, right = pair(lib)
    task = lib.spawn(serve, left)
    right.sendall(b"hi")
    assert right.recv(10) == b"hi"
    task.kill(block=False)
    assert right.recv(10) == b"bye"
    assert not task.ready()
    right.sendall(b"bye")
    assert right.recv(10) == b""
    ended(lib, task)


@scenario
def one_that_refuses_to_die_goes_on_reading(lib):
    def refuse(conn):
        while True:
            try:
                return conn.recv(10)
            except lib.GreenletExit:
                refusals.append(1)

    refusals, (left, right) = [], pair(lib)
    task = started(lib, refuse, left)
    for n in range(1, 4):
        task.kill(block=False)
        turn(lib)
        assert len(refusals) == n
    right.sendall(b"data")
    assert task.get() == b"data"


# -- Clocks that jump (ours only: gevent's loop takes no clock)


class FakeClock:
    time = 1000.0

    def __call__(self):
        return self.time


class FakeKernel:
    """A backend with nothing to report; *jumps* say how time goes by."""

    edge = False

    def __init__(self, clock):
        self.clock, self.jumps = clock, []

    def poll(self, timeout, *_):
        assert timeout is not None, "the loop would sleep for ever"
        assert timeout >= 0, f"the loop would sleep {timeout} seconds"
        self.clock.time += self.jumps.pop(0) if self.jumps else timeout
        return []

    def modify(self, *_):
        pass

    fork = close = modify


def faked(lib, *jumps):
    """Return a loop on a clock that makes *jumps*, one at each sleep."""
    clock = FakeClock()
    kernel = FakeKernel(clock)
    kernel.jumps += jumps
    return lib.core.Loop(kernel, clock), clock


@scenario
def a_clock_that_jumps_ahead_rings_each_timer_once_and_in_order(lib):
    loop, _ = faked(lib, 3600 * 24)
    rung = []
    for seconds in (30, 10, 20, 4000):
        loop.timer(seconds).start(rung.append, seconds)
    repeating = loop.timer(5, 5)

    def repeat():
        rung.append("again")
        if rung.count("again") == 3:
            repeating.stop()

    repeating.start(repeat)
    loop.run()
    once = [one for one in rung if one != "again"]
    assert once == [10, 20, 30, 4000], rung
    # A day was missed, and it rings once for it, not 17,280 times.
    assert rung[-2:] == ["again"] * 2, rung


@scenario
def a_clock_that_jumps_back_rings_late_and_does_not_hang(lib):
    loop, clock = faked(lib, 5, -3600, 100)
    rung = []
    loop.timer(10).start(lambda: rung.append(clock.time))
    loop.timer(3).start(lambda: rung.append("first"))
    loop.run()
    assert rung[0] == "first" and rung[1] >= 1010, rung


@scenario
def a_clock_that_stands_still_lets_callbacks_run(lib):
    loop, _ = faked(lib, 0, 0, 0)
    rung = []
    loop.timer(1).start(rung.append, "timer")
    loop.run_callback(lambda: loop.run_callback(rung.append, "callback"))
    loop.run()
    assert rung == ["callback", "timer"]


# -- Fork


def in_fork(work):
    """Run *work* in a forked child; return a function that waits for it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return lambda: succeeded(pid)


def succeeded(pid):
    deadline = time.monotonic() + LIMIT / 2
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, f"the child failed: {status}"
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


@scenario
def after_a_fork_the_greenlets_of_both_go_on(lib):
    """One reader's data comes in the parent, the other's in the child."""
    ours, theirs = pair(lib), pair(lib)
    my_reader = started(lib, ours[0].recv, 10)
    its_reader = started(lib, theirs[0].recv, 10)
    sleeper = started(lib, lib.sleep, 0.05)
    spawned = lib.spawn(lambda: "begun")
    ready, readying = os.pipe()

    def child():
        lib.get_hub().loop.reinit()
        ours[0].close()  # must not tell the parent's epoll
        ended(lib, my_reader)
        os.write(readying, b"x")
        theirs[1].sendall(b"child's")
        assert its_reader.get() == b"child's"
        assert spawned.get() == "begun"
        ended_well(lib, sleeper, *bystanders(lib))

    wait = in_fork(child)
    its_reader.kill()  # so that only the child reads there
    os.read(ready, 1)
    ours[1].sendall(b"parent's")
    assert my_reader.get() == b"parent's"
    assert spawned.get() == "begun"
    ended_well(lib, sleeper, *bystanders(lib))
    wait()
    ended_well(lib, *bystanders(lib))


@scenario
def a_forked_child_that_closes_a_socket_does_not_silence_its_parent(lib):
    """What a server that forks its workers does: each closes what it got."""
    door = listener(lib)
    accepting = started(lib, door.accept)
    turn(lib)  # now the kernel watches it
    in_fork(door.close)()
    with lib.socket.create_connection(door.getsockname(), 5):
        with lib.Timeout(5):
            accepting.get()[0].close()
    door.close()
    ended_well(lib, *bystanders(lib))


@scenario
def a_greenlet_may_fork(lib):
    def fork():
        def child():
            lib.get_hub().loop.reinit()
            lib.sleep(0.001)
            ended_well(lib, *bystanders(lib))

        in_fork(child)()
        lib.sleep(0.001)
        return "forked"

    sleeper = lib.spawn(slept, lib, 0.05)
    assert lib.spawn(fork).get() == "forked"
    assert sleeper.get() is True
    ended_well(lib, *bystanders(lib))


@scenario
def a_forked_child_is_woken_by_its_own_threads_only(lib):
    woken, ready = [], os.pipe()
    loop = lib.get_hub().loop
    turn(lib)

    def child():
        loop.reinit()
        turns = count_turns(lib)
        os.read(ready[0], 1)  # the parent has woken itself a hundred times
        lib.sleep(0.05)
        assert len(turns) < 10, f"the parent wakes us: {len(turns)} turns"
        waker = threading.Timer(
            0.01, loop.run_callback_threadsafe, (woken.append, 1)
        )
        waker.start()
        with lib.Timeout(5):
            until(lib, lambda: woken)
        os._exit(0)  # a timer thread has ended, and nothing else is left

    wait = in_fork(child)
    for _ in range(100):
        loop.run_callback_threadsafe(woken.append, 2)
    os.write(ready[1], b"x")
    until(lib, lambda: len(woken) == 100)
    wait()
    assert set(woken) == {2}


# -- Threads


def spare_references(lib):
    """Keep gevent's loop from ending too early.

    A thread's ``run_callback_threadsafe`` counts a reference while libev,
    without the GIL, counts its own: some are lost, the count sinks below
    zero, and whoever waits gets LoopExit.  Ours must do without.
    """
    if lib.__name__ == "gevent":
        for _ in range(10_000):
            lib.get_hub().loop.ref()


@scenario
def a_thread_may_wake_the_hub_ten_thousand_times(lib, count=10_000):
    spare_references(lib)
    loop, came = lib.get_hub().loop, []

    def wake():
        for n in range(count):
            loop.run_callback_threadsafe(came.append, n)

    thread = threading.Thread(target=wake)
    tasks = bystanders(lib, 200)
    thread.start()
    until(lib, lambda: len(came) == count, 10**6)
    thread.join()
    assert came == [*range(count)]
    ended_well(lib, *tasks)


@scenario
def a_thread_that_wakes_a_sleeping_hub_is_heard_each_time(lib, count=2000):
    """The thread waits for the hub's answer before it wakes it again."""
    spare_references(lib)
    loop, heard = lib.get_hub().loop, threading.Semaphore(0)
    left, right = pair(lib)

    def wake():
        for _ in range(count):
            loop.run_callback_threadsafe(heard.release)
            assert heard.acquire(timeout=10), "nobody heard"
        os.write(right.fileno(), b"done")

    thread = threading.Thread(target=wake)
    thread.start()
    assert left.recv(10) == b"done"  # no timer: only the thread wakes us
    thread.join()


@scenario
def the_last_send_of_a_thread_is_never_lost(lib):
    async_ = lib.get_hub().loop.async_()
    count, seen, done = [0], [], threading.Event()

    def send():
        for _ in range(10_000):
            count[0] += 1
            async_.send()
        done.set()

    async_.start(lambda: seen.append(count[0]))
    tasks = bystanders(lib, 100)
    thread = threading.Thread(target=send)
    thread.start()
    until(lib, lambda: done.is_set() and seen[-1:] == [10_000], 10**6)
    thread.join()
    ended_well(lib, *tasks)


@scenario
def hubs_of_many_threads_do_not_disturb_each_other(lib):
    failures = []

    def work():
        try:
            left, right = tcp_pair(lib)
            ended_well(lib, lib.spawn(echo, left), lib.spawn(ask, right, 100))
            ended_well(lib, *bystanders(lib, 100))
            lib.get_hub().destroy(destroy_loop=True)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    ended_well(lib, *bystanders(lib, 100))
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


# -- Several on one socket


@scenario
def a_second_reader_is_refused_and_the_first_served(lib):
    left, right = pair(lib)
    kind = lib.errors.ConcurrentObjectUseError
    first = started(lib, left.recv, 10)
    for _ in range(3):
        raises(kind, left.recv, 10)
        raises(kind, left.recv_into, bytearray(10))
    second = started(lib, left.recv, 10)
    assert isinstance(second.exception, kind)
    right.sendall(b"for the first")
    assert first.get() == b"for the fi"
    assert left.recv(10) == b"rst"


@scenario
def a_second_accept_is_refused_and_the_first_served(lib):
    with listener(lib) as door, lib.socket.socket() as client:
        first = started(lib, door.accept)
        raises(lib.errors.ConcurrentObjectUseError, door.accept)
        client.connect(door.getsockname())
        conn, address = first.get()
        assert address == client.getsockname()
        conn.close()


@scenario
def a_second_writer_is_refused_and_the_first_served(lib):
    left, right = pair(lib)
    sent = fill(left)
    first = started(lib, left.sendall, b"first")
    turn(lib)
    kind = lib.errors.ConcurrentObjectUseError
    raises(kind, left.sendall, b"second")
    assert read(right, sent + 5).endswith(b"xfirst")
    first.get()
    left.sendall(b"third")
    assert read(right, 5) == b"third"


@scenario
def data_taken_by_another_leaves_the_first_waiting(lib):
    """The first was woken, but another was quicker."""
    left, right = pair(lib)
    twin = left.dup()
    for thief in twin.recv, lambda n: os.read(left.fileno(), n):
        first = started(lib, left.recv, 10)
        right.sendall(b"x")
        assert thief(10) == b"x"
        for _ in range(3):
            turn(lib)
        assert not first.ready()
        right.sendall(b"y")
        assert first.get() == b"y"


@scenario
def two_duplicates_share_what_comes_and_neither_hangs(lib):
    left, right = pair(lib)
    twin = left.dup()
    received = []

    def take(sock):
        while data := sock.recv(1):
            received.append(data)

    tasks = [started(lib, take, sock) for sock in (left, twin)]
    for n in range(100):
        right.sendall(bytes([n]))
        if n % 3 == 0:
            turn(lib)
    right.close()
    ended_well(lib, *tasks)
    assert sorted(received) == [bytes([n]) for n in range(100)]


# -- Closed while another waits


def cancelled(lib, sock, call, *args):
    """Prove that *call* is cancelled when its *sock* is closed."""
    task = started(lib, call, *args)
    turn(lib)
    assert not task.ready(), (call, task.value, task.exception)
    fd = sock.fileno()
    sock.close()
    ended(lib, task)
    assert isinstance(task.exception, lib.socket.cancel_wait_ex), (
        call,
        task.exception,
    )
    assert task.exception.errno == errno.EBADF
    hears_nothing_of(lib, lambda: None, *next_pair(lib, fd))


@scenario
def whoever_waits_to_read_is_told_that_it_was_closed(lib):
    silent(lib)
    names = ["recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg"]
    for name in names:
        left, _right = pair(lib)
        size = bytearray(10) if name.endswith("_into") else 10
        cancelled(lib, left, getattr(left, name), size)


@scenario
def whoever_waits_to_write_is_told_that_it_was_closed(lib):
    silent(lib)
    for name in ("send", "sendall", "sendmsg"):
        left, _right = pair(lib)
        fill(left)
        data = [b"x"] if name == "sendmsg" else b"x"
        cancelled(lib, left, getattr(left, name), data)


@scenario
def whoever_waits_to_accept_is_told_that_it_was_closed(lib):
    silent(lib)
    door = listener(lib)
    cancelled(lib, door, door.accept)


@scenario
def whoever_waits_to_connect_is_told_that_it_was_closed(lib):
    silent(lib)
    with full_listener() as address, lib.socket.socket() as sock:
        cancelled(lib, sock, sock.connect, address)


@contextmanager
def full_listener():
    """Yield the address of one whose backlog is full: nobody is answered."""
    with standard.socket() as door, ExitStack() as stack:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        for _ in range(4):
            sock = stack.enter_context(standard.socket())
            sock.setblocking(False)
            sock.connect_ex(door.getsockname())
        yield door.getsockname()


@scenario
def reader_and_writer_of_one_socket_are_both_told(lib):
    silent(lib)
    left, _right = pair(lib)
    fill(left)
    reader = started(lib, left.recv, 10)
    writer = started(lib, left.sendall, b"x")
    turn(lib)
    left.close()
    ended(lib, reader, writer)
    for task in (reader, writer):
        assert isinstance(task.exception, lib.socket.cancel_wait_ex)


@scenario
def a_socket_closed_by_the_one_who_woke_its_reader(lib):
    """Data and close come in the same turn; either is a fair answer."""
    silent(lib)
    left, right = pair(lib)
    task = started(lib, left.recv, 10)
    right.sendall(b"data")
    left.close()
    ended(lib, task)
    assert task.value == b"data" or isinstance(
        task.exception, lib.socket.cancel_wait_ex
    )


# -- Two things in the same turn


def both_due(seconds, then):
    """Do *then*, and stay here until an alarm of *seconds* is due too."""
    then()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


@scenario
def data_in_the_turn_of_its_timeout_comes_once(lib):
    for own_alarm in False, True:
        for early in False, True:
            left, right = pair(lib)
            outcome = []

            def wait(left=left, own_alarm=own_alarm, outcome=outcome):
                left.settimeout(None if own_alarm else 0.002)
                try:
                    with lib.Timeout(0.002 if own_alarm else None):
                        outcome.append(left.recv(10))
                except (TimeoutError, lib.Timeout):
                    outcome.append("timeout")
                # No alarm and no waker of that wait may end this one.
                assert slept(lib, 0.01)

            task = started(lib, wait)
            if early:
                both_due(0.003, lambda right=right: right.sendall(b"data"))
            else:
                both_due(0.003, lambda: None)
                right.sendall(b"data")
            ended_well(lib, task)
            if outcome == ["timeout"]:
                left.settimeout(1)
                outcome.append(left.recv(10))
            assert outcome in ([b"data"], ["timeout", b"data"]), outcome
            left.settimeout(0)
            raises(BlockingIOError, left.recv, 1)


@scenario
def a_connection_in_the_turn_of_its_timeout_is_not_lost(lib):
    with listener(lib) as door, lib.socket.socket() as client:
        door.settimeout(0.002)
        task = started(lib, door.accept)
        silent(lib)
        both_due(0.003, lambda: None)
        client.settimeout(0)
        with suppress(BlockingIOError):
            client.connect(door.getsockname())
        ended(lib, task)
        door.settimeout(1)
        conn, address = task.value if task.successful() else door.accept()
        assert address == client.getsockname()
        conn.close()
        door.settimeout(0)
        raises(BlockingIOError, door.accept)


@scenario
def data_in_the_turn_of_a_kill_is_not_lost(lib):
    for order in "kill first", "data first", "kill when woken":
        left, right = pair(lib)
        task = started(lib, left.recv, 10)
        if order == "kill first":
            task.kill(block=False)
        if order == "kill when woken":
            right.sendall(b"data")
            kill_in_the_loop(lib, task, right.fileno())
        else:
            right.sendall(b"data")
            if order == "data first":
                task.kill(block=False)
        ended(lib, task)
        if not task.value or isinstance(task.value, lib.GreenletExit):
            left.settimeout(1)
            assert left.recv(10) == b"data", order
        else:
            assert task.value == b"data"
        ended_well(lib, *bystanders(lib))


def kill_in_the_loop(lib, task, fd):
    """Kill *task* from the callback of an event of this same turn."""
    watcher = lib.get_hub().loop.io(fd, 2)

    def kill():
        watcher.stop()
        task.kill(block=False)

    watcher.start(kill)
    turn(lib)
    watcher.close()


@scenario
def data_for_one_that_is_killed_goes_to_the_next_reader(lib):
    left, right = pair(lib)
    first = started(lib, left.recv, 10)
    right.sendall(b"data")
    first.kill(block=False)
    second = lib.spawn(left.recv, 10)
    ended(lib, first, second)
    assert second.value == b"data", (first.value, second.exception)


@scenario
def an_interrupted_wait_does_not_wake_the_next_one(lib):
    """Data and Timeout come together; the reader turns to something else."""
    waits = [
        lambda other: lasts(0.02, lib.event.Event().wait, 0.02),
        lambda other: slept(lib, 0.02),
        lambda other: lib.spawn(slept, lib, 0.02).get(),
        lambda other: other.recv(10) == b"other",
    ]
    for wait, data_first in itertools.product(waits, (True, False)):
        interrupt_one_that_goes_on(lib, wait, data_first)


def interrupt_one_that_goes_on(lib, wait, data_first):
    alarm, (left, right) = lib.Timeout(None), pair(lib)
    other, other_peer = pair(lib)

    def read_and_wait():
        got = None
        try:
            got = left.recv(10)
            return got, wait(other)
        except lib.Timeout:  # in the first wait, or in the second
            return got, wait(other)

    task = started(lib, read_and_wait)
    interrupt = partial(lib.kill, task, alarm)
    actions = [
        partial(right.sendall, b"data"),
        partial(lib.get_hub().loop.run_callback, interrupt),
    ]
    for act in actions if data_first else reversed(actions):
        act()
    turn(lib), turn(lib)
    other_peer.sendall(b"other")
    ended_well(lib, task)
    got, waited = task.value
    assert waited is True, task.value
    left.settimeout(1)
    assert (got or left.recv(10)) == b"data"


def slept(lib, seconds):
    """Return whether a sleep lasted as long as it should."""
    return lasts(seconds, lib.sleep, seconds)


def lasts(seconds, call, *args):
    """Return whether *call* took as long as it should."""
    before = time.monotonic()
    call(*args)
    return time.monotonic() - before > 0.9 * seconds


@scenario
def a_reader_that_is_woken_twice_reads_once(lib):
    """Two events for one wait: two messages, and the end with them."""
    for _ in range(3):
        left, right = pair(lib)
        received = []

        def take(left=left, received=received):
            while data := left.recv(3):
                received.append(data)
                lib.sleep(0)

        task = started(lib, take)
        right.sendall(b"abc")
        lib.get_hub().loop.run_callback(right.sendall, b"def")
        lib.get_hub().loop.run_callback(right.close)
        ended_well(lib, task)
        assert received == [b"abc", b"def"]


@scenario
def two_kills_of_one_wait_are_two_or_one_but_not_more(lib):
    def count():
        try:
            while True:
                try:
                    return left.recv(10)
                except lib.Timeout:
                    hits.append(1)
        except OSError:
            return "closed"

    alarm, hits, (left, _peer) = lib.Timeout(None), [], pair(lib)
    task = started(lib, count)
    for _ in range(2):
        task.kill(alarm, block=False)
    turn(lib), turn(lib)
    assert len(hits) == 2, hits
    left.close()
    ended_well(lib, task)
    assert task.value == "closed"


@scenario
def an_event_set_in_the_turn_of_its_timeout_is_told_once(lib):
    for _ in range(3):
        event = lib.event.Event()
        task = started(lib, event.wait, 0.002)
        both_due(0.003, event.set)
        ended_well(lib, task)
        assert task.value in (True, False)
        assert event.wait(0)
        assert slept(lib, 0.005)


@scenario
def room_in_the_turn_of_its_timeout_is_not_lost(lib):
    silent(lib)
    left, right = pair(lib)
    sent = fill(left)
    left.settimeout(0.002)
    task = started(lib, left.send, b"!")
    both_due(0.003, lambda: read(right, sent))
    ended(lib, task)
    if task.value != 1:
        assert isinstance(task.exception, TimeoutError)
        assert left.send(b"!") == 1
    assert right.recv(10) == b"!"


# -- Woken by hand


@scenario
def one_that_is_switched_to_by_hand_finds_out(lib):
    left, right = pair(lib)
    kind = lib.errors.InvalidSwitchError
    for wake in "loop", "greenlet":

        def wait():
            return raises(kind, left.recv, 10), left.recv(10)

        task = started(lib, wait)
        if wake == "loop":
            lib.get_hub().loop.run_callback(task.switch, "by hand")
        else:
            lib.spawn_raw(task.switch, "by hand")
        turn(lib)
        assert not task.ready(), task.value
        right.sendall(b"data")
        ended_well(lib, task)
        _, data = task.value
        assert data == b"data"


@scenario
def a_sleeper_that_is_switched_to_by_hand_finds_out(lib):
    kind = lib.errors.InvalidSwitchError
    task = started(lib, raises, kind, lib.sleep, 5)
    lib.get_hub().loop.run_callback(task.switch, "by hand")
    ended_well(lib, task)
    assert slept(lib, 0.005)


@scenario
def one_that_is_thrown_into_may_wait_again(lib):
    left, right = pair(lib)

    def wait():
        raises(Oops, left.recv, 10)
        raises(Oops, lib.sleep, 5)
        return left.recv(10)

    task = started(lib, wait)
    for _ in range(2):
        lib.get_hub().loop.run_callback(task.throw, Oops)
        turn(lib)
    right.sendall(b"data")
    assert task.get() == b"data"


# -- What the kernel says once, or not at all


@scenario
def data_left_by_a_short_read_is_there_without_another_event(lib):
    for left, right in (pair(lib), tcp_pair(lib)):
        right.sendall(bytes(range(100)))
        turn(lib)
        received = b""
        for size in itertools.cycle((1, 7, 30)):
            received += left.recv(size)
            turn(lib)
            if len(received) == 100:
                break
        assert received == bytes(range(100))


@scenario
def a_read_of_exactly_what_is_there_is_followed_by_a_wait(lib):
    for left, right in (pair(lib), tcp_pair(lib)):
        for size in (1, 10, 4096):
            for waits in False, True:
                task = lib.spawn(left.recv, size)
                if waits:
                    turn(lib)
                right.sendall(b"x" * size)
                assert len(task.get()) == size
                task = started(lib, left.recv, size)
                turn(lib)
                assert not task.ready()
                right.sendall(b"y")
                assert task.get() == b"y"


@scenario
def the_end_that_comes_with_the_data_is_seen(lib):
    """FIN is in the same event, or in the one before the read."""
    for make in pair, tcp_pair:
        for size in (5, 100):  # exactly what is there, and more
            for waits in False, True:
                left, right = make(lib)
                task = lib.spawn(left.recv, size)
                if waits:
                    turn(lib)
                right.sendall(b"12345")
                right.close()
                assert task.get() == b"12345"
                left.settimeout(5)
                assert left.recv(size) == b""
                assert left.recv(size) == b""
                left.close()


@scenario
def the_end_that_comes_between_two_reads_is_seen(lib):
    for make in pair, tcp_pair:
        for looks in False, True:
            left, right = make(lib)
            left.settimeout(5)
            task = started(lib, left.recv, 100)
            right.sendall(b"12345")
            assert task.get() == b"12345"
            right.close()
            if looks:
                turn(lib)
            assert left.recv(100) == b""
            left.close()


@scenario
def a_peek_takes_nothing(lib):
    for left, right in (pair(lib), tcp_pair(lib)):
        left.settimeout(5)
        task = started(lib, left.recv, 100, standard.MSG_PEEK)
        right.sendall(b"data")
        assert task.get() == b"data"
        for size in (2, 4, 100):
            turn(lib)
            assert left.recv(size, standard.MSG_PEEK) == b"data"[:size]
        buffer = bytearray(100)
        assert left.recv_into(buffer, 0, standard.MSG_PEEK) == 4
        assert left.recv(100) == b"data"
        right.close()
        assert left.recv(100, standard.MSG_PEEK) == b""
        assert left.recv(100) == b""


@scenario
def a_read_of_nothing_says_nothing_about_the_rest(lib):
    left, right = pair(lib)
    right.sendall(b"data")
    for _ in range(2):
        turn(lib)
        assert left.recv(0) == b""
        assert left.recv_into(bytearray(0)) == 0
    left.settimeout(5)
    assert left.recv(10) == b"data"
    assert left.recv(0) == b"", "to read nothing is not to wait"
    task = started(lib, left.recv, 10)
    turn(lib)
    right.sendall(b"more")
    assert task.get() == b"more"


@scenario
def a_read_that_stops_at_urgent_data_is_not_the_last(lib):
    """TCP ends a read before the urgent byte: short, and yet there is more."""
    left, right = tcp_pair(lib)
    left.settimeout(5)
    task = started(lib, left.recv, 100)
    right.sendall(b"abc")
    right.send(b"!", standard.MSG_OOB)
    right.sendall(b"def")
    received = task.get()
    while len(received) < 6:
        received += left.recv(100)
    assert received == b"abcdef"


@scenario
def every_way_to_read_leaves_the_rest_to_the_next(lib):
    left, right = pair(lib)
    left.settimeout(5)
    file = left.makefile("rb", 0)

    def into(call):
        buffer = bytearray(3)
        size = call(buffer)
        return bytes(buffer[: size[0] if isinstance(size, tuple) else size])

    ways = [
        lambda: left.recv(3),
        lambda: into(left.recv_into),
        lambda: left.recvfrom(3)[0],
        lambda: into(left.recvfrom_into),
        lambda: left.recvmsg(3)[0],
        lambda: file.read(3),
    ]
    for first, second in itertools.product(ways, ways):
        task = started(lib, first)
        right.sendall(b"abcdef")
        assert task.get() == b"abc"
        assert second() == b"def"
        task = started(lib, second)
        right.sendall(b"ab")
        assert task.get() == b"ab"


@scenario
def a_file_of_a_socket_reads_line_by_line(lib):
    left, right = pair(lib)
    lines = [b"%d\n" % n * (n % 50 + 1) for n in range(500)]
    text = b"".join(lines)

    def send():
        for at in range(0, len(text), 997):
            right.sendall(text[at : at + 997])
            lib.sleep(0)
        right.close()

    task = lib.spawn(send)
    with left.makefile("rb") as file:
        assert b"".join(file) == text
    ended_well(lib, task)


@scenario
def each_datagram_is_a_message_however_short(lib):
    for kind in standard.SOCK_DGRAM, standard.SOCK_SEQPACKET:
        left, right = pair(lib, standard.AF_UNIX, kind)
        left.settimeout(5)
        task = started(lib, left.recv, 100)
        for word in (b"one", b"two", b"three"):
            right.send(word)
        assert task.get() == b"one"
        turn(lib)
        assert left.recv(2) == b"tw", "the rest of a datagram is dropped"
        assert left.recv(100) == b"three"
        task = started(lib, left.recv, 100)
        turn(lib)
        assert not task.ready()
        right.send(b"four")
        assert task.get() == b"four"


@scenario
def an_empty_datagram_is_not_the_end(lib):
    left, right = pair(lib, standard.AF_UNIX, standard.SOCK_DGRAM)
    left.settimeout(5)
    task = started(lib, left.recv, 100)
    for word in (b"", b"", b"x"):
        right.send(word)
    assert [task.get(), left.recv(100), left.recv(100)] == [b"", b"", b"x"]


def udp(lib):
    sock = lib.socket.socket(standard.AF_INET, standard.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    return sock


@scenario
def udp_from_many_senders_arrives_with_their_addresses(lib):
    server, clients = udp(lib), [udp(lib) for _ in range(3)]

    def serve():
        while True:
            data, address = server.recvfrom(1000)
            server.sendto(data.upper(), address)

    task = started(lib, serve)
    for word in (b"one", b"two"):
        for client in clients:
            client.sendto(word, server.getsockname())
        for client in clients:
            answer, address = client.recvfrom(1000)
            assert answer == word.upper()
            assert address == server.getsockname()
    task.kill()


@scenario
def a_datagram_that_nobody_wants_is_an_error_and_no_end(lib):
    server, client = udp(lib), udp(lib)
    address = server.getsockname()
    server.close()
    client.connect(address)
    task = started(lib, client.recv, 100)
    client.send(b"anybody?")
    ended(lib, task)
    assert isinstance(task.exception, ConnectionRefusedError)
    server = lib.socket.socket(standard.AF_INET, standard.SOCK_DGRAM)
    server.bind(address)
    client.send(b"again")
    data, sender = server.recvfrom(100)
    assert data == b"again"
    server.sendto(b"answer", sender)
    assert client.recv(100) == b"answer"


@scenario
def a_full_queue_of_datagrams_makes_the_sender_wait(lib):
    left, right = pair(lib, standard.AF_UNIX, standard.SOCK_DGRAM)
    count = 2000

    def send():
        for n in range(count):
            left.send(b"%d" % n)

    task = started(lib, send)
    turn(lib)
    assert not task.ready()
    right.settimeout(5)
    for n in range(count):
        assert right.recv(100) == b"%d" % n
        if n % 3 == 0:
            lib.sleep(0)
    ended_well(lib, task)


@scenario
def a_full_queue_makes_sendto_wait_and_others_run(lib):
    """Not connected, the sender is always writable, and yet must wait."""
    name = f"\0faults-{os.getpid()}"
    receiver, sender = (
        lib.socket.socket(standard.AF_UNIX, standard.SOCK_DGRAM)
        for _ in range(2)
    )
    receiver.bind(name)
    count = 2000

    def send():
        for n in range(count):
            sender.sendto(b"%d" % n, name)

    task = started(lib, send)
    assert not task.ready()
    ended_well(lib, *bystanders(lib))
    receiver.settimeout(5)
    for n in range(count):
        assert receiver.recv(100) == b"%d" % n
    ended_well(lib, task)


@scenario
def an_event_that_nobody_awaited_is_remembered(lib):
    for make in pair, tcp_pair:
        left, right = make(lib)
        left.settimeout(0)
        raises(BlockingIOError, left.recv, 10)
        right.sendall(b"data")
        turn(lib)  # the kernel tells, and nobody waits
        left.settimeout(5)
        assert left.recv(10) == b"data"
        left.settimeout(0.001)
        raises(TimeoutError, left.recv, 10)
        right.sendall(b"late")
        turn(lib)
        left.settimeout(5)
        assert left.recv(10) == b"late"
        right.close()
        turn(lib)
        assert left.recv(10) == b""


@scenario
def one_that_may_not_wait_sees_what_came_since_the_last_turn(lib):
    """The loop was not asked since, and yet the data is there."""
    for make in pair, tcp_pair:
        left, right = make(lib)
        for timeout in (0, None):
            task = started(lib, left.recv, 100)
            right.sendall(b"short")
            assert task.get() == b"short"
            left.settimeout(timeout)
            turns = count_turns(lib)
            right.sendall(b"data")
            assert left.recv(100) == b"data"
            assert timeout is None or not turns, "it let others run"
            left.settimeout(None)
        left.settimeout(0)
        raises(BlockingIOError, left.recv, 100)
        right.sendall(b"more")
        assert left.recv(100) == b"more"
        right.sendall(b"flagged")
        assert left.recv(100, standard.MSG_DONTWAIT) == b"flagged"


@scenario
def what_another_way_has_read_is_not_awaited_twice(lib):
    """os.read took the data behind the socket's back, or left some."""
    left, right = pair(lib)
    right.sendall(b"data")
    turn(lib)
    assert os.read(left.fileno(), 10) == b"data"
    task = started(lib, left.recv, 10)
    turn(lib)
    assert not task.ready()
    right.sendall(b"more data")
    turn(lib)
    assert task.get() == b"more data"
    right.sendall(b"rest")
    turn(lib)
    assert os.read(left.fileno(), 2) == b"re"
    assert left.recv(10) == b"st"


@scenario
def many_connections_in_one_event_are_all_accepted(lib):
    with listener(lib) as door:
        for waits in False, True:
            task = lib.spawn(door.accept)
            if waits:
                turn(lib)
            clients = [
                standard.create_connection(door.getsockname())
                for _ in range(5)
            ]
            conns = [task.get()[0]]
            turn(lib)
            conns += [door.accept()[0] for _ in range(4)]
            door.settimeout(0.001)
            raises(TimeoutError, door.accept)
            door.settimeout(5)
            for sock in clients + conns:
                sock.close()


@scenario
def a_connection_goes_to_the_next_when_the_first_is_killed(lib):
    with listener(lib) as door:
        for kill_first in False, True:
            first = started(lib, door.accept)
            if kill_first:
                first.kill(block=False)
            client = standard.create_connection(door.getsockname())
            if not kill_first:
                first.kill(block=False)
            ended(lib, first)
            door.settimeout(5)
            conn, address = door.accept()
            assert address == client.getsockname()
            conn.close(), client.close()


@scenario
def a_fresh_socket_that_was_looked_at_may_connect_and_listen(lib):
    """epoll calls a TCP socket hung up before it is connected."""
    early = [lib.socket.socket() for _ in range(2)]
    turn(lib)
    door, client = early
    door.bind(("127.0.0.1", 0))
    door.listen()
    turn(lib)
    task = started(lib, door.accept)
    turn(lib)
    assert not task.ready()
    client.connect(door.getsockname())
    conn, _ = task.get()
    for _ in range(3):
        reader = started(lib, conn.recv, 10)
        turn(lib)
        assert not reader.ready()
        client.sendall(b"data")
        assert reader.get() == b"data"
    task = started(lib, door.accept)
    turn(lib)
    assert not task.ready()
    task.kill()


@scenario
def a_fresh_socket_has_nothing_to_read(lib):
    with lib.socket.socket() as sock:
        turn(lib)
        assert raises(OSError, sock.recv, 10).errno == errno.ENOTCONN
        assert isinstance(
            raises(OSError, sock.sendall, b"x"),
            BrokenPipeError,
        )


@scenario
def a_refused_socket_may_connect_elsewhere(lib):
    dead = listener(lib)
    nowhere = dead.getsockname()
    dead.close()
    with listener(lib) as door, lib.socket.socket() as client:
        raises(ConnectionRefusedError, client.connect, nowhere)
        turn(lib)
        # Linux wants to be told twice; the first call clears the failure.
        with suppress(ConnectionAbortedError):
            client.connect(door.getsockname())
        if client.connect_ex(door.getsockname()) != errno.EISCONN:
            turn(lib)
        conn, _ = door.accept()
        ended_well(
            lib, lib.spawn(echo, conn), lib.spawn(ask, client, 10, 100_000)
        )


@scenario
def a_connect_that_may_not_wait_can_be_awaited(lib):
    with listener(lib) as door, lib.socket.socket() as client:
        client.settimeout(0)
        assert client.connect_ex(door.getsockname()) == errno.EINPROGRESS
        hub = lib.get_hub()
        watcher = hub.loop.io(client.fileno(), 2)
        hub.wait(watcher)
        watcher.close()
        error = client.getsockopt(standard.SOL_SOCKET, standard.SO_ERROR)
        assert error == 0
        conn, _ = door.accept()
        client.settimeout(5)
        ended_well(
            lib, lib.spawn(echo, conn), lib.spawn(ask, client, 10, 100_000)
        )


# -- A watcher on the descriptor of a socket


@scenario
def a_watcher_fires_as_long_as_there_is_something_to_read(lib):
    left, right = pair(lib)
    fired = []
    watcher = lib.get_hub().loop.io(left.fileno(), 1)
    right.sendall(b"data")
    turn(lib)  # the socket has been told; the watcher comes later
    watcher.start(fired.append, 1)
    until(lib, lambda: len(fired) >= 3)
    assert left.recv(2) == b"da"
    fired.clear()
    until(lib, lambda: len(fired) >= 3)
    assert left.recv(2) == b"ta"
    turn(lib)
    fired.clear()
    turn(lib), turn(lib)
    assert fired == []
    right.sendall(b"more")
    until(lib, lambda: len(fired) >= 3)
    watcher.close()
    assert left.recv(10) == b"more"


@scenario
def a_watcher_and_a_reader_both_hear_of_data(lib):
    left, right = pair(lib)
    fired = []
    watcher = lib.get_hub().loop.io(left.fileno(), 1)
    watcher.start(fired.append, 1)
    for n in range(3):
        task = started(lib, left.recv, 10)
        turn(lib)
        fired.clear()
        right.sendall(b"%d" % n)
        assert task.get() == b"%d" % n
        assert fired
    watcher.close()
    task = started(lib, left.recv, 10)
    turn(lib)
    assert not task.ready()
    right.sendall(b"without")
    assert task.get() == b"without"


@scenario
def a_watcher_that_stops_leaves_the_socket_its_events(lib):
    """And a socket that closes leaves no event to a stopped watcher."""
    left, right = pair(lib)
    watcher = lib.get_hub().loop.io(left.fileno(), 3)
    for n in range(3):
        watcher.start(lambda: None)
        turn(lib)
        watcher.stop()
        fill(left)
        writer = started(lib, left.sendall, b"x")
        reader = started(lib, left.recv, 10)
        turn(lib)
        watcher.start(watcher.stop)
        turn(lib)
        assert not writer.ready() and not reader.ready()
        right.sendall(b"%d" % n)
        assert reader.get() == b"%d" % n
        while not writer.ready():
            right.recv(1 << 20)
            turn(lib)
        right.settimeout(0)
        with suppress(BlockingIOError):
            while right.recv(1 << 20):
                pass
        right.settimeout(None)
    watcher.close()


@scenario
def a_watcher_for_writing_fires_while_there_is_room(lib):
    left, right = pair(lib)
    fired = []
    watcher = lib.get_hub().loop.io(left.fileno(), 2)
    watcher.start(fired.append, 1)
    until(lib, lambda: len(fired) >= 3)
    fill(left)
    turn(lib)
    fired.clear()
    turn(lib), turn(lib)
    assert fired == []
    while not fired:
        right.recv(1 << 20)
        turn(lib)
    watcher.close()


@scenario
def a_wait_for_a_descriptor_of_ones_own_returns_at_once_if_it_is_ready(lib):
    """Each wait is a new watcher on a number that epoll may know."""
    hub, (reading, writing) = lib.get_hub(), os.pipe()
    os.write(writing, b"0123456789")
    for n in range(10):
        watcher = hub.loop.io(reading, 1)
        with lib.Timeout(5):
            hub.wait(watcher)
        watcher.close()
        assert os.read(reading, 1) == b"%d" % n


@scenario
def select_agrees_with_what_the_library_waits_for(lib):
    """At random: whoever waits is woken if and only if the kernel is ready."""
    ends = [pair(lib) for _ in range(5)]
    tasks = {}
    for step in range(2000):
        n = random.randrange(5)
        left, right = ends[n]
        action = random.random()
        if action < 0.4:
            right.send(os.urandom(random.choice((1, 5, 10))))
        elif action < 0.8 and n not in tasks:
            tasks[n] = lib.spawn(left.recv, random.choice((1, 5, 10, 100)))
        elif action < 0.9 and n in tasks:
            tasks[n].kill(block=False)
        turn_or_switch = turn if action > 0.95 else lambda lib: lib.sleep(0)
        turn_or_switch(lib)
        tasks = {n: task for n, task in tasks.items() if not task.ready()}
        if step % 10 == 0:
            turn(lib), turn(lib)
            for n, task in tasks.items():
                ready, _, _ = select.select([ends[n][0].fileno()], [], [], 0)
                assert task.ready() or not ready, f"step {step}: it sleeps on"


# -- The runner


def greenlet_stacks(lib):
    """Write to stderr where every greenlet waits."""
    traceback.print_stack()
    for one in gc.get_objects():
        if isinstance(one, lib.greenlet.greenlet) and one.gr_frame:
            print(f"\n{one!r} waits here:", file=sys.stderr)
            traceback.print_stack(one.gr_frame)


def give_up(lib):
    greenlet_stacks(lib)
    print(f"no end after {LIMIT} seconds", file=sys.stderr, flush=True)
    os._exit(3)


def run(name, prove):
    """Prove the scenario *prove* on the library *name*."""
    random.seed(1)
    lib = library(name)
    signal.signal(signal.SIGALRM, lambda *_: give_up(lib))
    signal.alarm(LIMIT)
    SCENARIOS[prove](lib)
    lib.get_hub().loop.verify()
    sys.stdout.flush()
    os._exit(0)  # whoever still waits here need not be ended one by one


if __name__ == "__main__":
    run(*sys.argv[1:])
