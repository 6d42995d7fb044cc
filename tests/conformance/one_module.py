"""Run one module of greenlet's suite; write what becomes of each test.

Each line of the report is a test's name, an outcome, and why.  A test whose
last line says "found" or "started" had no chance to end.
"""

import json
import sys
import unittest

SUITE = "greenlet.tests."


class Report(unittest.TestResult):
    """Write each outcome as it comes: the next test may crash."""

    def __init__(self, path):
        super().__init__()
        self.out = open(path, "w", encoding="utf-8")  # noqa: SIM115

    def write(self, test, outcome, why=""):
        line = [test.id().removeprefix(SUITE), outcome, why]
        print(json.dumps(line), file=self.out, flush=True)

    def startTest(self, test):  # noqa: N802
        super().startTest(test)
        self.write(test, "started")

    def addSuccess(self, test):  # noqa: N802
        self.write(test, "passed")

    def addError(self, test, error):  # noqa: N802
        self.write(test, "failed", self._exc_info_to_string(error, test))

    addFailure = addError  # noqa: N815

    def addSubTest(self, test, _part, error):  # noqa: N802
        if error is not None:
            self.addError(test, error)

    def addSkip(self, test, reason):  # noqa: N802
        self.write(test, "skipped", reason)

    def addExpectedFailure(self, test, _error):  # noqa: N802
        self.write(test, "passed")

    def addUnexpectedSuccess(self, test):  # noqa: N802
        self.write(test, "failed", "was expected to fail, and passed")


def each(tests):
    """Yield the tests of a suite of suites."""
    for one in tests:
        if isinstance(one, unittest.TestSuite):
            yield from each(one)
        else:
            yield one


def main(module, path):
    tests = unittest.defaultTestLoader.loadTestsFromName(SUITE + module)
    report = Report(path)
    for test in each(tests):
        report.write(test, "found")
    tests.run(report)


if __name__ == "__main__":
    main(*sys.argv[1:])
