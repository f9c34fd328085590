"""Reads the demo.json of a folder, makes sure that its demo is running, and calls it as its clients do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import httpx
import msgspec

_LIMIT_S: Final = 60
_PROBE: Final = "/manage/v1/appointment-tasks"  # answers only whoever has this demo's token

Answered = TypeVar("Answered")


class DemoError(Exception):
    """Raised if the demo of a folder cannot be used. The message says why, and what to do."""


class _Connect(msgspec.Struct):
    access_token: str
    other_access_token: str


class _Shopping(msgspec.Struct):
    key: str
    secret: str
    other_key: str
    other_secret: str
    no_permission_key: str
    no_permission_secret: str
    products: dict[str, str]


class _Manage(msgspec.Struct):
    token: str


class DemoFile(msgspec.Struct):
    """The parts of demo.json that a caller of the demo needs."""

    base_url: str
    connect: _Connect
    shopping: _Shopping
    manage: _Manage


class RunningDemo:
    """A demo that answers, and the requests of its clients. Close it in the end: it keeps a connection."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises `DemoError` if the folder has no demo, or if its demo does not run."""
        self.folder = folder.resolve()
        text = _text_of(folder)
        try:
            self.made = msgspec.json.decode(text, type=DemoFile)
            self.leaves: Mapping[str, object] = dict(_leaves(json.loads(text), ()))
        except (msgspec.DecodeError, ValueError) as error:
            raise DemoError(f"{folder / 'demo.json'} cannot be read ({error}); start the demo again") from None
        self._http = httpx.Client(base_url=self.made.base_url, timeout=_LIMIT_S, trust_env=False)
        try:
            self._check(folder)
        except DemoError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _check(self, folder: Path) -> None:
        start = _how_to_start(folder)
        try:
            status = self._http.get(_PROBE, headers=self._manage()).status_code
        except httpx.TransportError:
            raise DemoError(
                f"the demo of {folder} is not running: nothing answers at {self.made.base_url}; {start} first"
            ) from None
        if status != httpx.codes.OK:
            raise DemoError(
                f"the demo of {folder} is not running: another service answers at {self.made.base_url}; {start} first"
            )

    def connect(self, path: str, body: object, expected: type[Answered], *, other: bool = False) -> Answered:
        """Call connect as the demo's partner, or as its other partner."""
        token = self.made.connect.other_access_token if other else self.made.connect.access_token
        return self._called("POST", path, body, expected, {"Authorization": f"Bearer {token}", "X-API-VERSION": "7"})

    def shopping(self, path: str, body: object, expected: type[Answered], *, caller: str = "") -> Answered:
        """Call shopping. `caller` is what stands before `key` and `secret` in demo.json."""
        shop = self.made.shopping
        key, secret = {
            "": (shop.key, shop.secret),
            "other_": (shop.other_key, shop.other_secret),
            "no_permission_": (shop.no_permission_key, shop.no_permission_secret),
        }[caller]
        return self._called("POST", path, body, expected, {}, auth=(key, secret))

    def manage(self, method: str, path: str, body: object, expected: type[Answered]) -> Answered:
        """Call the management API as the operator."""
        return self._called(method, f"/manage/v1{path}", body, expected, self._manage())

    def _manage(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.made.manage.token}"}

    def _called(
        self,
        method: str,
        path: str,
        body: object,
        expected: type[Answered],
        headers: dict[str, str],
        auth: tuple[str, str] | None = None,
    ) -> Answered:
        if body is not None:
            headers = headers | {"Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._http.request(method, path, content=content, headers=headers, auth=auth)
        except httpx.TransportError as error:
            raise DemoError(f"the demo at {self.made.base_url} did not answer: {error}") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise DemoError("the access token of this demo has expired after a day; stop the demo and start it again")
        if not answer.is_success:
            raise DemoError(f"the demo answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return msgspec.json.decode(answer.content or b"null", type=expected)


def _text_of(folder: Path) -> bytes:
    try:
        return (folder / "demo.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DemoError(
            f"{folder} has no demo yet; {_how_to_start(folder)} first, in another terminal; "
            "if the demo keeps its data elsewhere, add --data-dir and its folder"
        ) from None
    except OSError as error:
        raise DemoError(f"{folder / 'demo.json'} cannot be read: {error.strerror}") from None


def _how_to_start(folder: Path) -> str:
    elsewhere = folder != Path(".countermand")
    return f"run `make run DATA={folder}`" if elsewhere else "run `make run`"


def _leaves(part: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if isinstance(part, dict):
        for name, inner in part.items():
            yield from _leaves(inner, (*path, name))
    else:
        yield ".".join(path), part
