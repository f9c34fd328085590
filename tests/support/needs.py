"""Marks tests that need a program of the machine, such as curl or a JDK, as slow, and lists those that did not run.

`@pytest.mark.needs("javac")` makes a test slow. If programs are missing, the run ends with a list of the programs and
of the tests that were not tried. A program that `make test` needs comes with the project's packages instead.
"""

import shutil

import pytest

_REASON = "not here: "


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(program, ...): what must be on the PATH; such a test is a slow one")


@pytest.hookimpl(tryfirst=True)  # before those with other markers than `-m` names are left out
def pytest_itemcollected(item: pytest.Item) -> None:
    if programs_of(item):
        item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if missing := [program for program in programs_of(item) if shutil.which(program) is None]:
        pytest.skip(_REASON + ", ".join(missing))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    untried = {}
    for report in terminalreporter.stats.get("skipped", []):
        _, here, missing = str(report.longrepr[2]).partition(_REASON)
        if here:
            untried[report.nodeid] = missing
    if untried:
        programs = sorted({program for missing in untried.values() for program in missing.split(", ")})
        terminalreporter.section(f"not here: {', '.join(programs)}; these tests did not run", red=True)
        for name, missing in sorted(untried.items()):
            terminalreporter.line(f"{name}  needs {missing}")


def programs_of(item: pytest.Item) -> list[str]:
    return [program for marker in item.iter_markers("needs") for program in marker.args]
