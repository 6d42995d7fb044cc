"""Run a server and its clients for a long time, and see what is left.

``python tests/soak.py [--impl evening] [--seconds 600] [--seed N] [--quick]``

Hundreds of greenlets connect, echo checked data, time out, are killed, fail,
have their sockets closed under them and are reset, while threads wake the
hub.  Each half minute prints what was done and what the process holds.  It
exits with 1 where data was wrong, an error came that nobody planned, or
descriptors, greenlets or watchers are left at the end.  From five minutes on
nothing that it holds may grow either: who happens to be connected at a moment
says nothing of the next, and only many moments do.
"""

import argparse
import errno
import random
import statistics
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

from faults import (
    descriptors,
    greenlets,
    library,
    listener,
    raise_the_limit,
    read,
    reset,
    resident,
    spare_references,
)

CLIENTS, SLEEPERS, TALKERS, THREADS = 200, 50, 50, 2
SIZES = (1, 100, 100, 2000, 2000, 60_000)
# What those who are disturbed may meet; any other error is a failure.
PLANNED = {
    "BrokenPipeError",
    "ConnectionResetError",
    "EBADF",  # closed by another, between two of one's own calls
    "EOF",
    "Planned",
    "TimeoutError",
    "cancel_wait_ex",
}
MEGABYTE = 1 << 20
REPORTS = 8  # at least, and one each half minute
A_TREND = 5 * 60  # seconds, from which growth can be told from chance


class Planned(Exception):
    """What a greenlet here fails with on purpose."""


class Errors:
    """The hub's exception stream: it counts, and keeps what is unplanned."""

    def __init__(self, counts):
        self.counts, self.text = counts, ""

    def write(self, text):
        self.text += text
        if "failed with " in text:
            kind = text.split("failed with ")[1].split()[0]
            self.counts["told: " + kind] += 1
            if kind != "Planned":
                self.counts["unplanned"] += 1
                print(self.text, file=sys.stderr)
            self.text = ""

    def flush(self):
        pass


