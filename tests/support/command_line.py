"""Runs the command line in the test's own process, as the entry point does, without two seconds of starting."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from countermand import cli
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS
from countermand.environment import PREFIX

Run = Callable[..., "Said"]


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


def runner(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    contracts: Sequence[Contract] = CONTRACTS,
) -> Run:
    """Runs `countermand ARGUMENTS` with settings in the environment. An error that is not ours rises: a stack trace.

    It waits for the command: beside a service on the test's own event loop, which may hold a lock, call it in a thread.
    """

    def run(*arguments: str, **settings: Any) -> Said:
        capsys.readouterr()
        with monkeypatch.context() as here, ThreadPoolExecutor(1) as thread:
            here.setattr(sys, "argv", ["countermand", *arguments])
            for name, value in settings.items():
                here.setenv(PREFIX + name.upper(), str(value))
            # A command has an event loop of its own, and a thread has one loop at most.
            code = thread.submit(_exit_code, contracts).result()
        structlog.reset_defaults()  # a command says where its log lines go, and the tests after it see theirs
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


def _exit_code(contracts: Sequence[Contract]) -> int:
    try:
        cli.main(contracts)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def assert_one_sentence(said: Said, *names: str) -> None:
    """It refused: exit code 2, and on standard error one sentence that names the things."""
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("countermand: ")
    assert said.err.count("\n") == 1, said.err
    for name in names:
        assert name in said.err
