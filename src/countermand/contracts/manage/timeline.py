"""How do findings, decision records and an order's timeline look in the operator's API?"""

from collections.abc import Sequence

from countermand.actions.cancelling.decide_again import KnownPolicies, codes_of
from countermand.actions.cancelling.ports import CancellationRecord, RefusalRecord
from countermand.actions.ordering.timeline import NamedActor, TimelineEntry
from countermand.contracts.http.answer import JsonObject
from countermand.contracts.manage import messages
from countermand.contracts.manage.finding_sentences import sentence_for_operator
from countermand.domain.cancelling.decision import Decision
from countermand.domain.staff_id import StaffId


def findings_shown(decision: Decision) -> list[messages.Finding]:
    """Return what each rule of the policy found."""
    return [
        messages.Finding(
            rule=one.rule,
            code=one.code,
            passed=one.passed,
            fact=one.fact.value,
            value=one.value,
            message=sentence_for_operator(one),
            changes_at=one.turns_at,
        )
        for one in decision.findings
    ]


def record_shown(record: CancellationRecord | RefusalRecord, policies: KnownPolicies) -> messages.DecisionRecord:
    """Return the record of a cancellation or a refusal."""
    asked = record.command if isinstance(record, RefusalRecord) else record
    actor = asked.actor
    return messages.DecisionRecord(
        command_id=asked.command_id,
        decided_at=record.decided_at,
        client_id=actor.client_id,
        staff_id=actor.staff_id,
        acting_as=actor.acting_as,
        address=actor.address,
        contract=record.contract,
        door=actor.channel or "",
        policy_version=record.policy_version,
        state=record.facts.state.value,
        appointment_starts_at=record.facts.appointment_starts_at,
        first_payment_at=record.facts.first_payment_at,
        unrefunded_payment_at=record.facts.unrefunded_payment_at,
        reason=asked.reason,
        codes=_codes(record, policies),
        overridden=_overridden(record),
        approved_by=_approved_by(record),
    )


def timeline_shown(entries: Sequence[TimelineEntry], policies: KnownPolicies) -> list[messages.TimelineEntry]:
    """Return an order's timeline."""
    return [_entry(one, policies) for one in entries]


def _entry(one: TimelineEntry, policies: KnownPolicies) -> messages.TimelineEntry:
    shown = messages.TimelineEntry(
        at=one.at,
        kind=one.kind.value,
        who=None if one.who is None else _named_actor(one.who),
        event=None if one.event is None else one.event.value,
        order_version=one.order_version,
        details=None if one.details is None else JsonObject(one.details),
    )
    record = one.record
    if record is not None:
        asked = record.command if isinstance(record, RefusalRecord) else record
        shown.decision = "refused" if isinstance(record, RefusalRecord) else "cancelled"
        shown.codes = _codes(record, policies)
        shown.overridden = _overridden(record)
        shown.approved_by = _approved_by(record)
        shown.findings = None if one.decision is None else findings_shown(one.decision)
        shown.policy_version = record.policy_version
        shown.command_id = asked.command_id
        shown.reason = asked.reason
    return shown


def _named_actor(who: NamedActor) -> messages.Actor:
    actor = who.actor
    return messages.Actor(
        client_id=actor.client_id,
        client_name=who.client_name,
        staff_id=actor.staff_id,
        acting_as=actor.acting_as,
        channel=actor.channel,
        address=actor.address,
    )


def _overridden(record: CancellationRecord | RefusalRecord) -> list[str]:
    return [] if isinstance(record, RefusalRecord) else list(record.overridden)


def _approved_by(record: CancellationRecord | RefusalRecord) -> StaffId | None:
    return None if isinstance(record, RefusalRecord) else record.approved_by


def _codes(record: CancellationRecord | RefusalRecord, policies: KnownPolicies) -> list[str] | None:
    """Return the codes of the rules that refused; None if they cannot be known."""
    codes = codes_of(record, policies) if isinstance(record, RefusalRecord) else ()
    return None if codes is None else list(codes)
