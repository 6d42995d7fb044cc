"""Layer 4: a socket that waits in the hub.

Try the call.  Where the kernel says that it would block, wait for the
descriptor and try again; meanwhile others run.  What never waits is the
standard library's.
"""

import errno
import functools
import operator
import os
import socket as _socket
from _thread import start_new_thread
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from socket import getaddrinfo as native_getaddrinfo
from socket import socketpair as native_socketpair
from typing import Any, NoReturn, ParamSpec, TypeVar

from .core import READ, WRITE, Readiness, Watcher
from .hub import (
    ConcurrentObjectUseError,
    Hub,
    Timeout,
    Waiter,
    cancel_wait_on,
    get_hub,
    wait_on_readiness,
)

__all__ = [
    "cancel_wait",
    "cancel_wait_ex",
    "wait",
    "wait_read",
    "wait_readwrite",
    "wait_write",
    *_socket.__all__,  # ours where it would wait, else as it is there
]

recv, send = _socket.socket.recv, _socket.socket.send

Call = Callable[..., Any]
F = TypeVar("F", bound=Call)
P = ParamSpec("P")

#: What connect may say of a connection that is on its way.
IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY)
#: The families whose addresses are a host, which may be a name, and a port.
INTERNET = (_socket.AF_INET, _socket.AF_INET6)
#: What stands for a timeout, or its exception, that nobody named.
DEFAULT: Any = _socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]


class cancel_wait_ex(OSError):
    """What a waiting greenlet gets when another one closes its socket."""

    def __init__(self) -> None:
        super().__init__(
            errno.EBADF, "File descriptor was closed in another greenlet"
        )


# -- To wait for a descriptor


def wait(
    watcher: Watcher,
    timeout: float | None = None,
    timeout_exc: Any = DEFAULT,
    hub: Hub | None = None,
) -> None:
    """Wait until *watcher*'s event comes, at most *timeout* seconds.

    Then raise *timeout_exc*, by default what a socket raises.
    """
    if watcher.callback is not None:
        raise ConcurrentObjectUseError(
            "This socket is already used by another greenlet: "
            f"{watcher.callback!r}"
        )
    if timeout_exc is DEFAULT:
        timeout_exc = TimeoutError("timed out")
    with Timeout.start_new(timeout, timeout_exc):
        (get_hub() if hub is None else hub).wait(watcher)


def wait_read(
    fileno: int, timeout: float | None = None, timeout_exc: Any = DEFAULT
) -> None:
    """Wait until the descriptor *fileno* can be read; see :func:`wait`."""
    _wait_io(fileno, READ, timeout, timeout_exc)


def wait_write(
    fileno: int, timeout: float | None = None, timeout_exc: Any = DEFAULT
) -> None:
    """Wait until the descriptor *fileno* can be written to."""
    _wait_io(fileno, WRITE, timeout, timeout_exc)


def wait_readwrite(
    fileno: int, timeout: float | None = None, timeout_exc: Any = DEFAULT
) -> None:
    """Wait until the descriptor *fileno* can be read or written to."""
    _wait_io(fileno, READ | WRITE, timeout, timeout_exc)


def _wait_io(fileno, events, timeout, timeout_exc):
    watcher = get_hub().loop.io(fileno, events)
    try:
        wait(watcher, timeout, timeout_exc)
    finally:
        watcher.close()


def cancel_wait(watcher: Watcher, error: Any = cancel_wait_ex) -> None:
    """Raise *error* in the greenlet that waits for *watcher*, if any."""
    get_hub().cancel_wait(watcher, error)


# -- The socket


def retrying(end: str, method: F) -> F:
    """Return the standard library's *method*, made to wait in the hub."""
    end_of = operator.attrgetter(end)

    @functools.wraps(method)
    def retry(self, *args):
        return self._retry(end_of(self), method, self, *args)

    return retry  # type: ignore[return-value]


