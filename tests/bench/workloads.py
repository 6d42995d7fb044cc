"""Do one work in one way in this fresh process, and say what it took.

    python -P tests/bench/workloads.py WORK WAY COUNT [DETAIL ...]

WAY is evening, gevent, asyncio or uvloop (streams or Protocol for echoes),
thread or bare.  One line of JSON is printed: how many units of work there
were, and their CPU seconds or kilobytes.
"""

import asyncio
import json
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

SIZE, MESSAGE = 8192, b"x" * 1024
TIMEOUT = 30  # seconds: nobody ever waits so long
YIELDING = 10  # tasks that take turns
LONG = 3600


def print_cpu(units, seconds):
    """Say what CPU time so many units took."""
    print(json.dumps({"units": units, "cpu": seconds}), flush=True)


def print_memory(units, kilobytes):
    """Say what memory so many units take."""
    print(json.dumps({"units": units, "kilobytes": kilobytes}), flush=True)


def resident():
    """Return the kilobytes of memory that this process now has."""
    pages = Path("/proc/self/statm").read_text("utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1024


def nothing():
    """Be the shortest task there is."""


# -- Greenlets and threads: functions that wait.


def green(library):
    """Return what a library of greenlets offers."""
    package = import_module(library)
    return SimpleNamespace(
        spawn=package.spawn,
        sleep=package.sleep,
        Event=import_module(f"{library}.event").Event,
        socket=import_module(f"{library}.socket").socket,
    )


def threads():
    """Return the same of threads."""
    threading.stack_size(256 * 1024)

    def spawn(function, *args):
        one = threading.Thread(target=function, args=args, daemon=True)
        one.start()
        return one

    return SimpleNamespace(
        spawn=spawn,
        sleep=time.sleep,
        Event=threading.Event,
        socket=socket.socket,
    )


def functions(way):
    """Return what *way* offers for functions that wait."""
    return threads() if way == "thread" else green(way)


def finish(tasks):
    """Wait for all of them."""
    for one in tasks:
        one.join()


def timed(run):
    """Return the CPU seconds of a run."""
    start = time.process_time()
    run()
    return time.process_time() - start


def echo(lib, count, connections, timeout):
    """Have a client and a server for each connection."""
    pairs = [
        [lib.socket(fileno=end.detach()) for end in pair]
        for pair in connected(connections)
    ]
    for end in chain(*pairs) if timeout else []:
        end.settimeout(TIMEOUT)

    def serve(sock):
        while data := sock.recv(SIZE):
            sock.sendall(data)

    def ask(sock, turns):
        for _ in range(turns):
            sock.sendall(MESSAGE)
            sock.recv(SIZE)

    def clients(turns):
        finish([lib.spawn(ask, client, turns) for client, _ in pairs])

    for _, server in pairs:
        lib.spawn(serve, server)
    clients(1)  # everybody has been everywhere once
    turns = count // connections
    print_cpu(turns * connections, timed(lambda: clients(turns)))


def connected(count):
    """Return pairs of sockets with a connection of TCP between them."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    pairs = []
    for _ in range(count):
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs.append((client, server))
    listener.close()
    return pairs


def events(lib, count):
    """Have two wake each other: twice for each there and back."""
    there, back = lib.Event(), lib.Event()

    def first():
        for _ in range(count):
            there.set()
            back.wait()
            back.clear()

    def second():
        for _ in range(count):
            there.wait()
            there.clear()
            back.set()

    took = timed(lambda: finish([lib.spawn(first), lib.spawn(second)]))
    print_cpu(2 * count, took)


def yields(lib, count):
    """Have some take turns by sleeping for no time."""
    turns = count // YIELDING

    def take_turns():
        for _ in range(turns):
            lib.sleep(0)

    took = timed(
        lambda: finish([lib.spawn(take_turns) for _ in range(YIELDING)])
    )
    print_cpu(turns * YIELDING, took)


def spawn(lib, count):
    """Start many that do nothing, then wait for each."""
    took = timed(lambda: finish([lib.spawn(nothing) for _ in range(count)]))
    print_cpu(count, took)


def sleepers(lib, count, nap):
    """Have many sleep at the same time and wake again."""
    took = timed(
        lambda: finish([lib.spawn(lib.sleep, nap) for _ in range(count)])
    )
    print_cpu(count, took)


def asleep(lib, count):
    """Look at the memory while many sleep."""
    begun = deque()  # its append is safe in threads, too

    def sleep_long():
        begun.append(None)
        lib.sleep(LONG)

    before = resident()
    all_of_them = [lib.spawn(sleep_long) for _ in range(count)]
    while len(begun) < count:
        lib.sleep(0.001)
    print_memory(len(all_of_them), resident() - before)


# -- asyncio and uvloop: coroutines.


def run(library, coroutine):
    """Run *coroutine* on the loop of *library*."""
    loop = None
    if library == "uvloop":
        loop = import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(coroutine)
        leave()  # many may still sleep or wait for a byte


def leave():
    """End the process as it is: its work is done and told."""
    sys.stdout.flush()
    os._exit(0)


async def timed_await(begin):
    """Return the CPU seconds of what *begin* starts."""
    start = time.process_time()
    await begin()
    return time.process_time() - start


async def each(coroutines):
    """Start a task for each, then wait for each."""
    for task in [asyncio.create_task(one) for one in coroutines]:
        await task


async def limited(read, size):
    """Read, but not for ever."""
    async with asyncio.timeout(TIMEOUT):
        return await read(size)


async def echo_streams(count, connections, timeout):
    """Have a client and a server task for each connection."""
    ends = [
        [await asyncio.open_connection(sock=end) for end in pair]
        for pair in connected(connections)
    ]

    def reading(reader):
        return partial(limited, reader.read) if timeout else reader.read

    async def serve(reader, writer):
        read = reading(reader)
        while data := await read(SIZE):
            writer.write(data)
            await writer.drain()

    async def ask(reader, writer, turns):
        read = reading(reader)
        for _ in range(turns):
            writer.write(MESSAGE)
            await writer.drain()
            await read(SIZE)

    def clients(turns):
        return each(ask(*client, turns) for client, _ in ends)

    serving = [asyncio.create_task(serve(*server)) for _, server in ends]
    await clients(1)
    turns = count // connections
    took = await timed_await(lambda: clients(turns))
    print_cpu(turns * len(serving), took)


class Server(asyncio.Protocol):
    """Send everything back."""

    def connection_made(self, transport):
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data):
        """Send it back."""
        self.transport.write(data)


class Client(Server):
    """Ask again as soon as the answer is there."""

    def ask(self, turns):
        """Return what is done after so many turns."""
        self.left = turns
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(MESSAGE)
        return self.done

    def data_received(self, data):
        """Count it, and ask again."""
        self.left -= 1
        if self.left:
            self.transport.write(MESSAGE)
        else:
            self.done.set_result(None)


async def echo_protocols(count, connections, timeout):
    """Have an object at both ends of each connection."""
    loop = asyncio.get_running_loop()
    clients = []
    for client, server in connected(connections):
        await loop.connect_accepted_socket(Server, server)
        _, one = await loop.create_connection(Client, sock=client)
        clients.append(one)

    async def ask(turns):
        await asyncio.gather(*[one.ask(turns) for one in clients])

    await ask(1)
    turns = count // connections
    took = await timed_await(lambda: ask(turns))
    print_cpu(turns * connections, took)


async def events_async(count):
    """Have two tasks wake each other."""
    there, back = asyncio.Event(), asyncio.Event()

    async def first():
        for _ in range(count):
            there.set()
            await back.wait()
            back.clear()

    async def second():
        for _ in range(count):
            await there.wait()
            there.clear()
            back.set()

    took = await timed_await(lambda: each([first(), second()]))
    print_cpu(2 * count, took)


async def yields_async(count):
    """Have some tasks take turns."""
    turns = count // YIELDING

    async def take_turns():
        for _ in range(turns):
            await asyncio.sleep(0)

    took = await timed_await(
        lambda: each(take_turns() for _ in range(YIELDING))
    )
    print_cpu(turns * YIELDING, took)


async def spawn_async(count):
    """Start many that do nothing, then wait for each."""

    async def short():
        pass

    took = await timed_await(lambda: each(short() for _ in range(count)))
    print_cpu(count, took)


async def sleepers_async(count, nap):
    """Have many sleep at the same time and wake again."""
    took = await timed_await(
        lambda: each(asyncio.sleep(nap) for _ in range(count))
    )
    print_cpu(count, took)


async def asleep_async(count):
    """Look at the memory while many sleep."""
    begun = 0

    async def sleep_long():
        nonlocal begun
        begun += 1
        await asyncio.sleep(LONG)

    before = resident()
    all_of_them = [asyncio.create_task(sleep_long()) for _ in range(count)]
    while begun < count:
        await asyncio.sleep(0.001)
    print_memory(len(all_of_them), resident() - before)


# -- A bare loop: both ends of each connection, with nothing above epoll.


def echo_bare(count, connections):
    """Have a loop of a few lines serve both ends of each connection."""
    epoll, servers, clients = select.epoll(), {}, {}
    for client, server in connected(connections):
        servers[server.fileno()], clients[client.fileno()] = server, client
    for fd in chain(servers, clients):
        epoll.register(fd, select.EPOLLIN)

    def ask(turns):
        left, waiting = dict.fromkeys(clients, turns), len(clients)
        for client in clients.values():
            client.send(MESSAGE)
        while waiting:
            for fd, _ in epoll.poll(-1, 256):
                if fd in servers:
                    server = servers[fd]
                    server.send(server.recv(SIZE))
                    continue
                client = clients[fd]
                client.recv(SIZE)
                left[fd] -= 1
                if left[fd]:
                    client.send(MESSAGE)
                else:
                    waiting -= 1

    ask(1)
    turns = count // connections
    print_cpu(turns * connections, timed(lambda: ask(turns)))


# -- Who does what.

WAITING = {  # by functions that wait
    "echo": echo,
    "events": events,
    "yields": yields,
    "spawn": spawn,
    "sleepers": sleepers,
    "asleep": asleep,
}
AWAITING = {  # by coroutines
    "echo streams": echo_streams,
    "echo Protocol": echo_protocols,
    "events": events_async,
    "yields": yields_async,
    "spawn": spawn_async,
    "sleepers": sleepers_async,
    "asleep": asleep_async,
}


def main(work, way, *numbers):
    """Do as the module's docstring says."""
    library, _, kind = way.partition(" ")
    details = [json.loads(one) for one in numbers]
    if library == "bare":
        echo_bare(*details[:2])
    elif library in ("asyncio", "uvloop"):
        run(library, AWAITING[f"{work} {kind}".strip()](*details))
    else:
        WAITING[work](functions(way), *details)
    leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
