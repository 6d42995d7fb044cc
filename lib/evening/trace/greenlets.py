"""The type of greenlets that a recorded script is given."""

from typing import Any


class Kind(type):
    """The type of that type: what the engine makes is of it, too."""

    def __instancecheck__(cls, one: object) -> bool:
        if "_plain" in vars(cls):
            return isinstance(one, vars(cls)["_plain"])
        return super().__instancecheck__(one)


#: What those below come before, in the types that ``traced`` makes.
Greenlet: Any = object


class Made(Greenlet):
    """Tells the recorder when it is made."""

    _recorder: Any

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self._recorder.recording():
            self._recorder.known(self)


class Telling(Made):
    """Tells the recorder, too, what is passed with a switch.

    Who calls ``switch`` knows what goes, and later learns what comes back.
    """

    def switch(self, *args, **kwargs):
        """Go there; note what is passed, there and back."""
        if not self._recorder.recording():
            return super().switch(*args, **kwargs)
        sent = packed(self._recorder.word, args, kwargs)
        with Passage(self._recorder, sent) as passage:
            passage.result = super().switch(*args, **kwargs)
        return passage.result

    def throw(self, *args):
        """Raise there; note what is thrown, and what comes back."""
        if not self._recorder.recording():
            return super().throw(*args)
        error = thrown(self._recorder.word, *args)
        with Passage(self._recorder, error) as passage:
            passage.result = super().throw(*args)
        return passage.result

    @property
    def gr_frame(self):
        """Where it waits, as if nobody recorded."""
        frame = super().gr_frame
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        return frame


class Passage:
    """A switch of the script's: what is sent, and what comes back."""

    def __init__(self, recorder: Any, sent: str | None) -> None:
        self.recorder, self.sent, self.result = recorder, sent, None

    def __enter__(self) -> "Passage":
        self.recorder.sent = self.sent
        return self

    def __exit__(self, kind: object, error: object, tb: object) -> None:
        self.recorder.sent = None
        if error is not None:
            self.recorder.arrived(error=error)
        else:
            self.recorder.arrived(self.result)


def traced(greenlet: Any, recorder: Any) -> Any:
    """Return a type that is *greenlet*, and tells *recorder*.

    Where the stacks are recorded, its ``switch`` is the engine's own: one in
    between would be on the stack.
    """
    names = ("__name__", "__qualname__", "__module__", "__doc__")
    body = {name: getattr(greenlet, name) for name in names}
    body |= {"_plain": greenlet, "_recorder": recorder}
    telling = Made if recorder.slices else Telling
    return Kind(greenlet.__name__, (telling, greenlet), body)


def packed(word, args, kwargs):
    """Return what arrives where these are passed, in words, or None."""
    if kwargs:
        return word((args, kwargs) if args else kwargs)
    if not args:
        return None
    return word(args[0] if len(args) == 1 else args)


def thrown(word, kind=None, value=None, *_):
    """Return what ``throw`` throws, in words."""
    if isinstance(value, BaseException):
        return word(value)
    if kind is None:
        return "GreenletExit"
    return word(kind) if value is None else f"{word(kind)}({word(value)})"
