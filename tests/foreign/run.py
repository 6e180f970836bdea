"""Other projects' own tests over pywscore: ``python tests/foreign/run.py [NAME]``.

What fails has to be in a suite's list with its reason, and what is there has to fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sources import FOLDER, PACKAGES, install_needed, unpacked
from suites import SUITES, Suite

HERE = Path(__file__).parent
# Their time limits are for machines that do nothing else.
PATIENCE = {"GQL_TESTS_TIMEOUT_FACTOR": "10", "WEBSOCKETS_TESTS_TIMEOUT_FACTOR": "100"}


def failures(name: str, suite: Suite) -> tuple[set[str], int, int]:
    """Names of the tests that fail; how many there are, and how many are skipped."""
    failed, count, skipped = run(name, suite, suite.which)
    for _ in range(3):
        unexpected = failed - suite.accepted.keys()
        if not unexpected:
            break
        # Again, alone: a slow machine is no difference, which would be there each time.
        which = " or ".join(sorted(unexpected))
        which = f"({suite.which}) and ({which})" if suite.which else which
        again = run(name, suite, which, "-n", "0")[0]
        failed -= unexpected - again
    return failed, count, skipped


def run(
    name: str, suite: Suite, which: str, *options: str
) -> tuple[set[str], int, int]:
    root = unpacked(suite.source) if suite.source else HERE
    paths = [HERE, PACKAGES, root, root / "src"]
    if suite.beside:
        paths.append(unpacked(suite.beside) / "src")
    report = FOLDER / f"{name}.xml"
    report.unlink(missing_ok=True)
    files = [path for pattern in suite.files for path in sorted(root.glob(pattern))]
    command = [
        *(sys.executable, "-P", "-m", "pytest", "-c", os.devnull, "--rootdir", "."),
        *("-p", suite.plugin, "-q", "-n", "2", "--timeout", "60", "--tb=short"),
        *("-p", "no:cacheprovider", "--junitxml", report, *suite.options, *options),
        *("-k", which, *files),
    ]
    env = os.environ | PATIENCE | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    subprocess.run(command, cwd=root, env=env)
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {
        case.get("name", "").partition("[")[0]
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    return failed, len(cases), skipped


def main(names: list[str]) -> int:
    install_needed()
    wrong = []
    for name in names or SUITES:
        suite = SUITES[name]
        failed, count, skipped = failures(name, suite)
        if count <= skipped:
            wrong.append(f"{name}: no tests")
        for test in sorted(failed - suite.accepted.keys()):
            wrong.append(f"{name}: {test} fails")
        for test in sorted(suite.accepted.keys() - failed):
            wrong.append(f"{name}: {test} passes, and is in the list of what fails")
        print(
            f"{name}: {count} tests, {skipped} skipped, {len(failed)} differ",
            flush=True,
        )
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
