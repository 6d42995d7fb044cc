"""Programs that go wrong where a switch forgets what it must tell Python.

Each stands for a row of the tables in ``docs/greenlet/state.md``, and is right
on an engine that forgets nothing.  ``test_state.py`` runs them on one that was
told to forget: there they are wrong, or crash, or never end.

    python tests/forgetful.py NAME
"""

import resource
import sys
from contextvars import ContextVar

from evening.greenlet import getcurrent, greenlet

main = getcurrent()
mark = ContextVar("mark")
LIMIT = sys.getrecursionlimit()


def wait():
    return main.switch()


def deep(n):
    return deep(n - 1) if n else wait()


def deep_in_c(n, then=wait):
    if n:
        max([n - 1], key=lambda n: deep_in_c(n, then))
    else:
        then()


def started(run, *args):
    """Return a greenlet that has come to its first wait."""
    waiting = greenlet(run)
    waiting.switch(*args)
    return waiting


def nested(depth, leaf):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


class Leaf:
    """Notes in *gone* when it is freed, and may then do something more."""

    def __init__(self, gone, then=lambda: None):
        self.gone, self.then = gone, then

    def __del__(self):
        self.gone.append(self)
        self.then()


def drops_at_once():
    gone = []
    tree = nested(45, Leaf(gone))
    del tree
    return len(gone) == 1


# -- At each switch


def frames_of_c():
    def task():
        for n in range(50):
            deep_in_c(n % 5)

    crowd = [started(task) for _ in range(3)]
    while not all(waiting.dead for waiting in crowd):
        for waiting in crowd:
            waiting.switch()
    return True


def whose_frame():
    found = []

    def task():
        main.switch()  # not by wait(): a return sets it right again
        found.append(sys._getframe().f_code.co_name)

    started(task).switch()
    return found == ["task"]


def whose_memory():
    def task(mine):
        kept = [mine] * 3
        deep(5)
        return kept

    crowd = [started(task, n) for n in range(20)]
    deep_in_c(5, lambda: None)
    return [waiting.switch() for waiting in crowd] == [
        [n] * 3 for n in range(20)
    ]


def error_of_a_generator():
    def failing():
        try:
            raise ValueError
        except ValueError:
            yield wait()

    waiting = started(lambda: next(failing()))
    return waiting and sys.exc_info()[0] is None


def error_of_a_function():
    def failing():
        try:
            raise ValueError
        except ValueError:
            wait()

    waiting = started(failing)
    return waiting and sys.exc_info()[0] is None


def context():
    def task():
        mark.set("theirs")
        wait()

    waiting = started(task)
    return waiting and mark.get("ours") == "ours"


def context_read_a_moment_ago():
    def task():
        mark.set("theirs")
        mark.get()
        wait()

    mark.set("ours")
    waiting = started(task)
    return waiting and mark.get() == "ours"


def room_for_calls():
    crowd = [started(deep, LIMIT * 3 // 10) for _ in range(3)]
    try:
        descend(LIMIT // 2)
    except RecursionError:
        return False
    return len(crowd) == 3


def descend(n):
    return n and descend(n - 1)


def room_for_calls_through_c():
    crowd = [started(deep_in_c, LIMIT // 4) for _ in range(100)]
    try:
        deep_in_c(LIMIT // 4, lambda: None)
    except RecursionError:
        return False
    return len(crowd) == 100


def dropping():
    waiting = started(lambda: nested(45, Leaf([], wait)) and None)
    return waiting and drops_at_once()


def profiler():
    def task():
        wait()
        called()

    def called():
        pass

    seen = []
    waiting = started(task)
    sys.setprofile(lambda frame, *_: seen.append(frame.f_code.co_name))
    waiting.switch()
    sys.setprofile(None)
    return "called" in seen


def way_back():
    def ask(_):
        wait()
        return 0

    def sort():
        sorted([1], key=ask)

    waiting = started(sort)
    deep_in_c(20, lambda: None)  # writes over the waiting one's C stack
    frame, names = waiting.gr_frame, []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names == ["wait", "ask", "sort"]


# -- At the start


def first_frame():
    return greenlet(lambda: sys._getframe().f_back is None).switch()


def profiler_at_the_start():
    crowd = []
    sys.setprofile(lambda *_: None)
    deep_in_c(5, lambda: crowd.append(started(deep_in_c, 5)))
    deep_in_c(50, lambda: None)  # writes over the starter's C stack
    for waiting in crowd:
        waiting.switch()
    sys.setprofile(None)
    return all(waiting.dead for waiting in crowd)


def first_error():
    try:
        raise ValueError
    except ValueError:
        return greenlet(lambda: sys.exc_info()[0] is None).switch()


def first_context():
    mark.set("ours")
    return greenlet(lambda: mark.get("none") == "none").switch()


def first_dropping():
    found = []
    begin = greenlet(lambda: found.append(drops_at_once())).switch
    tree = nested(45, Leaf([], begin))
    del tree
    return found == [True]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (2, 2))  # who never ends, ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(not globals()[sys.argv[1]]())
