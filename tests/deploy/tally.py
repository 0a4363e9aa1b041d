"""A line for each thing checked, and what to exit with."""

import sys


class Tally:
    """Counts what was checked, and says it as it goes."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, problems):
        """`problems`: what is wrong with it, nothing where nothing is."""
        problems = list(problems)
        if problems:
            self.failed += 1
            print(f"FAILED {name}")
            for problem in problems:
                print(f"       {problem}")
        else:
            self.passed += 1
            print(f"ok     {name}")

    def refused(self, name, problems, expected):
        """A planted fault: there must be a problem, and one of them must say what is expected."""
        problems = [str(problem) for problem in problems]
        if any(expected in problem for problem in problems):
            self.check(f"refused: {name}", [])
        else:
            said = "; ".join(problems) or "nothing"
            self.check(f"refused: {name}", [f"a problem with `{expected}` was expected, and this was said: {said}"])

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.stdout.flush()
        return 1 if self.failed else 0
