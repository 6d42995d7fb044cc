"""Run one module of a suite; write what becomes of each test.

    one_module.py SUITE MODULE REPORT [TEST ...]

Each line of the report is a test's name, an outcome, and why.  A test whose
last line says "started" did not end, one that is only "found" had no turn.
A module without tests is one itself: that it can be imported.
"""

import json
import sys
import unittest

NO_MODULE = "unittest.loader._FailedTest."  # it can't be imported


class Report(unittest.TestResult):
    """Write each outcome as it comes: the next test may crash."""

    def __init__(self, suite, module, path):
        super().__init__()
        self.suite, self.module = suite, module
        self.out = open(path, "w", encoding="utf-8")  # noqa: SIM115

    def name(self, test):
        if test.id().startswith(NO_MODULE):
            return self.module
        return test.id().removeprefix(self.suite)

    def write(self, test, outcome, why=""):
        self.line(self.name(test), outcome, why)

    def line(self, *words):
        print(json.dumps(words), file=self.out, flush=True)

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


def main(suite, module, path, *chosen):
    loaded = unittest.defaultTestLoader.loadTestsFromName(suite + module)
    report = Report(suite, module, path)
    tests = list(each(loaded))
    if chosen:
        tests = [test for test in tests if report.name(test) in chosen]
        loaded = unittest.TestSuite(tests)
    for test in tests:
        report.write(test, "found")
    loaded.run(report)
    if not tests:
        report.line(module, "passed", "")


if __name__ == "__main__":
    main(*sys.argv[1:])