class Soak:
    """A server, its clients, and those who disturb them, in one process."""

    def __init__(self, lib, seed):
        self.lib, self.random = lib, random.Random(seed)
        self.counts, self.errors = Counter(), Counter()
        self.stopping, self.tasks, self.socks = False, {}, {}
        self.handlers, self.threads = set(), []
        self.loop, self.lock = lib.get_hub().loop, threading.Lock()
        lib.get_hub().exception_stream = Errors(self.errors)

    # -- Beginning and end

    def start(self):
        self.door = listener(self.lib, 1000)
        self.address = self.door.getsockname()
        self.server = self.lib.spawn(self.serve)
        roles = (
            [self.visit] * CLIENTS
            + [self.doze] * SLEEPERS
            + [self.talk] * TALKERS
        )
        self.keepers = [
            self.lib.spawn(self.keep, n, role) for n, role in enumerate(roles)
        ]
        self.keepers += [self.lib.spawn(self.disturb) for _ in range(2)]
        for _ in range(THREADS):
            thread = threading.Thread(target=self.wake, daemon=True)
            self.threads.append(thread)
            thread.start()

    def stop(self):
        """End them all; whoever does not end is a failure."""
        self.stopping = True
        for thread in self.threads:
            thread.join()
        self.lib.joinall(self.keepers, timeout=20)
        late = [one for one in self.keepers if not one.ready()]
        self.server.kill()
        self.door.close()
        self.lib.killall(list(self.handlers), timeout=10)
        self.lib.sleep(0.1)  # the last callbacks and their closes
        if late:
            self.fail(f"{len(late)} greenlets did not end: {late[:3]}")
        if self.counts["sent"] != self.counts["heard"]:
            self.fail("a thread's call was lost")

    def fail(self, text):
        self.errors["unplanned"] += 1
        print(f"FAILED: {text}", file=sys.stderr, flush=True)

    def keep(self, slot, role):
        """Have somebody in this role all the time."""
        while not self.stopping:
            task = self.tasks[slot] = self.lib.spawn(self.play, slot, role)
            task.join()
            del self.tasks[slot]

    def play(self, slot, role):
        """Play a *role* once, and note how it ended."""
        limit = self.random.choice((0.01, 1, 3))
        try:
            with self.lib.Timeout(limit):
                role(slot)
        except self.lib.Timeout:
            self.counts["timeouts"] += 1
        except Planned:
            raise
        except Exception as error:
            self.note(error)

    def note(self, error):
        kind = type(error).__name__
        if type(error) is OSError:
            kind = errno.errorcode.get(error.errno, kind)
        elif str(error).startswith("EOF after"):
            kind = "EOF"
        self.errors[kind] += 1
        self.counts["timeouts"] += isinstance(error, TimeoutError)
        if kind not in PLANNED:
            self.fail(f"nobody planned {error!r}")

    # -- The server

    def serve(self):
        while True:
            conn, _ = self.door.accept()
            task = self.lib.spawn(self.handle, conn)
            self.handlers.add(task)
            task.rawlink(lambda task, conn=conn: self.finish(task, conn))

    def finish(self, task, conn):
        conn.close()  # one that is killed early has not begun
        self.handlers.discard(task)

    def handle(self, conn):
        try:
            while head := conn.recv(1):
                size = int.from_bytes(head + read(conn, 3), "big")
                data = read(conn, size)
                self.misbehave(conn)
                conn.sendall(data)
        except Planned:
            raise
        except Exception as error:
            self.note(error)
        finally:
            conn.close()

    def misbehave(self, conn):
        chance = self.random.random()
        if chance < 0.002:
            reset(conn)
        elif chance < 0.004:
            raise Planned
        elif chance < 0.01:
            self.lib.sleep(0.05)
        elif chance < 0.012:
            conn.recv(1)  # and never answer

    # -- Those who do something

    def visit(self, slot):
        """Be a client for some rounds."""
        with self.lib.socket.socket() as sock:
            self.socks[slot] = sock
            sock.settimeout(self.random.choice((None, None, 2, 0.03)))
            sock.connect(self.address)
            self.counts["connections"] += 1
            for _ in range(self.random.randrange(30)):
                self.exchange(sock)
            if self.random.random() < 0.9:
                reset(sock)  # leaves no port in TIME_WAIT

    def exchange(self, sock):
        size = self.random.choice(SIZES)
        data = self.random.randbytes(size)
        sock.sendall(size.to_bytes(4, "big") + data)
        if read(sock, size) != data:
            self.fail(f"an echo of {size} bytes differs")
        self.counts["bytes"] += 2 * size
        if self.random.random() < 0.1:
            self.lib.sleep(self.random.random() / 100)

    def doze(self, slot):
        """Sleep, with an alarm that rings before or after."""
        for _ in range(20):
            asleep, limit = self.random.random() / 20, self.random.random()
            before = time.monotonic()
            with self.lib.Timeout(limit / 20, False):
                self.lib.sleep(asleep)
            least = min(asleep, limit / 20)
            if time.monotonic() - before < 0.9 * least - 0.001:
                self.fail(f"{least} seconds were over too early")
        if self.random.random() < 0.1:
            raise Planned

    def talk(self, slot):
        """Hand numbers to another greenlet, through events and a socket."""
        left, right = self.lib.socket.socketpair()
        with left, right:
            for n in range(50):
                result, event = self.lib.event.AsyncResult(), self.lib.event
                done = event.Event()
                helper = self.lib.spawn(self.answer, right, result, done)
                left.sendall(n.to_bytes(4, "big"))
                if result.get() != n or not done.wait(5):
                    self.fail("an event brought something else")
                helper.join()
                self.counts["events"] += 2

    def answer(self, sock, result, done):
        try:
            result.set(int.from_bytes(read(sock, 4), "big"))
        except Exception as error:  # its talker was killed, and closed it
            self.note(error)
        done.set()

    # -- Those who disturb

    def disturb(self):
        """Kill, fail, and close what others use."""
        while not self.stopping:
            self.lib.sleep(self.random.random() / 100)
            chance, victims = self.random.random(), [*self.tasks.values()]
            if chance < 0.5 and victims:
                self.random.choice(victims).kill(block=False)
                self.counts["kills"] += 1
            elif chance < 0.6 and self.handlers:
                self.random.choice([*self.handlers]).kill(block=False)
                self.counts["kills"] += 1
            elif chance < 0.8 and self.socks:
                self.random.choice([*self.socks.values()]).close()
                self.counts["closes"] += 1
            else:
                self.loop.run_callback(self.fail_on_purpose)

    def fail_on_purpose(self):
        raise Planned

    def wake(self):
        """Be a thread that calls the hub."""
        while not self.stopping:
            with self.lock:
                self.counts["sent"] += 1
            self.loop.run_callback_threadsafe(self.hear)
            time.sleep(0.002)

    def hear(self):
        self.counts["heard"] += 1

    # -- What it holds

    def holds(self):
        timers = getattr(self.loop, "_timers", None)  # gevent's are libev's
        return {
            "memory": resident(),
            "descriptors": descriptors(),
            "greenlets": greenlets(self.lib),
            "watchers": self.loop.activecnt,
            "timers": -1 if timers is None else len(timers),
        }

    def report(self, seconds, held):
        """Print a paragraph on what was done and what is held."""
        counts, errors = self.counts, self.errors
        kinds = ", ".join(f"{k} {n:,}" for k, n in sorted(errors.items()))
        print(
            f"{seconds:5.0f} s  {counts['connections']:,} connections, "
            f"{counts['bytes'] / MEGABYTE:,.0f} MB checked, "
            f"{counts['events']:,} events, {counts['heard']:,} thread calls\n"
            f"         {counts['kills']:,} kills, "
            f"{counts['timeouts']:,} timeouts, {counts['closes']:,} closes\n"
            f"         errors: {kinds or 'none'}\n"
            f"         {held['memory'] / MEGABYTE:.1f} MB, "
            f"{held['descriptors']} fds, {held['greenlets']} greenlets, "
            f"{held['watchers']} watchers, {held['timers']} timers",
            flush=True,
        )

    def run(self, seconds, every):
        """Run for so long; return what was held at each report."""
        self.lib.sleep(0)  # the hub is a greenlet, and begins here
        spare_references(self.lib)
        before, samples = self.holds(), []
        begin = time.monotonic()
        self.start()
        while (passed := time.monotonic() - begin) < seconds:
            self.lib.sleep(min(every, seconds - passed) + 0.001)
            samples.append(self.holds())
            self.report(time.monotonic() - begin, samples[-1])
            self.lib.get_hub().loop.verify()
        self.stop()
        self.compare(before, self.holds())
        if seconds >= A_TREND:
            self.compare_quarters(samples)
        return self.errors["unplanned"]

    def compare(self, before, after):
        """Fail where something is left."""
        for name in "descriptors", "greenlets", "watchers":
            if after[name] > before[name]:
                self.fail(f"{after[name] - before[name]} {name} are left")

    def compare_quarters(self, samples):
        """Fail where the last quarter holds more than the one before it."""
        quarter = len(samples) // 4
        third, fourth = samples[-2 * quarter : -quarter], samples[-quarter:]
        # Our heap of timers keeps what was cancelled for a while.
        slack = {"memory": 4 * MEGABYTE, "timers": 1000}
        for name in samples[0]:
            old, new = (
                statistics.median(held[name] for held in part)
                for part in (third, fourth)
            )
            if new > 1.1 * old + slack.get(name, 50):
                self.fail(f"{name} grew from {old:,} to {new:,}")


def parsed(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--impl", default="evening")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--quick", action="store_true", help="two seconds, and done"
    )
    return parser.parse_args(arguments)


def main(arguments):
    """Soak as told; return the exit status."""
    options = parsed(arguments)
    seconds = 2 if options.quick else options.seconds
    seed = time.time_ns() % 10**6 if options.seed is None else options.seed
    print(f"soak {options.impl} for {seconds:g} seconds, --seed {seed}")
    raise_the_limit()
    failures = Soak(library(options.impl), seed).run(
        seconds, min(30, seconds / REPORTS)
    )
    print(f"{failures} failures" if failures else "nothing left, nothing lost")
    return 1 if failures else 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
