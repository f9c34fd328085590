"""Reads the fenced blocks of our pages, and runs those that are marked `sh` as a person does who pastes them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.serving import free_port

ROOT = Path(__file__).parents[2]
STARTS_WITH = "demo --env"  # in the block of a page that must be pasted before the page's other blocks
_STAND_INS = Path(__file__).with_name("stand_ins.py")
_LEFT_OUT = (".venv", "node_modules", ".git", ".old-versions", ".pytest_cache")
_FENCE = re.compile(r"```(\w*)$")
_STATUS = re.compile(r"`(\d{3})`")
_ELLIPSIS = "…"
_IN_THE_BACKGROUND = re.compile(r"(?m)^countermand webhook listen .*&$")
_PORT = re.compile(r"\b9000\b")  # where receivers of our pages listen; a test takes a free port
_SHOWN_LIMIT_S = 120

# What a page can say of the answers: the statuses in backticks in the paragraph before a block are those of its last
# requests, in order. Every other request succeeds. A `json` block right after it shows the last answer, and a `text`
# block shows the output. A block may leave a listener running: then its output is shown sooner or later, and the
# listener is ended.


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with what stands around it."""

    page: Path
    line: int
    language: str
    text: str
    before: str  # the paragraph before it, if no other block is nearer
    follower: "Block | None" = None  # the block that begins on the line after it

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name}:{self.line}"

    @property
    def is_the_start(self) -> bool:
        return STARTS_WITH in self.text

    @property
    def leaves_a_listener(self) -> bool:
        return bool(_IN_THE_BACKGROUND.search(self.text))

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS.findall(self.before)]


def pages() -> list[Path]:
    """Every page of the project. The package has links to some of them, which are not pages of their own."""
    found = (page for page in ROOT.rglob("*.md") if not page.is_symlink())
    return sorted(page for page in found if not {*page.relative_to(ROOT).parts} & {*_LEFT_OUT})


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in its order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    assert len(fences) % 2 == 0, f"{page}: a block does not end"
    found: list[Block] = []
    following: dict[int, Block] = {}
    for start, end in reversed(list(zip(fences[::2], fences[1::2], strict=True))):
        opened = _FENCE.match(lines[start])
        assert opened, f"{page}:{start + 1}: {lines[start]}"
        assert lines[end] == "```", f"{page}:{end + 1}: {lines[end]}"
        text = "\n".join(lines[start + 1 : end])
        block = Block(page, start + 1, opened[1], text, _paragraph_before(lines, start), following.get(end + 1))
        following[start] = block
        found.append(block)
    return found[::-1]


def _paragraph_before(lines: list[str], start: int) -> str:
    at = start - 1
    while at >= 0 and not lines[at].strip():
        at -= 1
    paragraph: list[str] = []
    while at >= 0 and lines[at].strip() and not lines[at].startswith("```"):
        paragraph.append(lines[at])
        at -= 1
    return " ".join(reversed(paragraph))


