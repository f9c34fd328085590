"""Which rules, with which parameters, decide over a contract's orders?"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NewType

from countermand.domain.cancelling.rules import (
    RULES,
    Comparison,
    FactName,
    IsAbsent,
    IsNotWithin,
    IsOneOf,
    PastActive,
    Rule,
)
from countermand.domain.contract import ContractName
from countermand.domain.known import known
from countermand.domain.orders.order_state import OrderState

PolicyVersion = NewType("PolicyVersion", str)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """An ordered list of rules, which is the whole policy."""

    contract: ContractName
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if "state_allows" not in {rule.name for rule in self.rules}:
            raise ValueError(f"the {self.contract} policy must have the rule state_allows: no policy may do without it")

    @property
    def lets_paid_through(self) -> bool:
        """Whether the policy may grant the cancellation of an order for which a payment is recorded."""
        nothing_paid = IsAbsent(fact=FactName.FIRST_PAYMENT_AT)
        return all(rule.comparison != nothing_paid for rule in self.rules)

    @cached_property
    def version(self) -> PolicyVersion:
        """The hash of the content: the same rules, parameters and sentences always give the same version."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return PolicyVersion(hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def content(self) -> dict[str, object]:
        """All data that a decision depends on, as JSON: it explains an old decision without the code of that time."""
        return {
            "contract": self.contract,
            "rules": [
                {
                    "name": rule.name,
                    "code": rule.code,
                    "comparison": _written(rule.comparison),
                    "when_kept": rule.when_kept,
                    "when_broken": rule.when_broken,
                }
                for rule in self.rules
            ],
        }


def policy_of(contract: ContractName, rules: Sequence[Mapping[str, object]]) -> Policy:
    """Make a policy from the list in the settings: `[{"name": …, parameters…}, …]`.

    Raises `ValueError` with a sentence that names the rule and the value.
    """
    made = []
    for entry in rules:
        parameters = dict(entry)
        name = parameters.pop("name", None)
        if not isinstance(name, str) or name not in RULES:
            raise ValueError(f"the {contract} policy names the rule {name!r}; there are {', '.join(RULES)}")
        try:
            made.append(RULES[name](**parameters))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the {contract} policy's rule {name}: {error}") from None
    return Policy(contract=contract, rules=tuple(made))


def policy_from_content(content: Mapping[str, Any]) -> Policy:
    """Read a policy that was stored as `Policy.content`. Raises `ValueError` if a newer version wrote it otherwise."""
    try:
        rules = tuple(
            Rule(
                name=rule["name"],
                code=rule["code"],
                comparison=_read(rule["comparison"]),
                when_kept=rule["when_kept"],
                when_broken=rule["when_broken"],
            )
            for rule in content["rules"]
        )
        return Policy(contract=ContractName(content["contract"]), rules=rules)
    except (KeyError, TypeError) as error:
        raise ValueError(f"a stored policy is written in a way that this version does not know: {error!r}") from error


def _written(comparison: Comparison) -> dict[str, object]:
    match comparison:
        case IsOneOf(fact=fact, states=states):
            return {"is": "one_of", "fact": fact, "states": sorted(states)}
        case IsAbsent(fact=fact):
            return {"is": "absent", "fact": fact}
        case IsNotWithin(fact=fact, notice_h=notice_h, past_active=past_active):
            return {"is": "not_within", "fact": fact, "notice_h": notice_h, "past_active": past_active}


def _read(written: Mapping[str, Any]) -> Comparison:
    fact = FactName(written["fact"])
    match written["is"]:
        case "one_of":
            return IsOneOf(fact=fact, states=frozenset(known(OrderState, state) for state in written["states"]))
        case "absent":
            return IsAbsent(fact=fact)
        case "not_within":
            past = PastActive(written["past_active"])
            return IsNotWithin(fact=fact, notice_h=written["notice_h"], past_active=past)
        case other:
            raise ValueError(f"a stored policy compares by {other!r}, which this version does not know")
