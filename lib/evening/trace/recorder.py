"""Note what happens in a run: who runs, where, and what is passed.

A switch is told by the engine's own trace function, with both greenlets; the
line is where the frame of a greenlet stands.  What the loop does is told by
:mod:`evening.trace.loops`.
"""

import ast
import contextlib
import io
import re
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, TextIO

from .source import Source

Event = dict[str, Any]
LONGEST = 60  # characters of a value
HERE = __file__
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
PORT = re.compile(r"(?<=\('127\.0\.0\.1', )\d+(?=\))")
FD = re.compile(r"\bfd=\d+")


class Known:
    """What the recorder knows of a greenlet."""

    def __init__(self, name: str, kind: str, code: CodeType | None) -> None:
        self.name, self.kind, self.code = name, kind, code
        self.started = kind == "main"


class Recorder:
    """The events of one run, in their order.

    *source* is the script, *layer* the module with the engine's names, *hub*
    the type of hubs.  With *slices*, each switch says where all stacks lie.
    Threads other than the one that makes it are not recorded.
    """

    def __init__(
        self, source: Source, layer: Any, hub: type, slices: bool = False
    ) -> None:
        self.source, self.layer, self.hub = source, layer, hub
        self.greenlets: dict[str, dict[str, str | None]] = {}
        self.events: list[Event] = []
        self.turn = 0
        self.passing: str | None = None  # what is on its way to the target
        self.running: list[Any] = []  # arguments of the callbacks that run
        self.queued: list[Any] = []  # names of greenlets in evening's queue
        self._slices: list[weakref.ref[Any]] | None = [] if slices else None
        self._arrival: Event | None = None  # what brought control here
        self._key = f"evening.trace {id(self):x}"
        self._thread = threading.get_ident()
        self._numbers: Counter[str] = Counter()
        self._fds: dict[int, str] = {}
        self._new_turn = False
        self._silent = 0
        self.known(self.current())

    def current(self) -> Any:
        """Return the greenlet that runs."""
        return self.layer.getcurrent()

    def recorded(self) -> bool:
        """Whether what happens here and now is recorded."""
        return not self._silent and threading.get_ident() == self._thread

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Record nothing: the library is busy with itself."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def run(self) -> Event:
        """Return what was recorded, as the JSON has it."""
        if not self.turn:
            for event in self.events:
                event.pop("turn", None)
        return {"greenlets": self.greenlets, "events": self.events}

    # -- Events

    def note(self, event: str, **fields: Any) -> Event | None:
        """Note that *event* happens now, in the greenlet that runs."""
        if not self.recorded():
            return None
        me = self.known(self.current()).name
        line = self.source.line(sys._getframe(1))
        return self._add(event, me, line, fields)

    def _add(self, event, me, line, fields):
        if self._new_turn:
            self._new_turn = False
            self.turn += 1
            self._add("turn", me, line, {})
        noted = {"event": event, "greenlet": me, "line": line}
        noted |= {"turn": self.turn, **fields}
        self.events.append(noted)
        return noted

    def begin_turn(self) -> None:
        """Begin a turn, which counts once something happens in it.

        A turn after a sleep that brought nothing is the same one.
        """
        if self.recorded() and not self._slept():
            self._new_turn = True

    def poll(self, timeout: float | None) -> None:
        """Note that the kernel is asked, and how long we may sleep."""
        if not self._slept():
            words = {0: "0", None: "none"}.get(timeout, "timer")
            self.note("poll", timeout=words)

    def _slept(self):
        return bool(self.events) and self.events[-1]["event"] == "poll"

    # -- Switches

    def switched(self, event: str, pair: tuple[Any, Any]) -> None:
        """Note a switch; the engine calls this when the target goes on."""
        if not self.recorded():
            return
        origin, target = pair
        value, self.passing = self.passing, None
        leaving, arriving = self.known(origin), self.known(target)
        if arriving.name in self.queued:
            self.queued.remove(arriving.name)
            line = self.source.line(frame_of(origin))
            fields = {"callback": f"switch {arriving.name}"}
            self._add("callback_run", leaving.name, line, fields)
        if origin.dead:
            self._ended(event, origin, leaving, arriving)
        else:
            if value is None:
                value = self._guess(event, frame_of(origin))
            line = self.source.line(frame_of(origin))
            fields = {"target": arriving.name, "value": value}
            fields |= self._where()
            self._arrival = self._add(event, leaving.name, line, fields)
        if not arriving.started:
            arriving.started = True
            line = self.source.first_line(arriving.code)
            name = {"target": arriving.name}
            self._add("start", arriving.name, line, name)

    def _ended(self, event, origin, leaving, arriving):
        error = getattr(origin, "exception", None)
        name, target = leaving.name, {"target": arriving.name}
        if event == "switch" and error is None:
            line = self.source.last_line(leaving.code)
            kept = hasattr(origin, "value")  # the hub would tell nobody
            value = self.word(origin.value) if kept else None
            fields = target | {"value": value}
            self._arrival = self._add("return", name, line, fields)
            self._add("die", name, line, target | {"error": None})
        else:
            line = self.line_of_error(error)
            word = "an error" if error is None else self.word(error)
            fields = target | {"error": word}
            self._arrival = self._add("die", name, line, fields)
        self._arrival |= self._where()

    def _guess(self, event, frame):
        # Nobody whom we could ask has passed it: a method of the library's
        # has.  It may be named in the script, or in the callback that runs.
        if event == "throw":
            errors = [one for one in self.running if is_error(one)]
            return self.word(errors[-1]) if errors else None
        found = self.source.frame(frame)
        call = None if found is None else self.source.call(found)
        if call is None or getattr(call.func, "attr", "") != "switch":
            return None
        if [type(one) for one in call.args] == [ast.Constant]:
            return self.word(call.args[0].value)
        return None

    def arrived(self, value: Any = None, error: Any = None) -> None:
        """Complete the event that brought control here.

        Whoever called ``switch`` has got *value*, or *error* was raised.
        """
        event, me = self._arrival, self.known(self.current()).name
        if event is None or event["target"] != me or not self.recorded():
            return
        self._arrival = None
        if event["event"] == "die":
            event["error"] = self.word(error)
            event["line"] = self.line_of_error(error)
        elif event["value"] is None and error is not None:
            event["value"] = self.word(error)
        elif event["value"] is None and value != ():
            event["value"] = self.word(value)

    def line_of_error(self, error: Any) -> int | None:
        """Return the innermost line of the script in an error's traceback."""
        line, tb = None, getattr(error, "__traceback__", None)
        while tb is not None:
            if tb.tb_frame.f_code.co_filename == self.source.path:
                line = tb.tb_lineno
            tb = tb.tb_next
        return line

    # -- Names

    def known(self, greenlet: Any, *args: Any) -> Known:
        """Return what is known of *greenlet*; if nothing, it was made now.

        *args* are those that its function will get, as far as we can see.
        """
        found = vars(greenlet).get(self._key)
        return found or self._meet(greenlet, args)

    def _meet(self, greenlet, args):
        role = self._role(greenlet)
        frame = sys._getframe(2)
        function, more = function_of(greenlet)
        name = role or self._free(
            self._variable(greenlet, frame) or called(function, more + args)
        )
        code = getattr(function, "__code__", None)
        known = Known(name, (role or "greenlet").split()[0], code)
        vars(greenlet)[self._key] = known
        parent = greenlet.parent
        parent = None if parent is None else self.known(parent).name
        self.greenlets[name] = {"kind": known.kind, "parent": parent}
        if not role:
            self.note("spawn", target=name, parent=parent)
        if self._slices is not None:
            self._slices.append(weakref.ref(greenlet))
        return known

    def _role(self, greenlet):
        if greenlet.parent is None:
            return self._free("main")
        return self._free("hub") if isinstance(greenlet, self.hub) else None

    def _variable(self, greenlet, frame):
        frame = self.source.frame(frame)
        name = self.source.variable(frame)
        if name is None and frame is not None:
            call = self.source.call(frame)
            owner = getattr(getattr(call, "func", None), "value", None)
            name = getattr(owner, "id", None)  # as in a.start()
            if frame.f_globals.get(name) is not greenlet and (
                name not in frame.f_code.co_varnames
                or frame.f_locals.get(name) is not greenlet
            ):
                name = None
        return name

    def _free(self, name):
        number, free = 1, name
        while free in self.greenlets:
            number += 1
            free = f"{name} {number}"
        return free

    def fd(self, number: int) -> str:
        """Return the name of a descriptor, which does not vary."""
        name = f"fd {len(self._fds) + 1}"
        return self._fds.setdefault(number, name)

    def numbered(self, kind: str) -> str:
        """Return a name for one more of a *kind*."""
        self._numbers[kind] += 1
        return f"{kind} {self._numbers[kind]}"

    def word(self, value: Any) -> str:
        """Return *value* in words that are the same in each run."""
        if isinstance(value, self.layer.greenlet):
            return self.known(value).name
        text = repr(value)
        return self.stable(text if len(text) <= LONGEST else shortened(text))

    def stable(self, text: str) -> str:
        """Return *text* without what differs from run to run."""
        text = PORT.sub("port", ADDRESS.sub("", text))
        return FD.sub("fd", text)

    def _where(self):
        if self._slices is None:
            return {}
        alive = [one for ref in self._slices if (one := ref()) is not None]
        return {
            "slices": {
                self.known(one).name: [
                    one._stack_start,
                    one._stack_stop,
                    one._stack_saved,
                ]
                for one in alive
                if one._stack_start
            }
        }


