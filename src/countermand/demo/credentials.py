"""Who may call the demo: made at its first start, kept ever after, never a constant of the code."""

import base64
import json
import os
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER: Final = "https://countermand.example/auth/realms/demo"
KEY_SET: Final = "demo-key-set.json"
CONNECT_HEADERS: Final = "connect.headers"
_SHOPPING_HEADERS: Final = "shopping.headers"
_MANAGE_HEADERS: Final = "manage.headers"
_SECRETS: Final = "demo-secrets.json"
_SIGNING_KEY: Final = "demo-signing-key.json"
_KEYS: Final = ("shopping", "shopping_other", "shopping_no_permission", "manage")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The demo's signing key, and a (key, secret) for each client that has one."""

    FILES = (KEY_SET, CONNECT_HEADERS, _SHOPPING_HEADERS, _MANAGE_HEADERS, _SECRETS, _SIGNING_KEY)

    signing_key: RSAKey
    keys: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, folder: Path) -> "Credentials":
        """Those of an earlier start, or new ones, written down before they are used."""
        signing_file, secrets_file = folder / _SIGNING_KEY, folder / _SECRETS
        if not signing_file.exists():
            made = RSAKey.generate_key(2048, {"kid": secrets.token_urlsafe(16), "use": "sig", "alg": "RS256"})
            private_file(signing_file, made.as_dict(private=True))
        if not secrets_file.exists():
            private_file(secrets_file, {name: (secrets.token_hex(12), secrets.token_urlsafe(32)) for name in _KEYS})
        signing_key = RSAKey.import_key(json.loads(signing_file.read_text()))
        private_file(folder / KEY_SET, {"keys": [signing_key.as_dict(private=False)]})
        kept = json.loads(secrets_file.read_text())
        return cls(signing_key=signing_key, keys={name: (key, secret) for name, (key, secret) in kept.items()})

    def access_token(self, client: str, issued_at: datetime, life: timedelta) -> str:
        """An access token in the shape of the one on the published page."""
        issued_at_s, session = int(issued_at.timestamp()), str(uuid.uuid4())
        claims = {
            "exp": issued_at_s + int(life.total_seconds()),
            "iat": issued_at_s,
            "auth_time": 0,
            "jti": str(uuid.uuid4()),
            "iss": ISSUER,
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ISSUER}/{client}")),
            "typ": "Bearer",
            "azp": client,
            "session_state": session,
            "acr": "1",
            "scope": "",
            "sid": session,
            "clientId": client,
            "clientHost": "localhost",
            "userId": "11001",
            "clientAddress": "127.0.0.1",
            "apps": client,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": self.signing_key.kid}
        return jwt.encode(header, claims, self.signing_key, algorithms=["RS256"])

    def write_headers(self, folder: Path, access_token: str) -> None:
        """The headers of a request to each door, as `curl -H @FILE` reads them: a token is long to paste."""
        basic = base64.b64encode(":".join(self.keys["shopping"]).encode()).decode()
        for name, lines in {
            CONNECT_HEADERS: (f"Authorization: Bearer {access_token}", "X-API-VERSION: 7"),
            _SHOPPING_HEADERS: (f"Authorization: Basic {basic}",),
            _MANAGE_HEADERS: (f"Authorization: Bearer {'.'.join(self.keys['manage'])}",),
        }.items():
            private_text(folder / name, "\n".join((*lines, "Content-Type: application/json")) + "\n")


def private_file(path: Path, content: Any) -> None:
    """Write JSON for the owner's eyes alone, whole or not at all."""
    private_text(path, json.dumps(content, indent=2) + "\n")


def private_text(path: Path, text: str) -> None:
    """Write a file for the owner's eyes alone, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
