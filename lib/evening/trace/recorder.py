"""Note what happens in a run: who runs, where, and what is passed.

A switch is told by the engine's own trace function, with both greenlets; the
line is where the frame of a greenlet stands.  What the loop does is told by
``on_gevent`` and ``on_evening``.
"""

import ast
import contextlib
import io
import sys
import weakref
from _thread import get_ident  # the real one, also where gevent patches it
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import Any, TextIO

from .names import (
    Numbers,
    Words,
    after_function,
    function_of,
    is_error,
    stable,
)
from .source import Source

Event = dict[str, Any]


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
        self.numbers = Numbers()
        self.word = Words(self._name_of).word
        self.turn = 0
        self.sent: str | None = None  # what is on its way to the target
        #: What the callback that a greenlet runs was given.
        self.running: dict[str, tuple[Any, ...]] = {}
        self._newborns: list[str] = []  # they are to begin soon
        self.slices = slices
        self._met: list[weakref.ref[Any]] = []
        self._arrival: Event | None = None  # what brought control here
        self._key = f"evening.trace {id(self):x}"
        self._thread = get_ident()
        self._same: Counter[str] = Counter()  # names that were wished for
        self._new_turn = False
        self._silent = 0
        self.known(layer.getcurrent())

    def recording(self) -> bool:
        """Return whether what happens here and now is recorded."""
        return not self._silent and get_ident() == self._thread

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Record nothing: the library is busy with itself."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def run(self) -> dict[str, Any]:
        """Return what was recorded, as the JSON has it."""
        if not self.turn:  # no loop ran
            for event in self.events:
                event.pop("turn", None)
        self._count_from_main()
        return {"greenlets": self.greenlets, "events": self.events}

    # -- Events

    def note(self, event: str, **fields: Any) -> Event | None:
        """Note that *event* happens now, in the greenlet that runs."""
        if not self.recording():
            return None
        me = self.known(self.layer.getcurrent()).name
        return self._add(event, me, self.source.line(sys._getframe(1)), fields)

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
        if self.recording() and not self._slept():
            self._new_turn = True

    def poll(self, timeout: str) -> None:
        """Note that the kernel is asked, and how long we may sleep."""
        if not self._slept():
            self.note("poll", timeout=timeout)

    def begin_soon(self, greenlet: Any) -> None:
        """Note that the loop will switch to *greenlet*, which is new."""
        name = self.known(greenlet).name
        self._newborns.append(name)
        self.note("callback_queued", callback=f"switch {name}")

    def _slept(self):
        return self.last()["event"] == "poll"

    def last(self) -> Event:
        """Return what happened last."""
        return self.events[-1] if self.events else {"event": None}

    # -- Switches

    def switched(self, event: str, pair: tuple[Any, Any]) -> None:
        """Note a switch; the engine calls this when the target goes on."""
        if not self.recording():
            return
        origin, target = pair
        # Who switches to a dead child of its own comes back to itself.
        frame = sys._getframe(1) if origin is target else origin.gr_frame
        leaving, line = self.known(origin), self.source.line(frame)
        arriving = vars(target).get(self._key)
        if arriving is None:  # it was made for this switch
            arriving = self._meet(target, (), (leaving.name, line))
        if arriving.name in self._newborns:
            self._newborns.remove(arriving.name)
            fields = {"callback": f"switch {arriving.name}"}
            self._add("callback_run", leaving.name, line, fields)
        if origin.dead:
            self._ended(event, origin, leaving, arriving.name)
        else:
            value = self.sent or self._guess(event, leaving.name, frame)
            fields = {"target": arriving.name, "value": value}
            self._arrival = self._add(event, leaving.name, line, fields)
        self.sent = None
        self._note_slices()
        if not arriving.started:
            arriving.started = True
            line = self.source.first_line(arriving.code)
            name = arriving.name
            self._add("start", name, line, {"target": name})

    def _ended(self, event, origin, leaving, target):
        error = getattr(origin, "exception", None)
        name, failed = leaving.name, event == "throw" or error is not None
        if not failed:
            line = self.source.last_line(leaving.code)
            value: str | None
            if hasattr(origin, "value"):  # the hub gets nothing: it is kept
                value = self.word(origin.value)
            else:  # else who gets it tells, unless it begins with it
                value = self.source.result(leaving.code)
            fields = {"target": target, "value": value}
            self._arrival = self._add("return", name, line, fields)
            self._add("die", name, line, {"target": target, "error": None})
        else:
            fields = {"target": target, "error": "an error"}
            self._arrival = self._add("die", name, None, fields)
            if error is not None:
                self._died_of(self._arrival, error)

    def _died_of(self, event, error):
        event["error"] = self.word(error)
        event["line"] = self.source.line_of_error(error)

    def _guess(self, event, origin, frame):
        # No method of the script's greenlets was called to come here, but
        # one of the library's: look at what it was given.
        if event == "throw":
            given = self.running.get(origin, ())
            errors = [one for one in given if is_error(one)]
            return self.word(errors[0]) if errors else None
        found = self.source.frame(frame)
        call = None if found is None else self.source.call(found)
        if call is None or getattr(call.func, "attr", "") != "switch":
            return None
        match call.args:
            case [ast.Constant(value)]:
                return self.word(value)
        return None

    def arrived(self, value: Any = (), error: Any = None) -> None:
        """Complete the event that brought control here.

        Whoever called ``switch`` has got *value*, or *error* was raised.
        """
        event, self._arrival = self._arrival, None
        if event is None or not self.recording():
            return
        if event["target"] != self.known(self.layer.getcurrent()).name:
            return
        if event["event"] == "die":
            if error is not None:  # its parent got it; else it was kept
                self._died_of(event, error)
        elif event["value"] is None:
            came = value if error is None else error
            nothing = type(came) is tuple and not came
            event["value"] = None if nothing else self.word(came)

    # -- Names

    def known(self, greenlet: Any, *args: Any) -> Known:
        """Return what is known of *greenlet*; if nothing, it was made now.

        *args* are those that its function will get, as far as we can see.
        """
        found: Known | None = vars(greenlet).get(self._key)
        return self._meet(greenlet, args) if found is None else found

    def _meet(
        self,
        greenlet: Any,
        args: tuple[Any, ...],
        maker: tuple[str, int | None] | None = None,
    ) -> Known:
        function, more = function_of(greenlet)
        parent, kind = greenlet.parent, "greenlet"
        if parent is None:
            kind = name = "main"
        elif isinstance(greenlet, self.hub):
            kind = name = "hub"
        else:
            name = self._variable(greenlet) or after_function(
                greenlet, function, more + args
            )
        if parent is not None:
            parent = self.known(parent).name
        name = self._free(name)
        known = Known(name, kind, getattr(function, "__code__", None))
        # In its own dictionary, so that nothing here keeps it alive.
        vars(greenlet)[self._key] = known
        self.greenlets[name] = {"kind": kind, "parent": parent}
        if kind == "greenlet":
            fields = {"target": name, "parent": parent}
            if maker is None:
                self.note("spawn", **fields)
            else:
                self._add("spawn", *maker, fields)
        if self.slices:
            self._met.append(weakref.ref(greenlet))
        return known

    def _variable(self, greenlet):
        frame = self.source.frame(sys._getframe(1))
        name = self.source.variable(frame)
        if name is None and frame is not None:
            name = self.source.owner(frame)  # as in a.start()
            if name is None:
                return None
            if name not in frame.f_code.co_varnames:
                holder = frame.f_globals.get(name)
            else:
                holder = frame.f_locals.get(name)
            return name if holder is greenlet else None
        return name

    def _name_of(self, one):
        is_greenlet = isinstance(one, self.layer.greenlet)
        return self.known(one).name if is_greenlet else None

    def _free(self, name):
        self._same[name] += 1
        number = self._same[name]
        free = name if number == 1 else f"{name} {number}"
        return self._free(name) if free in self.greenlets else free

    # -- Stacks

    def _note_slices(self):
        if self.slices and self._arrival is not None:
            alive = [one for ref in self._met if (one := ref()) is not None]
            self._arrival["slices"] = {
                self.known(one).name: [
                    one._stack_start,
                    one._stack_stop,
                    one._stack_saved,
                ]
                for one in alive
                if one._stack_start or one.parent is None
            }

    def _count_from_main(self):
        # Addresses are counted from where main was first left.  Its own
        # stop, and its start before that, have none: None.
        slices = [one["slices"] for one in self.events if "slices" in one]
        starts = [start for one in slices for start, *_ in one.values()]
        first = next(filter(None, starts), 0)
        for one in slices:
            for name, (start, stop, saved) in one.items():
                one[name] = [
                    start - first if start else None,
                    None if name == "main" else stop - first,
                    saved,
                ]


class Out(io.RawIOBase):
    """A standard output that notes each line, and whose it is.

    *tee* gets all of it, too.
    """

    def __init__(self, recorder: Recorder, tee: TextIO | None = None) -> None:
        self._recorder, self._tee, self._rest = recorder, tee, b""

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def write(self, data: Any) -> int:
        """Note each whole line."""
        if self._tee is not None:
            self._tee.write(bytes(data).decode("utf-8", "replace"))
        *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
        for line in lines:
            self._note(line)
        return len(data)

    def _note(self, line):
        text = stable(line.decode("utf-8", "replace"))
        self._recorder.note("print", text=text)

    def end(self) -> None:
        """Note a last line that nobody has ended."""
        if self._rest:
            self._note(self._rest)
