"""Makes the credentials of the demo's clients at the first start, and keeps them. None is a constant in the code."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from joserfc.jwk import RSAKey

from countermand.actions.identity.ports import ClientKey
from countermand.actions.identity.secrets import new_key as new_client_key
from countermand.actions.identity.secrets import new_secret
from countermand.identity.token_issuer import new_key, public_part
from countermand.web.pages.sample_credentials import SampleCredential

PARTNER: Final = "demo-partner"
OTHER_PARTNER: Final = "demo-other-partner"
CONNECT_HEADERS: Final = "connect.headers"
SHOPPING_HEADERS: Final = "shopping.headers"
MANAGE_HEADERS: Final = "manage.headers"
DATABASE: Final = "countermand.sqlite3"
WEBHOOK_KEY: Final = "webhook.key"
_SECRETS: Final = "demo-secrets.json"
PEOPLE: Final = ("author", "approver", "viewer")
_KEYS: Final = ("shopping", "shopping_other", "shopping_no_permission", "manage", *PEOPLE)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The public key of each partner, whose private key is in a file; the keys and secrets of all others."""

    FILES = (
        CONNECT_HEADERS,
        SHOPPING_HEADERS,
        MANAGE_HEADERS,
        _SECRETS,
        f"{PARTNER}.pem",
        f"{OTHER_PARTNER}.pem",
    )

    client_keys: dict[str, ClientKey]
    keys: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, folder: Path) -> "Credentials":
        """Return the credentials of an earlier start, or make new ones and write them to the folder."""
        secrets_file = folder / _SECRETS
        kept = json.loads(secrets_file.read_text()) if secrets_file.exists() else {}
        # An older version's demo made fewer of them.
        missing = {name: (new_client_key(), new_secret()) for name in _KEYS if name not in kept}
        if missing:
            kept |= missing
            private_file(secrets_file, kept)
        return cls(
            client_keys={
                partner: _client_key(private_key_file(folder, partner)) for partner in (PARTNER, OTHER_PARTNER)
            },
            keys={name: (key, secret) for name, (key, secret) in kept.items()},
        )

    def shown(self, access_token: str) -> list[SampleCredential]:
        """Return the credentials that the pages about the calls have filled in."""
        key, secret = self.keys["shopping"]
        return [
            SampleCredential(api="connect", scheme="bearer", token=access_token),
            SampleCredential(api="manage", scheme="bearer", token=".".join(self.keys["manage"])),
            SampleCredential(api="shopping", scheme="basic", user=key, password=secret),
        ]

    def write_headers(self, folder: Path, access_token: str) -> None:
        """Write a file with the headers for each channel, for `curl -H @FILE`: a token is too long to paste."""
        basic = base64.b64encode(":".join(self.keys["shopping"]).encode()).decode()
        for name, lines in {
            CONNECT_HEADERS: (f"Authorization: Bearer {access_token}", "X-API-VERSION: 7"),
            SHOPPING_HEADERS: (f"Authorization: Basic {basic}",),
            MANAGE_HEADERS: (f"Authorization: Bearer {'.'.join(self.keys['manage'])}",),
        }.items():
            private_text(folder / name, "\n".join((*lines, "Content-Type: application/json")) + "\n")


def private_key_file(folder: Path, partner: str) -> Path:
    """Return the path of the file with a partner's private key (PKCS#8, PEM)."""
    return folder / f"{partner}.pem"


def _client_key(file: Path) -> ClientKey:
    """Return the public part of the key in the file. If there is no file, make a key first."""
    if not file.exists():
        _, private_key = new_key()
        private_text(file, RSAKey.import_key(json.loads(private_key)).as_pem(private=True).decode())
    key = RSAKey.import_key(file.read_bytes())
    return ClientKey(kid=key.thumbprint(), public_key=json.dumps(public_part(key)))


def private_file(path: Path, content: object) -> None:
    """Write JSON for the owner's eyes alone, whole or not at all."""
    private_text(path, json.dumps(content, indent=2) + "\n")


def private_text(path: Path, text: str) -> None:
    """Write text to a file that only its owner can read. The file is complete or does not change."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
