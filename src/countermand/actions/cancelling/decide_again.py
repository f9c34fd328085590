"""Makes recorded decisions again, from the policy and the facts of their records: that gives the reasons."""

from collections.abc import Iterable, Mapping

from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.ports import OVERRIDE_DIFFERS, CancellationRecord, RefusalRecord
from countermand.actions.errors import NotFoundError
from countermand.domain.cancelling.decision import Decision, Refused, decide
from countermand.domain.cancelling.policy import Policy, PolicyVersion

KnownPolicies = Mapping[PolicyVersion, Policy]


async def policies_of(
    archive: PolicyArchive, records: Iterable[CancellationRecord | RefusalRecord]
) -> dict[PolicyVersion, Policy]:
    """Return the policies of decision records, without those that are not stored, or that a newer version wrote."""
    known = {}
    for version in {record.policy_version for record in records}:
        try:
            known[version] = await archive.policy(version)
        except (NotFoundError, ValueError):
            continue
    return known


def decided_again(record: CancellationRecord | RefusalRecord, policies: KnownPolicies) -> Decision | None:
    """Return the decision of a record with its findings. Return None if they cannot be known.

    They cannot be known if the policy is not, or if it no longer says on these facts what the record says.
    """
    policy = policies.get(record.policy_version)
    if policy is None:
        return None
    decision = decide(record.facts, policy, record.decided_at)
    return decision if _says(record, decision) else None


def _says(record: CancellationRecord | RefusalRecord, decision: Decision) -> bool:
    """Return whether a record says what the decision says. Only an override cancels against broken rules."""
    if isinstance(record, CancellationRecord):
        return record.overridden == (decision.codes if isinstance(decision, Refused) else ())
    return isinstance(decision, Refused) or record.codes == (OVERRIDE_DIFFERS,)


def codes_of(refusal: RefusalRecord, policies: KnownPolicies) -> tuple[str, ...] | None:
    """Return the codes of a refusal: those of its record or, where these are missing, those of its decision."""
    if refusal.codes is not None:
        return refusal.codes
    decision = decided_again(refusal, policies)
    return decision.codes if isinstance(decision, Refused) else None
