"""Stands in for what delivery has outside: the names of receivers, and the network. All else in a world is real.

What is sent is kept, and the test says how the next attempts end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from countermand.actions.delivering.sending import AttemptError, AttemptResult, Sending
from countermand.bootstrap.endpoints import Outside
from countermand.delivery.addresses import AddressRules
from countermand.delivery.secret_box import SecretBox, keys_of, new_key
from countermand.delivery.secret_making import BoxedSecrets

ADDRESS = "93.184.216.34"
SUCCESS = AttemptResult(error=None, duration_ms=12, address=ADDRESS, status=204)


def failure(error: AttemptError, status: int | None = None, answer: bytes = b"") -> AttemptResult:
    """Return how an attempt failed."""
    said = f"it failed: {error}"
    return AttemptResult(error=error, duration_ms=12, address=ADDRESS, status=status, answer=answer, detail=said)


async def resolved(host: str, _: int) -> Sequence[str]:
    """Resolve the names of examples to a public address, and no others."""
    if not host.endswith(".example"):
        raise OSError(f"nobody knows {host}")
    return [ADDRESS]


@dataclass
class OutsideWorld:
    """The receivers of a world. `answers` are the results of the next attempts; then all succeed."""

    answers: list[AttemptResult] = field(default_factory=list)
    sent: list[Sending] = field(default_factory=list)
    key: str = field(default_factory=new_key)  # that secrets are encrypted with

    def __post_init__(self) -> None:
        self.rules = AddressRules(resolver=resolved)
        self.box = SecretBox(keys_of(self.key))

    def forget(self) -> None:
        """Be as at the beginning."""
        self.answers.clear()
        self.sent.clear()

    async def send(self, sending: Sending) -> AttemptResult:
        """Keep what is sent, and end as the test says."""
        self.sent.append(sending)
        return self.answers.pop(0) if self.answers else SUCCESS

    def joined(self) -> Outside:
        """Return it as the service takes it."""
        return Outside(check_url=self.rules.check, send=self.send, secrets=BoxedSecrets(self.box), close=self.closed)

    async def closed(self) -> None:
        """Nothing is open."""
