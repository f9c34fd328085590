"""Defines the settings of the delivery of events. They are part of `Settings`."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from countermand.delivery.forbidden_networks import private_network
from countermand.environment import PREFIX, path_of

_PROXIES: Final = ("http://", "https://")


class WebhookSettings(BaseSettings):
    """Which key encrypts the secrets of endpoints, and where events may be sent."""

    webhook_secret_key: SecretStr | None = Field(
        None,
        description="The key that encrypts the secrets of endpoints, as `countermand webhook key` prints it; "
        "several, separated by spaces: the first encrypts, all decrypt",
    )
    webhook_secret_key_file: Path | None = Field(None, description="A file with that key, or those keys, instead")
    webhook_secret_key_command: str | None = Field(
        None,
        description="A command that prints that key, or those keys, instead; run once at the start, without a shell",
    )
    webhook_private_networks: list[str] = Field(
        default_factory=list,
        description="Private networks where events may be sent, like 10.2.0.0/16; by default none",
    )
    webhook_allow_loopback: bool = Field(
        False, description="Whether events may be sent to this machine, over http:// as well; for trying things out"
    )
    webhook_ca_file: Path | None = Field(
        None, description="A file (PEM) with your own certificate authorities, which count beside the machine's"
    )
    webhook_proxy_url: SecretStr | None = Field(
        None,
        description="A proxy over which events are sent: http://user:password@host:port. It resolves the names, so it "
        "has to refuse private addresses",
    )

    @field_validator("webhook_secret_key_file", "webhook_ca_file", mode="before")
    @classmethod
    def _expanded(cls, value: object) -> object:
        return (path_of(str(value)) if value else None) if isinstance(value, str | Path) else value

    @field_validator("webhook_secret_key", "webhook_secret_key_command", mode="before")
    @classmethod
    def _set_or_none(cls, value: object) -> object:
        return value or None

    @field_validator("webhook_private_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                private_network(text)
            except ValueError as error:
                raise ValueError(f"must be private networks like 10.2.0.0/16, and {text!r} is none: {error}") from None
        return value

    @field_validator("webhook_proxy_url")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if url and not url.startswith(_PROXIES):
            raise ValueError("must begin with http:// or https://")
        return value if url else None

    def sources_of_the_key(self) -> str | None:
        """Return a sentence if the key has more than one source, or None."""
        names = ("webhook_secret_key", "webhook_secret_key_file", "webhook_secret_key_command")
        given = [f"{PREFIX}{name.upper()}" for name in names if getattr(self, name) is not None]
        if len(given) <= 1:
            return None
        return f"{' and '.join(given)} say the same thing: set one of them, and leave the others out"