@dataclass(frozen=True)
class Pasting:
    """A shell, a folder to paste in, and the programs that it finds."""

    shell: str
    folder: Path
    real_programs: bool

    def environment(self, *, with_countermand: bool) -> dict[str, str]:
        """The environment of a new terminal."""
        path = [str(self._programs()), "/usr/local/bin", "/usr/bin", "/bin"]
        if with_countermand:
            path.append(str(Path(sys.executable).parent))
        return {
            "PATH": os.pathsep.join(path),
            "HOME": str(self.folder),
            "NO_PROXY": "*",
            "TZ": os.environ.get("TZ", ""),
            "LC_ALL": "C.UTF-8",
        }

    def started(self, start: Block | None, data_dir: Path | None) -> dict[str, str]:
        """The environment after the block that a page wants first. Without one, `countermand` is installed."""
        if start is None:
            return self.environment(with_countermand=True)
        folder = "" if data_dir is None else f" --data-dir {shlex.quote(str(data_dir))}"
        text = start.text.replace(STARTS_WITH, f"{STARTS_WITH}{folder}")
        done = self._run(f"{text}\nenv -0", self.environment(with_countermand=False))
        assert (done.returncode, done.stderr) == (0, ""), f"{start}: {done.stderr}"
        return dict(one.split("=", 1) for one in done.stdout.split("\0") if "=" in one)

    def paste(self, block: Block, environment: dict[str, str]) -> None:
        """Run a block, and compare what happened with what its page says. Raises `AssertionError`."""
        exchanges = self.folder / "exchanges"
        exchanges.mkdir(exist_ok=True)
        for old in exchanges.iterdir():
            old.unlink()
        environment = environment | {"EXCHANGES": str(exchanges)}
        run = self._run_with_a_listener if block.leaves_a_listener else self._run_alone
        done = run(block, environment)
        said = f"{block}: {done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        assert not re.search(r"not found|no matches|parse error", done.stderr), said
        answers = [json.loads(file.read_text()) for file in sorted(exchanges.iterdir())]
        seen, promised = [answer["status"] for answer in answers], block.statuses
        others = seen[: len(seen) - len(promised)]
        assert seen[len(others) :] == promised, f"{said}: the page says {promised}, the answers were {seen}"
        assert [status for status in others if not 200 <= status < 300] == [], f"{said}: {seen}"
        match block.follower:
            case Block(language="json", text=shown):
                assert_shown(json.loads(shown), json.loads(answers[-1]["body"]), str(block))
            case Block(language="text", text=shown):
                assert_printed(shown, done.stdout, str(block))
            case _:
                assert answers, f"{block}: nothing tells what came of it"

    def _run_alone(self, block: Block, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return self._run(on_a_free_port(block.text), environment)

    def _run(self, text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        shell = shutil.which(self.shell)
        assert shell, self.shell
        return subprocess.run(
            [shell, "-c", f"set -eu -o pipefail\n{text}"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _run_with_a_listener(self, block: Block, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a block in a process group of its own, wait until it has printed what its page shows, and end it."""
        shell = shutil.which(self.shell)
        assert shell, self.shell
        text = on_a_free_port(block.text)
        out, err = self.folder / "out", self.folder / "err"
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [shell, "-c", f"set -eu -o pipefail\n{text}"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
            )
            try:
                process.wait(300)
                ends_at = time.monotonic() + _SHOWN_LIMIT_S
                while (
                    process.returncode == 0 and time.monotonic() < ends_at and not _is_printed(block, out.read_text())
                ):
                    time.sleep(0.1)
            finally:
                with suppress(ProcessLookupError):  # the block ended the listener itself
                    os.killpg(process.pid, signal.SIGTERM)
        return subprocess.CompletedProcess(process.args, process.returncode, out.read_text(), err.read_text())

    def _programs(self) -> Path:
        programs = self.folder / "programs"
        if not programs.exists():
            programs.mkdir()
            words = {"curl": "recorded-curl" if self.real_programs else "curl", "openssl": "openssl"}
            if self.real_programs:
                del words["openssl"]
            for name, word in words.items():
                _program(programs / name, shlex.join([sys.executable, str(_STAND_INS), word]))
            _program(programs / "python3", shlex.quote(sys.executable))
        return programs


def _program(file: Path, command: str) -> None:
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o700)


def a_clone(folder: Path, data_dir: Path | None) -> Path:
    """A folder that looks like the clone to somebody who pastes: its program and, if given, the demo's data."""
    (folder / ".venv").mkdir(parents=True)
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    if data_dir is not None:
        (folder / ".countermand").symlink_to(data_dir)
    return folder


def assert_shown(shown: Any, answer: Any, where: str) -> None:
    """The same names in the same places, values of the same type, and the same truths, nulls and codes.

    A name "…" stands for more names, a list shows the first of its items, and a text with "…" may have anything there.
    """
    match shown:
        case dict():
            assert isinstance(answer, dict), where
            names = shown.keys() - {_ELLIPSIS}
            assert names <= answer.keys(), f"{where}: {sorted(names - answer.keys())} of the page are not in {answer}"
            if _ELLIPSIS not in shown:
                assert names == answer.keys(), f"{where}: the page lacks {sorted(answer.keys() - names)}"
            for name in names:
                assert_shown(shown[name], answer[name], f"{where}, {name}")
        case list():
            assert isinstance(answer, list), where
            assert bool(shown) is bool(answer), f"{where}: {answer}"
            for one, other in zip(shown, answer, strict=False):
                assert_shown(one, other, where)
        case bool() | None:
            assert shown is answer, f"{where}: {answer}"
        case str():
            assert isinstance(answer, str), f"{where}: {answer}"
            if re.fullmatch(r"[A-Za-z]\w*", shown):
                assert shown == answer, f"{where}: {answer}"
        case _:
            assert type(shown) is type(answer), f"{where}: {answer}"


def on_a_free_port(text: str) -> str:
    """A block with another port for its receiver."""
    return _PORT.sub(str(free_port()), text)


def _is_printed(block: Block, printed: str) -> bool:
    shown = block.follower
    try:
        assert_printed("" if shown is None or shown.language != "text" else shown.text, printed, str(block))
    except AssertionError:
        return False
    return True


def assert_printed(shown: str, printed: str, where: str) -> None:
    """Each line of the page was printed, in the page's order; "…" stands for anything."""
    pattern = r"[^\n]*\n(?:[^\n]*\n)*?".join(
        re.escape(line).replace(_ELLIPSIS, r"[^\n]*") for line in shown.splitlines()
    )
    assert re.search(rf"(?m)^{pattern}$", printed), f"{where}: {printed}"
