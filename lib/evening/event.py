"""On the shelf: two things to wait for that somebody else brings about.

An event is a flag, and a result is a value that comes later.  Both are what
the hub calls linkable: they keep a list of those who want to be told.
"""

from typing import Any

from .hub import AbstractLinkable, ExcInfo, Timeout, limit, sleep

__all__ = ["AsyncResult", "Event"]

UNSET: Any = object()  # a result's value before there is one


class Event(AbstractLinkable):
    """A flag that greenlets can wait for.

    Any thread may set it; who waits belongs to one thread.  Mirrors
    ``gevent.event.Event``.
    """

    _flag = False

    def is_set(self) -> bool:
        """Return whether the flag is up."""
        return self._flag

    isSet = ready = is_set  # noqa: N815 -- threading's old name

    def set(self) -> None:
        """Put the flag up, and wake all who wait."""
        self._flag = True
        self._check_and_notify()

    def clear(self) -> None:
        """Take the flag down; who is being woken will still wake."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag; return False if *timeout* seconds passed."""
        if not self._flag:
            return self._wait_core(timeout)
        if self._notifying:
            sleep(0)  # they waited longer than we
        return True


class AsyncResult(AbstractLinkable):
    """A value, or an error, that comes later.

    Mirrors ``gevent.event.AsyncResult``.
    """

    _value = UNSET
    #: The error's type, itself and its traceback; () where there is none.
    exc_info: ExcInfo | tuple[()] = ()

    @property
    def value(self) -> Any:
        """The value, None where there is none."""
        return self._value if self.successful() else None

    @property
    def exception(self) -> BaseException | None:
        """The error, None where there is none."""
        return self.exc_info[1] if self.exc_info else None

    def ready(self) -> bool:
        """Return whether a value or an error is here."""
        return self.successful() or bool(self.exc_info)

    def successful(self) -> bool:
        """Return whether a value is here."""
        return self._value is not UNSET

    def set(self, value: Any = None) -> None:
        """Bring *value*, and wake all who wait."""
        self._value = value
        self._check_and_notify()

    def set_exception(
        self, exception: BaseException, exc_info: ExcInfo | None = None
    ) -> None:
        """Bring an error, and wake all who wait."""
        self.exc_info = exc_info or (type(exception), exception, None)
        self._check_and_notify()

    def __call__(self, source: Any) -> None:
        """Bring what *source* has, a task or another result: a link."""
        if source.successful():
            self.set(source.value)
        else:
            info = getattr(source, "exc_info", None)
            self.set_exception(source.exception, info)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the value, or raise the error.

        Wait for it if *block*; raise :class:`Timeout` where it takes longer
        than *timeout* seconds, or is not there and we may not wait.
        """
        if not self.ready():
            if not block:
                raise Timeout()
            with limit(timeout):
                self._wait_core()
        if self.successful():
            return self._value
        _, error, tb = self.exc_info  # type: ignore[misc]
        raise error.with_traceback(tb)

    def get_nowait(self) -> Any:
        """Return the value or raise the error, without waiting."""
        return self.get(block=False)

    def wait(self, timeout: float | None = None) -> Any:
        """Wait at most *timeout* seconds; return the value or None."""
        if not self.ready():
            self._wait_core(timeout)
        elif self._notifying:
            sleep(0)
        return self.value

    # -- What concurrent.futures.Future has too

    set_result = set

    def result(self, timeout: float | None = None) -> Any:
        """Return the value, or raise the error."""
        return self.get(timeout=timeout)

    def done(self) -> bool:
        """Return whether a value or an error is here."""
        return self.ready()

    def cancel(self) -> bool:
        """Return False: nobody can cancel it."""
        return False

    def cancelled(self) -> bool:
        """Return False."""
        return False
