"""Read a script's text where its frames alone don't tell enough.

A frame knows its line.  Which variable the result of a call goes to, and
where a function ends, stands in the text.
"""

import ast
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

#: A call whose result is its function's own: look at who called that.
OUTWARD = object()
MAKERS = ("__init__", "__new__")  # they make what their caller has asked for


class Source:
    """The text of the script at *path*, found by position.

    Raise SyntaxError where it is no Python.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.tree = ast.parse(Path(path).read_bytes(), path)
        self._calls: dict[tuple[int, int], ast.Call] = {}
        self._taken: dict[ast.Call, Any] = {}
        self._functions: dict[int | None, ast.AST] = {}
        self.add(self.tree)

    def add(self, tree: ast.AST) -> None:
        """Know the nodes of *tree* as well: an example of a session."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._calls[end_of(node)] = node
            elif isinstance(node, ast.FunctionDef | ast.Lambda):
                self._functions[first_line(node)] = node
            for call, name in taken(node):
                self._taken[call] = name

    def frame(self, frame: FrameType | None) -> FrameType | None:
        """Return the innermost frame of the script, from *frame* outward."""
        while frame is not None and frame.f_code.co_filename != self.path:
            frame = frame.f_back
        return frame

    def line(self, frame: FrameType | None) -> int | None:
        """Return the line where the script is, from *frame* outward."""
        found = self.frame(frame)
        return None if found is None else found.f_lineno

    def call(self, frame: FrameType) -> ast.Call | None:
        """Return the call that *frame*, which is the script's, is at."""
        positions = [*frame.f_code.co_positions()]
        _, line, _, column = positions[frame.f_lasti // 2]
        return self._calls.get((line or 0, column or 0))

    def owner(self, frame: FrameType) -> str | None:
        """Return the variable whose method *frame* calls, as in a.start()."""
        owner = getattr(getattr(self.call(frame), "func", None), "value", None)
        return owner.id if isinstance(owner, ast.Name) else None

    def variable(self, frame: FrameType | None) -> str | None:
        """Return the variable that will hold the greenlet being made.

        None where it is made by the way, as a pool's ``map`` makes some.
        """
        found = self.frame(frame)
        call = None if found is None else self.call(found)
        if call is None or not makes(call):
            return None
        while found is not None:
            name = self._taken.get(call) if call is not None else None
            if name is not OUTWARD and found.f_code.co_name not in MAKERS:
                return name
            found = self.frame(found.f_back)
            call = None if found is None else self.call(found)
        return None

    def first_line(self, code: CodeType | None) -> int | None:
        """Return the line of the script where a function begins."""
        if code is None or code.co_filename != self.path:
            return None
        return code.co_firstlineno

    def last_line(self, code: CodeType | None) -> int | None:
        """Return where a function of the script ends, if in one place."""
        return ending(self._function(code))

    def result(self, code: CodeType | None) -> str | None:
        """Return what a function of the script returns, if it is constant."""
        function = self._function(code)
        match getattr(function, "body", None):
            case [*_, ast.Return(ast.Constant(value))] if ending(function):
                return repr(value)
        return None

    def _function(self, code):
        return self._functions.get(self.first_line(code))

    def line_of_error(self, error: BaseException) -> int | None:
        """Return the innermost line of the script that *error* came by."""
        line = None
        for frame, number in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == self.path:
                line = number
        return line


def makes(call: ast.Call) -> bool:
    """Return whether *call* is one that returns a greenlet, by its name."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return (
        name.startswith("spawn")
        or name in ("greenlet", *MAKERS)
        or name[:1].isupper()
    )


def end_of(node: ast.expr) -> tuple[int, int]:
    """Return where *node* ends; no other call ends there."""
    return node.end_lineno or 0, node.end_col_offset or 0


def first_line(node: Any) -> int:
    """Return the line that the code of a function is said to begin at."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def taken(node: ast.AST) -> Iterator[tuple[ast.Call, Any]]:
    """Yield each call whose result *node* takes, and the name it gets."""
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Call):
        yield node.value, OUTWARD
    elif isinstance(node, ast.Assign):
        yield from paired(node.targets[0], node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
        yield from paired(node.target, node.value)
    elif isinstance(node, ast.withitem):
        yield from paired(node.optional_vars, node.context_expr)


def paired(target: Any, value: Any) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call of *value* with the name of *target* that it gets."""
    if isinstance(target, ast.Name) and isinstance(value, ast.Call):
        yield value, target.id
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for pair in zip(target.elts, value.elts, strict=False):
            yield from paired(*pair)


def ending(function: Any) -> int | None:
    """Return the line at which *function* ends; None if there are several."""
    if isinstance(function, ast.Lambda):
        return function.body.end_lineno
    if function is None:
        return None
    last = function.body[-1]
    returns = [one for one in ast.walk(function) if type(one) is ast.Return]
    branches = ast.If | ast.Try | ast.With | ast.Match
    if isinstance(last, branches) or set(returns) - {last}:
        return None
    return last.lineno
