"""Writes docs/settings.md and countermand.example.toml from the settings themselves: `python docs/draw_settings.py`."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, SecretStr
from pydantic.fields import FieldInfo

from countermand.contracts.registry import CONTRACTS
from countermand.domain.cancelling.rules import RULES
from countermand.domain.orders.order_state import CANCELLABLE_STATES
from countermand.environment import PREFIX
from countermand.settings import ConnectPlan, Settings
from countermand.webhook_settings import WebhookSettings

_ROOT: Final = Path(__file__).parent.parent
PAGE: Final = _ROOT / "docs/settings.md"
EXAMPLE: Final = _ROOT / "countermand.example.toml"

# Pydantic puts the inherited settings first; the pages put them last.
_FIELDS: Final[Mapping[str, FieldInfo]] = {
    name: it
    for inherited in (False, True)
    for name, it in Settings.model_fields.items()
    if (name in WebhookSettings.model_fields) is inherited
}
_POLICIES: Final = "policies"  # has a section of its own
_SECTIONS: Final = {_POLICIES: "see [below](#policies)", "connect_plans": "none, see [below](#plans)"}
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_NAMES: Final = {
    str: "text",
    SecretStr: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    AwareDatetime: "instant with a time zone",
}
# A value to show where there is no default; TOML has no word for "not set".
_FOR_EXAMPLE: Final = {
    "database_url": "postgresql://countermand:a-password@db.example.com/countermand",
    "public_url": "https://orders.example.com",
    "connect_token_endpoint": True,
    "connect_issuer": "https://sso.example.com/auth/realms/partners",
    "connect_key_set": "https://sso.example.com/auth/realms/partners/protocol/openid-connect/certs",
    "connect_audience": "countermand",
    "connect_deprecated_since": "2026-07-01T00:00:00Z",
    "connect_sunset": "2027-07-01T00:00:00Z",
    "unheard_kept_d": 365,
    "cancellations_kept_d": 3650,
    "webhook_secret_key": "",  # at most one of the three may be set
    "webhook_secret_key_command": "",
    "webhook_secret_key_file": "/etc/countermand/webhook.key",
    "webhook_ca_file": "/etc/countermand/authorities.pem",
    "webhook_proxy_url": "http://egress.example.com:3128",
    "traces_url": "http://collector.example.com:4318/v1/traces",
}
# The parameters of each rule: name, what it may be, what it does.
_PARAMETERS: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "state_allows": (
        (
            "only",
            f"list of states; default all of them: {', '.join(sorted(CANCELLABLE_STATES))}",
            "narrows the states in which an order may be cancelled; no policy can widen them",
        ),
    ),
    "not_already_cancelled": (),
    "no_appointment_within": (
        ("notice_h", "whole number of hours, 0 to 8784; required", "exactly this many hours is still within"),
        (
            "past_active",
            "`blocks` (default) or `ignored`",
            "what an active appointment that has already begun does: it refuses too, or it is left out of account",
        ),
    ),
    "nothing_paid": (
        (
            "refunded",
            "`blocks` (default) or `ignored`",
            (
                "what the payments of an order do once they were all refunded or charged back in full: they refuse "
                "too, or they are left out of account"
            ),
        ),
    ),
}

_PAGE_OPENING: Final = f"""# Settings

<!-- Written by docs/draw_settings.py; change the settings, not this page. -->

Each setting can be given in the environment, as `{PREFIX}` and its name in capitals, or by its name in a TOML file
(`countermand serve --settings FILE`, or `{PREFIX}SETTINGS=FILE`). What the command line gives wins over the
environment, and that over the file. A value that does not hold is refused at the start, in a sentence that names it.
Units are the last part of a name: `_s` are seconds, `_h` hours.

`countermand.example.toml` has every setting, commented out, at its default.

| setting | in the environment | type | default | what it is |
| --- | --- | --- | --- | --- |
"""

_PAGE_PLANS: Final = """
## Plans

What the plans of connect cost, in Australian dollars, and how fast they are, in Mbit/s. An order keeps its plan as it
was when the order was placed. Where no plan is described, orders for any are taken, and show no charges.

```toml
[connect_plans."Home Fast 100/20"]
one_time_charge = "0.00"
monthly_charge = "75.00"
speed_down_mbit_s = 100  # may be left out
speed_up_mbit_s = 20  # may be left out
```
"""

_PAGE_POLICIES: Final = """
## Policies

A policy is a list of rules, and all of them must hold for an order to be cancelled. Each contract has its own; the one
of the order's contract decides, whichever way the request came. Every rule is asked, so that a refusal gives all its
reasons. The list replaces the default one whole; a rule that is left out is not asked. `state_allows` must always be
there.

A policy's version is the hash of its content. The server stores the content in the database when it starts, so every
decision of the past can be explained, whatever the file says today.

