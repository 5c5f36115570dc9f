"""Run tests of uvloop's, one after another in one process, and tell of each as it begins and ends.

    python driver.py REPORT tests.test_tcp [TEST_TO_LEAVE_OUT …]

REPORT gets one JSON line for each event: {"begin": name}, {"end": name, "state": …, "why": …}. Whoever reads it sees
which test hangs, and calls again without those that are done. Left out are the twins of each test that try asyncio's
loop and not this one: the subclasses of AIOTestCase.
"""

import faulthandler
import importlib
import json
import signal
import sys
import traceback
import unittest


class Result(unittest.TestResult):
    """Writes each event at once; a test's last word counts, and of several the worst."""

    RANK = ("ok", "skip", "FAIL")

    def __init__(self, report):
        super().__init__()
        self.report = report
        self.state, self.why = "ok", ""

    def tell(self, **event):
        self.report.write(json.dumps(event) + "\n")
        self.report.flush()

    def startTest(self, test):
        super().startTest(test)
        self.state, self.why = "ok", ""
        self.tell(begin=name_of(test))

    def stopTest(self, test):
        super().stopTest(test)
        self.tell(end=name_of(test), state=self.state, why=self.why)

    def note(self, state, why):
        if self.RANK.index(state) > self.RANK.index(self.state):
            self.state, self.why = state, why

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.trouble(err)

    def addError(self, test, err):
        super().addError(test, err)
        self.trouble(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.trouble(err)

    def trouble(self, err):
        traceback.print_exception(*err)
        last = traceback.format_exception_only(*err[:2])[-1].strip()
        self.note("FAIL", last.splitlines()[0][:200])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skip", reason)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note("FAIL", "an unexpected success")


def name_of(test):
    return test.id().removeprefix("tests.")


def every_test(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from every_test(item)
        else:
            yield item


def main():
    faulthandler.register(signal.SIGUSR2, all_threads=True)  # how the runner asks where a test hangs
    module, done = sys.argv[2], set(sys.argv[3:])
    with open(sys.argv[1], "a") as report:
        result = Result(report)
        try:
            loaded = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))
        except Exception as exc:
            traceback.print_exc()
            name = module.removeprefix("tests.")
            result.tell(end=name, state="FAIL", why=f"cannot be imported: {exc}")
            return
        from uvloop import _testbase

        for test in every_test(loaded):
            if not isinstance(test, _testbase.AIOTestCase) and name_of(test) not in done:
                print(f"----- {name_of(test)}", flush=True)
                # A suite of one, so that setUpClass and setUpModule are called, which a TestCase alone does not.
                unittest.TestSuite([test]).run(result)


if __name__ == "__main__":
    main()
