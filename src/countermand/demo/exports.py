"""Prints what a shell needs to call a running demo, as `export` lines for bash, zsh and any other POSIX shell."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from countermand.demo.credentials import CONNECT_HEADERS, DATABASE, MANAGE_HEADERS, SHOPPING_HEADERS, WEBHOOK_KEY
from countermand.demo.fresh_ids import KINDS, fresh_id
from countermand.demo.running_demo import RunningDemo

_HEADERS: Final = {"CONNECT": CONNECT_HEADERS, "SHOPPING": SHOPPING_HEADERS, "MANAGE": MANAGE_HEADERS}
# Parts of names in demo.json that are shorter in a variable.
_SHORTER: Final = {"ACCESS_TOKEN": "TOKEN", "PRODUCTS": "PRODUCT"}


def exports(demo: RunningDemo) -> Iterator[str]:
    """Give the lines: addresses, credentials, and one id of each kind. The orders are fresh ones."""
    yield from (f"export {name}={shlex.quote(value)}" for name, value in _variables(demo))
    yield from _path()


def _variables(demo: RunningDemo) -> Iterator[tuple[str, str]]:
    base_url = demo.made.base_url
    yield "DEMO_DIR", str(demo.folder)
    yield "DEMO_URL", base_url
    yield "CONNECT_URL", f"{base_url}/api/connect"
    yield "SHOPPING_URL", base_url
    yield "MANAGE_URL", f"{base_url}/manage/v1"
    yield from _settings(demo)
    for channel, file in _HEADERS.items():
        yield f"{channel}_HEADERS", str(demo.folder / file)
    for path, value in demo.leaves.items():
        if isinstance(value, str) and path != "base_url":
            yield _name(path), value
    for kind in KINDS:
        contract, _, name = kind.partition(".")
        if contract != "product":  # a product is not used up: the demo's own are among the parts of demo.json
            yield f"{contract}_ORDER_{name}".upper(), str(fresh_id(demo, kind))


def _settings(demo: RunningDemo) -> Iterator[tuple[str, str]]:
    """Give the settings with which the operator's commands work on the demo, as on a service."""
    yield "COUNTERMAND_DATABASE_PATH", str(demo.folder / DATABASE)
    yield "COUNTERMAND_DATABASE_URL", ""  # so that no command changes another database
    yield "COUNTERMAND_PORT", str(urlsplit(demo.made.base_url).port)
    yield "COUNTERMAND_WEBHOOK_SECRET_KEY_FILE", str(demo.folder / WEBHOOK_KEY)
    yield "COUNTERMAND_WEBHOOK_ALLOW_LOOPBACK", "true"


def _name(path: str) -> str:
    name = path.replace(".", "_").upper()
    for part, shorter in _SHORTER.items():
        name = name.replace(part, shorter)
    return name


def _path() -> Iterator[str]:
    """Change PATH if the name of this program alone does not start it."""
    program = Path(sys.argv[0]).absolute()
    found = shutil.which("countermand")
    if program.name != "countermand" or (found is not None and Path(found).samefile(program)):
        return
    folder = shlex.quote(str(program.parent))
    yield f'export PATH="$PATH":{folder}' if found is None else f'export PATH={folder}:"$PATH"'
