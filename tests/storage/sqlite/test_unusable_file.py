"""A database file that this process may not open: SQLite says only that it fails; the owner, mode and user say why."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from countermand.actions.errors import SchemaError
from countermand.storage.schema import check_schema, migrate
from countermand.storage.sqlite.file import why_unusable

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike a test's own."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def as_somebody_whom_modes_bind() -> Iterator[None]:
    """To root no mode forbids anything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_database_made_by_another_user_is_told_with_its_owner_its_mode_and_who_we_are(folder: Path):
    path = folder / "orders.sqlite3"
    migrate(path)
    path.chmod(0o000 if os.geteuid() else 0o600)
    if os.geteuid() == 0:
        folder.chmod(0o777)
    with as_somebody_whom_modes_bind(), pytest.raises(SchemaError) as raised:
        asyncio.run(check_schema(path))
    mode = "0000" if os.geteuid() else "0600"
    assert f"the database {path} cannot be opened: {path} belongs to " in str(raised.value)
    assert f"mode {mode}, and this process runs as " in str(raised.value)
    assert str(raised.value).endswith("which may not read and write it")


@pytest.mark.parametrize(("mode", "act"), [(0o555, "make files in"), (0o444, "enter")])
def test_a_folder_that_forbids_it_is_named(folder: Path, mode: int, act: str):
    within = folder / "data"
    within.mkdir()
    within.chmod(mode)
    with as_somebody_whom_modes_bind():
        why = why_unusable(within / "orders.sqlite3")
    within.chmod(0o755)
    assert why is not None
    assert why.startswith(f"{within} belongs to ")
    assert why.endswith(f"may not {act} it")


def test_a_folder_that_is_not_there_is_named_and_not_made(folder: Path):
    with pytest.raises(SchemaError) as raised:
        migrate(folder / "new" / "orders.sqlite3")
    assert f"there is no folder {folder / 'new'}; make it first" in str(raised.value)
    assert not (folder / "new").exists()


async def test_a_folder_in_the_place_of_the_file_is_said_to_be_one(tmp_path: Path):
    with pytest.raises(SchemaError, match="it is a folder; name a file in it"):
        await check_schema(tmp_path)


def test_what_may_be_opened_or_made_is_not_complained_of(tmp_path: Path):
    path = tmp_path / "a" / "b" / "orders.sqlite3"
    assert why_unusable(path) is None
    path.parent.mkdir(parents=True)
    migrate(path)
    assert why_unusable(path) is None