| rule | what must hold | parameters |
| --- | --- | --- |
"""

_POLICY_EXAMPLE: Final = """\
# Two days' notice, not one; a visit that has begun does not hold an order back; and nothing is cancelled once the
# network has taken it up. A ticket order that was refunded in full can be cancelled.
[[policies.connect]]
name = "state_allows"
only = ["submitted", "accepted", "held"]

[[policies.connect]]
name = "no_appointment_within"
notice_h = 48
past_active = "ignored"

[[policies.shopping]]
name = "not_already_cancelled"

[[policies.shopping]]
name = "state_allows"
only = ["pending", "completed"]

[[policies.shopping]]
name = "nothing_paid"
refunded = "ignored"
"""


def page() -> str:
    """The text of docs/settings.md."""
    rows = "".join(_row(name, it) for name, it in _FIELDS.items())
    rules = "".join(_rule(name) for name in RULES)
    defaults = _fenced("toml", "".join(_default_policies()))
    in_one = json.dumps({one.name: [dict(rule) for rule in one.default_rules] for one in CONTRACTS})
    variable = _fenced("console", f"export {PREFIX}POLICIES='{in_one}'\n")
    return (
        f"{_PAGE_OPENING}{rows}{_PAGE_PLANS}{_PAGE_POLICIES}{rules}"
        f"\nWithout a word about policies, it is as if the file had:\n\n{defaults}"
        f"\nA complete example of other ones:\n\n{_fenced('toml', _POLICY_EXAMPLE)}"
        f"\nIn the environment the same is JSON, for all contracts in one variable (here the defaults):\n\n{variable}"
    )


def example() -> str:
    """The text of countermand.example.toml."""
    parts = ["# Every setting at its default; docs/settings.md says more. Written by docs/draw_settings.py.\n"]
    for name, it in _FIELDS.items():
        if name == _POLICIES:
            continue
        default = _default_of(it)
        shown = _FOR_EXAMPLE[name] if default is None else default
        unset = "; not set by default" if shown == "" else "; not set by default: this is an example"
        said = unset if default is None else ""
        parts.append(f"\n# {it.description} ({_type(it)}{said}).\n#{name} = {_toml(shown)}\n")
    about = Settings.model_fields[_POLICIES].description
    commented = "".join(f"#{line}" if line.strip() else line for line in _default_policies())
    parts.append(f"\n# {about}. Tables stand at the end of the file.\n{commented}")
    return "".join(parts)


def _row(name: str, it: FieldInfo) -> str:
    default = _SECTIONS.get(name) or _default(it)
    cells = (f"`{name}`", f"`{PREFIX}{name.upper()}`", _type(it), default, _escaped(it.description or ""))
    return f"| {' | '.join(cells)} |\n"


def _default(it: FieldInfo) -> str:
    default = _default_of(it)
    return "not set" if default is None else f"`{_escaped(str(default))}`"


def _default_of(it: FieldInfo) -> Any:
    return it.get_default(call_default_factory=True, validated_data={})


def _type(it: FieldInfo) -> str:
    """The type in words, with its bounds."""
    bounds = [f"{sign} {value}" for one in it.metadata for key, sign in _BOUNDS.items() if (value := _bound(one, key))]
    return ", ".join((_type_name(it.annotation), *bounds))


def _bound(constraint: Any, key: str) -> str | None:
    value = getattr(constraint, key, None)
    return None if value is None else str(value)


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{one}`" for one in arguments)
    if origin in {Union, UnionType}:
        (plain,) = (one for one in arguments if one is not type(None))
        return _type_name(plain)
    if origin is list:
        return "a list of texts, as JSON in the environment"
    if origin is not None:
        return "a table by name" if ConnectPlan in arguments else "a list of rules by contract"
    return _NAMES[annotation]


def _rule(name: str) -> str:
    parameters = "<br>".join(f"`{one}`: {what}; {does}" for one, what, does in _PARAMETERS[name]) or "none"
    sentence = (RULES[name].__doc__ or "").strip().partition("\n")[0]
    return f"| `{name}` | {_escaped(sentence)} | {parameters} |\n"


def _default_policies() -> Iterator[str]:
    for number, contract in enumerate(CONTRACTS):
        for rule in contract.default_rules:
            yield "" if number == 0 and rule is contract.default_rules[0] else "\n"
            yield f"[[policies.{contract.name}]]\n"
            for name, value in rule.items():
                yield f"{name} = {_toml(value)}\n"


def _toml(value: Any) -> str:
    """A plain value as TOML writes it: like JSON, for all that stands here."""
    if isinstance(value, Path | Enum):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}```\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
    EXAMPLE.write_text(example())
    print(f"Wrote {PAGE.relative_to(_ROOT)} and {EXAMPLE.relative_to(_ROOT)}")
