"""Serve echoes on a free port of 127.0.0.1, in one of many ways.

    python -P tests/bench/servers.py WAY

The port is printed, then it serves until it is killed, ten minutes at most.
Each way is what its library's own manual would have one write; all set
TCP_NODELAY, read up to 8 KB and send back what came.
"""

import asyncio
import select
import signal
import socket
import sys
import threading
from importlib import import_module

BACKLOG = 4096
SIZE = 8192
MINUTES = 10


def listening(module=socket):
    """Return a socket of *module* that listens; its port is printed."""
    listener = module.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    told(listener)
    return listener


def told(listener):
    """Print the port."""
    print(listener.getsockname()[1], flush=True)


def undelayed(sock):
    """Have each answer leave at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def handle(sock, address=None):
    """Send everything back until the peer is done: a thread or a greenlet."""
    undelayed(sock)
    try:
        while data := sock.recv(SIZE):
            sock.sendall(data)
    except ConnectionError:
        pass  # it left without a word
    finally:
        sock.close()


def evening():
    """Serve with a greenlet for each connection."""
    package = import_module("evening")
    listener = listening(import_module("evening.socket"))
    while True:
        package.spawn(handle, *listener.accept())


def gevent():
    """Serve with gevent's own server, a greenlet for each connection."""
    server = import_module("gevent.server")
    listener = listening(import_module("gevent.socket"))
    server.StreamServer(listener, handle).serve_forever()


def thread():
    """Serve with a thread for each connection."""
    threading.stack_size(256 * 1024)
    listener = listening()
    while True:
        handling = threading.Thread(
            target=handle, args=listener.accept(), daemon=True
        )
        handling.start()


async def stream(reader, writer):
    """Send everything back: a task for each connection."""
    undelayed(writer.get_extra_info("socket"))
    try:
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class Protocol(asyncio.Protocol):
    """Send everything back: an object for each connection, no task."""

    def connection_made(self, transport):
        """Keep the way back."""
        self.transport = transport
        undelayed(transport.get_extra_info("socket"))

    def data_received(self, data):
        """Send it back."""
        self.transport.write(data)


async def streams():
    """Serve by a coroutine for each connection."""
    server = await asyncio.start_server(stream, sock=listening())
    await server.serve_forever()


async def protocols():
    """Serve by callbacks."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Protocol, sock=listening())
    await server.serve_forever()


def bare():
    """Serve by a loop of ten lines, with nothing between it and epoll."""
    listener = listening()
    listener.setblocking(False)
    epoll, peers = select.epoll(), {}
    epoll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in epoll.poll(-1, 256):
            if fd in peers:
                if not answer(peers[fd]):
                    peers.pop(fd).close()
                continue
            welcome(listener, epoll, peers)


def welcome(listener, epoll, peers):
    """Take all who knock."""
    while True:
        try:
            peer, _ = listener.accept()
        except BlockingIOError:
            return
        undelayed(peer)
        peer.setblocking(False)
        peers[peer.fileno()] = peer
        epoll.register(peer, select.EPOLLIN)


def answer(peer):
    """Send back what came; return whether the peer is still there."""
    try:
        data = peer.recv(SIZE)
        if data:
            peer.send(data)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return bool(data)


def run(coroutine, library):
    """Run *coroutine* on the loop of asyncio or uvloop."""
    loop = None
    if library == "uvloop":
        loop = import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(coroutine)


WAYS = {
    "evening": evening,
    "gevent": gevent,
    "thread": thread,
    "bare": bare,
    **{
        f"{library} {kind}": lambda serve=serve, library=library: run(
            serve(), library
        )
        for library in ("asyncio", "uvloop")
        for kind, serve in (("streams", streams), ("Protocol", protocols))
    },
}

if __name__ == "__main__":
    signal.alarm(MINUTES * 60)
    WAYS[sys.argv[1]]()
