"""Layer 4: a socket that waits in the hub.

Try the call.  Where the kernel says that it would block, wait for the
descriptor and try again; meanwhile others run.  What never waits is the
standard library's.
"""

import errno
import os
import socket as _socket
from collections.abc import Callable
from typing import Any

from .core import READ, WRITE, Watcher
from .hub import ConcurrentObjectUseError, Timeout, get_hub

__all__ = ["cancel_wait_ex", "create_connection", "socket", "socketpair"]

#: What connect may say of a connection that is on its way.
IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY)


class cancel_wait_ex(OSError):
    """What a waiting greenlet gets when another one closes its socket."""

    def __init__(self) -> None:
        super().__init__(
            errno.EBADF, "File descriptor was closed in another greenlet"
        )


class socket(_socket.socket):
    """A TCP socket whose blocking calls let other greenlets run.

    The arguments are the standard library's; so is every method that is not
    here.  Mirrors ``gevent.socket.socket``.
    """

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        super().setblocking(False)
        self._timeout = _socket.getdefaulttimeout()
        self.hub = get_hub()
        io = self.hub.loop.io
        self._read_event = io(self.fileno(), READ)
        self._write_event = io(self.fileno(), WRITE)

    def gettimeout(self) -> float | None:
        """Return how many seconds a call may wait; None is for ever."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """What :meth:`gettimeout` returns."""
        return self._timeout

    def settimeout(self, howlong: float | None) -> None:
        """Let a call wait *howlong* seconds; None is for ever, 0 no wait."""
        if howlong is not None:
            howlong = float(howlong)
            if howlong < 0:
                raise ValueError("Timeout value out of range")
        self._timeout = howlong

    def setblocking(self, flag: bool) -> None:
        """Let a call wait for ever, or not at all."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return whether a call may wait."""
        return self._timeout != 0.0

    def _wait(self, watcher: Watcher) -> None:
        if self._timeout == 0.0:
            raise BlockingIOError(
                errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)
            )
        if watcher.callback is not None:
            raise ConcurrentObjectUseError(
                "This socket is already used by another greenlet: "
                f"{watcher.callback!r}"
            )
        self.hub.wait(watcher)

    def _limit(self) -> Timeout:
        return Timeout(self._timeout or None, TimeoutError("timed out"))

    def _retry(
        self, watcher: Watcher, call: Callable[..., Any], *args: Any
    ) -> Any:
        try:
            return call(*args)
        except BlockingIOError:
            pass
        with self._limit():
            while True:
                self._wait(watcher)
                try:
                    return call(*args)
                except BlockingIOError:
                    continue  # somebody else took it

    def accept(self) -> tuple["socket", Any]:
        """Return a connection that came in, and its peer's address."""
        fd, address = self._retry(
            self._read_event,
            super()._accept,  # type: ignore[misc]
        )
        return socket(self.family, self.type, self.proto, fd), address

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return at most *bufsize* bytes; b"" where the peer is done."""
        return self._retry(self._read_event, super().recv, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read at most *nbytes* into *buffer*; return how many it were."""
        return self._retry(
            self._read_event, super().recv_into, buffer, nbytes, flags
        )

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what the kernel takes of *data*; return how many bytes."""
        return self._retry(self._write_event, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of *data*; the timeout is for the whole of it."""
        with memoryview(data) as view, view.cast("B") as rest, self._limit():
            sent = 0
            while sent < len(rest):
                try:
                    sent += super().send(rest[sent:], flags)
                except BlockingIOError:
                    self._wait(self._write_event)

    def connect(self, address: Any) -> None:
        """Connect to *address*; to look up a host name blocks all others."""
        with self._limit():
            result = super().connect_ex(address)
            while result in IN_PROGRESS and self._timeout != 0.0:
                self._wait(self._write_event)
                result = self.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if result:
            raise OSError(result, os.strerror(result))

    def connect_ex(self, address: Any) -> int:
        """Connect; return the error's number instead of raising it."""
        try:
            self.connect(address)
        except _socket.gaierror:  # its numbers are not errno's
            raise
        except OSError as error:
            return error.errno or errno.EAGAIN
        return 0

    def detach(self) -> int:
        """Give the descriptor away; whoever waits for it is told."""
        self._cancel_waits()
        return super().detach()

    def _real_close(self) -> None:
        # The standard library calls this once nobody uses the socket, not
        # even a file made from it.
        self._cancel_waits()
        super()._real_close()  # type: ignore[misc]

    def _cancel_waits(self):
        for watcher in (self._read_event, self._write_event):
            self.hub.cancel_wait(watcher, cancel_wait_ex(), True)


def socketpair(
    family: int | None = None,
    type: int = _socket.SOCK_STREAM,
    proto: int = 0,
) -> tuple[socket, socket]:
    """Return two sockets that are connected with each other."""
    left, right = _socket.socketpair(family, type, proto)
    return tuple(  # type: ignore[return-value]
        socket(end.family, end.type, end.proto, end.detach())
        for end in (left, right)
    )


def create_connection(
    address: tuple[str, int],
    timeout: Any = _socket._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined]
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> socket:
    """Return a socket that is connected to *address*, a host and a port.

    Each address of the host is tried in turn.  Raise the last error, or with
    *all_errors* a group of all.
    """
    host, port = address
    errors: list[Exception] = []
    for family, kind, proto, _, peer in _socket.getaddrinfo(
        host, port, 0, _socket.SOCK_STREAM
    ):
        sock = socket(family, kind, proto)
        try:
            if timeout is not _socket._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined]
                sock.settimeout(timeout)
            if source_address:
                sock.bind(source_address)
            sock.connect(peer)
            return sock
        except OSError as error:
            errors.append(error)
            sock.close()
        except BaseException:  # a Timeout, or somebody killed us
            sock.close()
            raise
    if not errors:
        raise OSError(f"no address for {host!r}")
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[-1]
    finally:
        errors.clear()  # each knows this call, which knows them all


def __getattr__(name: str) -> Any:
    """Return what the standard library has under *name*."""
    return getattr(_socket, name)
