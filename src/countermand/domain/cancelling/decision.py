"""May this order be cancelled, why, and until when?"""

from dataclasses import dataclass
from datetime import datetime

from countermand.domain.cancelling.policy import Policy, PolicyVersion
from countermand.domain.cancelling.rules import Finding, examine
from countermand.domain.orders.order import OrderFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """A yes. `cancellable_until` is the first instant of a no if only time passes; None if there is no such instant."""

    policy_version: PolicyVersion
    findings: tuple[Finding, ...]
    cancellable_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A no, with every rule that refuses, in the policy's order."""

    policy_version: PolicyVersion
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The findings that refuse; there is at least one."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings that refuse."""
        return tuple(finding.code for finding in self.broken)


Decision = Granted | Refused


def decide(facts: OrderFacts, policy: Policy, now: datetime) -> Decision:
    """Examine every rule of the policy, so that a refusal can give all its reasons."""
    findings = tuple(examine(rule, facts, now) for rule in policy.rules)
    if all(finding.passed for finding in findings):
        turns = [finding.turns_at for finding in findings if finding.turns_at is not None]
        return Granted(
            policy_version=policy.version, findings=findings, cancellable_until=min(turns) if turns else None
        )
    return Refused(policy_version=policy.version, findings=findings)
