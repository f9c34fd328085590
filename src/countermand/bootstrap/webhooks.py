"""Builds what sends events from the settings: the secret box, the rules about addresses, and the sender."""

import shlex
import subprocess
from dataclasses import dataclass
from functools import partial
from typing import Final

from countermand.actions.delivering.endpoints import CheckUrl
from countermand.actions.delivering.sending import Send
from countermand.delivery.addresses import AddressRules, Listener, listener_at
from countermand.delivery.connections import check_authorities, tls_context
from countermand.delivery.forbidden_networks import private_network
from countermand.delivery.secret_box import SecretBox, keys_of
from countermand.delivery.webhook import WebhookSender
from countermand.environment import PREFIX
from countermand.settings import Settings, SettingsError

_COMMAND_LIMIT_S: Final = 10.0
_LARGEST_OUTPUT_BYTES: Final = 1 << 16
_KEY: Final = f"{PREFIX}WEBHOOK_SECRET_KEY"


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """What sends events. Close `sender` in the end.

    Endpoints can be added if `box` is not locked; without a key, the node does everything else.
    """

    box: SecretBox
    rules: AddressRules
    sender: WebhookSender

    @property
    def check_url(self) -> CheckUrl:
        """Return the function that checks a URL as each attempt does."""
        return self.rules.check

    @property
    def send(self) -> Send:
        """Return the function that sends an event."""
        return self.sender.send


def webhooks_of(settings: Settings, public_url: str | None = None) -> Webhooks:
    """Return what sends events, for a service whose clients use `public_url`, by default that of the settings.

    Raises `SettingsError` if a key or a file cannot be read.
    """
    box = secret_box_of(settings)
    rules = address_rules_of(settings, public_url or settings.public_url)
    ca_file = settings.webhook_ca_file
    try:
        check_authorities(ca_file)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}WEBHOOK_CA_FILE {error}, not {str(ca_file)!r}") from None
    proxy = settings.webhook_proxy_url
    sender = WebhookSender(
        box, rules, partial(tls_context, ca_file), proxy_url=None if proxy is None else proxy.get_secret_value()
    )
    return Webhooks(box=box, rules=rules, sender=sender)


def address_rules_of(settings: Settings, public_url: str | None) -> AddressRules:
    """Return where events may be sent. The listener of this service, and its public address, are excluded."""
    public = None if public_url is None else listener_at(public_url)
    own = [] if public is None else [public]
    if settings.port:
        own.append(Listener(host=settings.host, port=settings.port))
    return AddressRules(
        private=[private_network(text) for text in settings.webhook_private_networks],
        loopback=settings.webhook_allow_loopback,
        own=own,
        proxied=settings.webhook_proxy_url is not None,
    )


def secret_box_of(settings: Settings) -> SecretBox:
    """Return the secret box with the keys of the settings, locked if there are none. Raises `SettingsError`."""
    key, file, command = (
        settings.webhook_secret_key,
        settings.webhook_secret_key_file,
        settings.webhook_secret_key_command,
    )
    if key is not None:
        source, text = _KEY, key.get_secret_value()
    elif file is not None:
        source = f"{_KEY}_FILE: {file}"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SettingsError(f"{source} cannot be read: {why}") from None
    elif command is not None:
        source, text = f"{_KEY}_COMMAND: what it prints", _output_of(command)
    else:
        return SecretBox([])
    try:
        return SecretBox(keys_of(text))
    except ValueError as error:
        raise SettingsError(f"{source} {error}") from None


def _output_of(command: str) -> str:
    """Run a command without a shell, and return what it prints. Raises `SettingsError`, without the output."""
    try:
        ran = subprocess.run(  # noqa: S603 - the operator's own command
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SettingsError(f"{_KEY}_COMMAND did not end within {_COMMAND_LIMIT_S:g} s") from None
    except (OSError, ValueError, IndexError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{_KEY}_COMMAND cannot be run: {why}") from None
    if ran.returncode != 0:
        raise SettingsError(f"{_KEY}_COMMAND ended with {ran.returncode}; what it printed on standard error says why")
    return ran.stdout[:_LARGEST_OUTPUT_BYTES].decode(errors="replace")