class socket(_socket.socket):
    """A socket whose blocking calls let other greenlets run.

    The arguments are the standard library's; so is every method that is not
    here.  Mirrors ``gevent.socket.socket``.
    """

    __slots__ = ("_read", "_write", "hub", "timeout")

    #: How many seconds a call may wait; None is for ever.
    timeout: float | None

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, type, proto, fileno)
        super().setblocking(False)
        self.timeout = _socket.getdefaulttimeout()
        self.hub = get_hub()
        self._read, self._write = self.hub.loop.anfd(self.fileno()).lend()
        # A datagram may be shorter than asked for, and others follow it.
        # A stream of one machine breaks a read where descriptors travel.
        stream = self.type == _socket.SOCK_STREAM
        self._read.doubt = not (stream and self.family in INTERNET)

    def gettimeout(self) -> float | None:
        """Return how many seconds a call may wait; None is for ever."""
        return self.timeout

    def settimeout(self, howlong: float | None) -> None:
        """Let a call wait *howlong* seconds; None is for ever, 0 no wait."""
        if howlong is not None:
            if not howlong >= 0:  # nor is NaN
                raise ValueError("Timeout value out of range")
            howlong = float(howlong)
        self.timeout = howlong

    def setblocking(self, flag: bool) -> None:
        """Let a call wait for ever, or not at all."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Return whether a call may wait."""
        return self.timeout != 0.0

    def _limit(self) -> Timeout:
        return Timeout(self.timeout or None, TimeoutError("timed out"))

    def _retry(self, end: Readiness, call: Call, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except BlockingIOError:
                end.ready = False
                if self.timeout == 0.0:
                    raise
                wait_on_readiness(self.hub, end, self.timeout)

    def accept(self) -> tuple["socket", Any]:
        """Return a connection that came in, and its peer's address."""
        fd, address = self._retry(self._read, super()._accept)  # type: ignore[misc]
        return socket(self.family, self.type, self.proto, fd), address

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return at most *bufsize* bytes; b"" where the peer is done."""
        end = self._read
        if not end.ready and end.waiter is None and bufsize > 0:
            wait_on_readiness(self.hub, end, self.timeout)  # to try is vain
        while True:
            try:
                data = recv(self, bufsize, flags)
            except BlockingIOError:
                end.ready = False
                if self.timeout == 0.0:
                    raise
                wait_on_readiness(self.hub, end, self.timeout)
            else:
                if len(data) < bufsize and not flags:
                    end.ready = end.doubt  # there is no more
                return data

    recv_into = retrying("_read", _socket.socket.recv_into)
    recvfrom = retrying("_read", _socket.socket.recvfrom)
    recvfrom_into = retrying("_read", _socket.socket.recvfrom_into)
    recvmsg = retrying("_read", _socket.socket.recvmsg)
    sendto = retrying("_write", _socket.socket.sendto)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what the kernel takes of *data*; return how many bytes."""
        return self._retry(self._write, send, self, data, flags)

    def recvmsg_into(self, buffers: Any, *args: Any) -> Any:
        """Fill one of *buffers* after the other; return what came with it."""
        # A generator would be used up when we try again.
        return self._retry(self._read, super().recvmsg_into, [*buffers], *args)

    def sendmsg(
        self,
        buffers: Any,
        ancdata: Any = (),
        flags: int = 0,
        address: Any = None,
    ) -> int:
        """Send what the kernel takes of *buffers*, and descriptors."""
        message = [*buffers], [*ancdata], flags, address
        if flags & _socket.MSG_DONTWAIT:
            return super().sendmsg(*message)
        return self._retry(self._write, super().sendmsg, *message)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of *data*; the timeout is for the whole of it."""
        try:
            sent = send(self, data, flags)
        except BlockingIOError:
            sent = 0
        if type(data) is not bytes or sent != len(data):
            self._send_rest(data, sent, flags)

    def _send_rest(self, data, sent, flags):
        with memoryview(data) as view, view.cast("B") as rest, self._limit():
            while sent < len(rest):
                sent += self.send(rest[sent:], flags)

    def _sendfile_use_sendfile(self, *args: Any) -> NoReturn:
        # The kernel's own sendfile would make all wait.  This has the
        # standard library's sendfile read and send, piece by piece.
        raise _socket._GiveupOnSendfile  # type: ignore[attr-defined]

    def connect(self, address: Any) -> None:
        """Connect to *address*, whose host may be a name to look up."""
        with self._limit():
            result = self._retry(
                self._write, self._progress, self._resolve(address)
            )
        # BSD's kernel says EISCONN of a connection that it has just made.
        if result and result != errno.EISCONN:
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

    def _progress(self, address):
        result = super().connect_ex(address)
        if result in IN_PROGRESS:
            raise BlockingIOError(result, os.strerror(result))
        return result

    def _resolve(self, address):
        # A name would be looked up by the kernel's connect too, but in there
        # all would wait for it.
        with suppress(OSError, TypeError, IndexError, ValueError):
            _socket.inet_pton(self.family, address[0])
            return address  # it is a number already
        match address:
            case (host, port, *rest) if host and self.family in INTERNET:
                found = getaddrinfo(host, None, self.family)[0][4]
                return (found[0], port, *(rest or found[2:]))
        return address

    @property
    def closed(self) -> bool:
        """Whether somebody closed it; files made from it may still work."""
        return self._closed  # type: ignore[attr-defined]

    def shutdown(self, how: int) -> None:
        """End reading, writing or both; whoever waits for that is told."""
        if how != _socket.SHUT_WR:
            cancel_wait_on(self.hub, self._read, cancel_wait_ex())
        if how != _socket.SHUT_RD:
            cancel_wait_on(self.hub, self._write, cancel_wait_ex())
        super().shutdown(how)

    def detach(self) -> int:
        """Give the descriptor away; whoever waits for it is told."""
        self._forget()
        return super().detach()

    def _real_close(self) -> None:
        # The standard library calls this once nobody uses the socket, not
        # even a file made from it.
        self._forget()
        super()._real_close()  # type: ignore[misc]

    def _forget(self):
        for end in self._read, self._write:
            cancel_wait_on(self.hub, end, cancel_wait_ex())
            end.ready = True  # a later call shall hear the truth
        if self.hub.loop is not None and self.fileno() >= 0:
            self.hub.loop.forget(self._read.anfd)


SocketType = socket


def cooperative(make: Callable[P, _socket.socket]) -> Callable[P, socket]:
    """Return *make*, with the socket that it returns made one of ours."""

    @functools.wraps(make)
    def make_ours(*args: P.args, **kwargs: P.kwargs) -> socket:
        return adopt(make(*args, **kwargs))

    return make_ours


def adopt(sock):
    """Return a socket of ours that takes the descriptor of *sock* over."""
    return socket(sock.family, sock.type, sock.proto, sock.detach())


create_server = cooperative(_socket.create_server)
fromfd = cooperative(_socket.fromfd)


def socketpair(
    family: int | None = None,
    type: int = _socket.SOCK_STREAM,
    proto: int = 0,
) -> tuple[socket, socket]:
    """Return two sockets that are connected with each other."""
    left, right = native_socketpair(family, type, proto)
    return adopt(left), adopt(right)


def create_connection(
    address: tuple[str, int],
    timeout: Any = DEFAULT,
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
    for family, kind, proto, _, peer in getaddrinfo(
        host, port, 0, _socket.SOCK_STREAM
    ):
        try:
            return _connected(
                socket(family, kind, proto), peer, timeout, source_address
            )
        except OSError as error:
            errors.append(error)
    if not errors:
        raise OSError(f"no address for {host!r}")
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[-1]
    finally:
        errors.clear()  # each knows this call, which knows them all


def _connected(sock, peer, timeout, source_address):
    try:
        if timeout is not DEFAULT:
            sock.settimeout(timeout)
        if source_address:
            sock.bind(source_address)
        sock.connect(peer)
    except BaseException:  # an error, a Timeout, or somebody killed us
        sock.close()
        raise
    return sock


# -- To look up names


class Resolver:
    """Native threads that look names up while greenlets run on.

    Each of the first lookups starts a thread, which stays for those to come.
    Nobody waits for these threads when the process ends.
    """

    THREADS = 10  # at most

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self):  # a forked child has none of its parent's threads
        self._calls, self._threads = SimpleQueue(), 0

    def apply(self, function: Call, *args: Any, **kwargs: Any) -> Any:
        """Return what *function* returns, or raise what it raises."""
        hub = get_hub()
        waiter = Waiter(hub)
        call = functools.partial(function, *args, **kwargs)
        if self._threads < self.THREADS:
            start_new_thread(look_up, (self._calls,))
            self._threads += 1
        self._calls.put((call, hub.loop, waiter))
        hub.loop.ref()  # it shall wait for the thread's answer
        try:
            return waiter.get()
        finally:
            hub.loop.unref()


def look_up(calls):
    """Make the *calls* that come, and have each one's hub bring the result."""
    while True:
        call, loop, waiter = calls.get()
        try:
            bring, result = waiter.switch, call()
        except BaseException as error:
            bring, result = waiter.throw, error
        with suppress(Exception):  # its loop is destroyed: nobody waits
            loop.run_callback_threadsafe(bring, result)
        del call, loop, waiter, bring, result  # while the next one takes long


resolver = Resolver()


def in_thread(function: F) -> F:
    """Return *function*, to be called in one of the resolver's threads."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return resolver.apply(function, *args, **kwargs)

    return call  # type: ignore[return-value]


gethostbyname = in_thread(_socket.gethostbyname)
gethostbyname_ex = in_thread(_socket.gethostbyname_ex)
gethostbyaddr = in_thread(_socket.gethostbyaddr)
getnameinfo = in_thread(_socket.getnameinfo)
getfqdn = in_thread(_socket.getfqdn)


def getaddrinfo(
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Any]:
    """Return the addresses of *host* and *port*, each in five parts.

    Only a name takes a thread; numbers are there at once.
    """
    numeric = flags | _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
    asked = host, port, family, type, proto
    with suppress(_socket.gaierror):
        return native_getaddrinfo(*asked, numeric)
    return resolver.apply(native_getaddrinfo, *asked, flags)


def __getattr__(name: str) -> Any:
    """Return what the standard library has under *name*."""
    return getattr(_socket, name)