class Out(io.TextIOBase):
    """A standard output that notes each line, and whose it is."""

    def __init__(self, recorder: Recorder, tee: TextIO | None = None) -> None:
        self._recorder, self._tee, self._rest = recorder, tee, ""

    def write(self, text: str) -> int:
        """Note each whole line."""
        if self._tee is not None:
            self._tee.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            said = self._recorder.stable(line)
            self._recorder.note("print", text=said)
        return len(text)

    def end(self) -> None:
        """Note a last line that nobody has ended."""
        if self._rest:
            self.write("\n")


def traced(greenlet: Any, recorder: Recorder) -> Any:
    """Return a type that is *greenlet*, and tells what is made and passed."""

    class Kind(type(greenlet)):  # type: ignore[misc]
        def __instancecheck__(cls, one: object) -> bool:
            if cls is Traced:
                return isinstance(one, greenlet)
            return super().__instancecheck__(one)

    class Traced(greenlet, metaclass=Kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if recorder.recorded():
                recorder.known(self)

        def switch(self, *args: Any, **kwargs: Any) -> Any:
            if not recorder.recorded():
                return super().switch(*args, **kwargs)
            return passed(super().switch, packed(args, kwargs), args, kwargs)

        def throw(self, *args: Any) -> Any:
            if not recorder.recorded():
                return super().throw(*args)
            what = recorder.word(thrown(*args))
            return passed(super().throw, what, args, {})

        @property
        def gr_frame(self) -> FrameType | None:
            frame = super().gr_frame
            while frame is not None and frame.f_code.co_filename == HERE:
                frame = frame.f_back
            return frame

    def packed(args, kwargs):
        if not args and not kwargs:
            return None
        value = args[0] if len(args) == 1 and not kwargs else args
        return recorder.word((args, kwargs) if kwargs else value)

    def passed(switch, what, args, kwargs):
        recorder.passing = what
        try:
            result = switch(*args, **kwargs)
        except BaseException as error:
            recorder.arrived(error=error)
            raise
        finally:
            recorder.passing = None
        recorder.arrived(result)
        return result

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(Traced, name, getattr(greenlet, name))
    return Traced


def frame_of(greenlet: Any) -> FrameType | None:
    """Return the frame where *greenlet* waits."""
    return greenlet.gr_frame  # type: ignore[no-any-return]


def function_of(greenlet: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the function that *greenlet* will call, and its arguments."""
    args = getattr(greenlet, "args", ())
    for name in ("_target", "_run", "run"):
        function = getattr(greenlet, name, None)
        if function is not None:
            break
    if getattr(function, "__self__", None) is greenlet:
        return type(greenlet), args  # a subclass brings its own
    args += getattr(function, "args", ())  # of a partial
    return getattr(function, "func", function), args


def called(function: Any, args: tuple[Any, ...]) -> str:
    """Return the name of *function*, and the first word it is given."""
    name = getattr(function, "__name__", "greenlet").strip("<>")
    words = [one for one in args if type(one) is str]
    return " ".join([name, *words[:1]])


def thrown(kind: Any = None, value: Any = None, *_: Any) -> Any:
    """Return what ``throw`` throws, from its arguments."""
    return value if isinstance(value, BaseException) else kind


def is_error(one: Any) -> bool:
    """Return whether *one* is an exception, or a class of them."""
    return isinstance(one, BaseException) or (
        isinstance(one, type) and issubclass(one, BaseException)
    )


def shortened(text: str) -> str:
    """Return *text*, cut to the length of a label."""
    return text[: LONGEST - 1] + "…"
