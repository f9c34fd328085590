"""What an operator sets: where it comes from, what wins, and which sentence says that a value does not hold."""

import importlib.util
import inspect
import json
import os
import re
import tomllib
import traceback
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from countermand.contracts.registry import CONTRACTS
from countermand.domain.cancelling.policy import policy_of
from countermand.domain.cancelling.rules import RULES, IsNotWithin, IsOneOf, PastActive
from countermand.environment import PREFIX
from countermand.settings import Settings, SettingsError, read_settings
from support.contracts import CONNECT, SHOPPING

PROJECT = Path(__file__).parent.parent
STATE_ALLOWS = {"name": "state_allows"}


@pytest.fixture(autouse=True)
def _an_environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_without_a_word_from_anybody_the_defaults_hold():
    settings = read_settings()
    assert settings.model_dump() == {
        name: it.get_default(call_default_factory=True, validated_data={}) for name, it in Settings.model_fields.items()
    }
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, None)
    for contract in CONTRACTS:
        assert settings.policy(contract) == policy_of(contract.name, contract.default_rules)


@pytest.mark.parametrize(
    ("in_file", "in_environment", "given", "counts"),
    [
        ("port = 1", {}, {}, 1),
        ("port = 1", {"PORT": "2"}, {}, 2),
        ("port = 1", {"PORT": "2"}, {"port": 3}, 3),
        ("port = 1", {}, {"port": 3}, 3),
        ("", {"PORT": "2"}, {"port": 3}, 3),
        ("port = 1", {"PORT": "2"}, {"port": None}, 2),
        ("", {"port": "2"}, {}, 2),
    ],
)
def test_what_is_given_wins_over_the_environment_and_that_over_the_file(
    in_file: str,
    in_environment: dict[str, str],
    given: dict[str, Any],
    counts: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in in_environment.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert read_settings(a_file(tmp_path, in_file), **given).port == counts


def test_settings_never_change():
    settings = read_settings()
    for name in Settings.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, name, getattr(settings, name))


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_policy_can_be_given_as_json_in_the_environment_or_as_tables_in_the_file(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rules = [
        {"name": "state_allows", "only": ["held"]},
        {"name": "no_appointment_within", "notice_h": 48, "past_active": "ignored"},
    ]
    file = None
    if where == "environment":
        monkeypatch.setenv(f"{PREFIX}POLICIES", json.dumps({"connect": rules}))
    else:
        file = a_file(
            tmp_path,
            '[[policies.connect]]\nname = "state_allows"\nonly = ["held"]\n'
            '[[policies.connect]]\nname = "no_appointment_within"\nnotice_h = 48\npast_active = "ignored"\n',
        )
    settings = read_settings(file)
    states, notice = (rule.comparison for rule in settings.policy(CONNECT).rules)
    assert isinstance(states, IsOneOf)
    assert states.states == {"held"}
    assert isinstance(notice, IsNotWithin)
    assert (notice.notice_h, notice.past_active) == (48, PastActive.IGNORED)
    assert settings.policy(SHOPPING) == policy_of(SHOPPING.name, SHOPPING.default_rules)


@pytest.mark.parametrize(
    ("name", "holds", "does_not"),
    [
        ("port", "0", "-1"),
        ("port", "65535", "65536"),
        ("client_refresh_s", "0", "-0.1"),
        ("client_refresh_s", "60", "60.1"),
        ("key_set_refresh_s", "0.001", "0"),
        ("key_set_refresh_s", "300", "inf"),
        ("database_busy_limit_s", "0.001", "0"),
        ("database_busy_limit_s", "5", "nan"),
        ("settle_limit_s", "0.001", "0"),
        ("settle_limit_s", "10", "inf"),
        ("stop_limit_s", "1", "0"),
        ("batch_cap", "1", "0"),
        ("batch_cap", "4096", "4097"),
        ("queue_cap", "1", "0"),
        ("flights", "1", "0"),
        ("flights", "256", "257"),
        ("slow_batch_s", "0.001", "0"),
        ("slow_batch_s", "0.25", "-0.25"),
        ("database_connections", "1", "0"),
        ("database_connections", "1000", "1001"),
        ("database_connect_limit_s", "0.001", "0"),
        ("database_connect_limit_s", "3", "inf"),
        ("database_statement_limit_s", "0.001", "0"),
        ("database_statement_limit_s", "10", "nan"),
        ("database_distributed", "True", "perhaps"),
        ("delivered_kept_d", "1", "0"),
        ("delivered_kept_d", "36500", "36501"),
        ("refusals_kept_d", "1", "0"),
        ("refusals_kept_d", "36500", "36501"),
        ("cancellations_kept_d", "1", "0"),
        ("cancellations_kept_d", "36500", "36501"),
        ("webhook_allow_loopback", "True", "perhaps"),
        ("traces_share", "0.0", "-0.1"),
        ("traces_share", "1.0", "1.1"),
        ("traces_url", "http://127.0.0.1:4318/v1/traces", "127.0.0.1:4318"),
        ("metrics", "False", "sometimes"),
        ("log_requests", "False", "some"),
        ("idempotency_kept_h", "1", "0"),
        ("idempotency_kept_h", "8784", "8785"),
        ("idempotency_kept_h", "24", "1.5"),
        ("port", "8080", "soon"),
        ("connect_client_claim", "azp", "email"),
        ("connect_client_claim", "client_id", "clientID"),
        ("connect_token_endpoint", "False", "perhaps"),
        ("connect_realm", "a" * 64, "a" * 65),
        ("connect_realm", "partners.v2", "partners/v2"),
        ("connect_realm", "0", ".."),
        ("connect_deprecated_since", "2026-07-01 00:00:00+00:00", "2026-07-01 00:00:00"),
        ("connect_sunset", "2027-07-01 00:00:00+10:00", "soon"),
        ("appointments", "remote", "by phone"),
        ("appointment_no_return_h", "0", "-1"),
        ("appointment_no_return_h", "720", "721"),
        ("appointment_answers_after_s", "0", "-0.1"),
        ("appointment_answers_after_s", "3600", "3600.1"),
        ("log_format", "json", "xml"),
        ("log_level", "debug", "DEBUG!"),
        ("public_url", "https://orders.example.com", "orders.example.com"),
        ("public_url", "http://127.0.0.1:8080", ""),
        ("shopping_documentation_url", "https://docs.example.com", "ftp://docs.example.com"),
        ("shopping_payment_url", "{public_url}/pay/{uid}", "https://pay.example.com/{order}"),
        ("shopping_etickets_url", "https://tickets.example.com/{token}", "https://tickets.example.com/{uid"),
        ("pages_time_zone", "Europe/Amsterdam", "Europe/Atlantis"),
        ("pages_time_zone", "UTC", "../etc/passwd"),
        ("pages_time_zone", "Asia/Tokyo", ""),
        ("pages_time_zone", "Asia/Tokyo", "Europe"),
    ],
)
def test_a_limit_is_kept_from_both_sides_and_the_sentence_names_the_setting_and_the_value(
    name: str, holds: str, does_not: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX + name.upper(), holds)
    assert str(getattr(read_settings(), name)) in {holds, f"{holds}.0"}
    monkeypatch.setenv(PREFIX + name.upper(), does_not)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert_one_sentence_names(raised.value, PREFIX + name.upper(), repr(does_not))


@pytest.mark.parametrize(
    ("name", "holds", "does_not"),
    [
        ("monthly_charge", "0", "-0.01"),
        ("monthly_charge", 75.25, "75.255"),
        ("one_time_charge", "9999999999.99", "10000000000"),
        ("one_time_charge", 0, None),
        ("speed_up_mbit_s", 1, 0),
        ("speed_down_mbit_s", 1, 0.5),
        ("speed_down_mbit_s", None, "fast"),
    ],
)
def test_what_is_said_of_a_plan_is_kept_from_both_sides_and_named(
    name: str, holds: Any, does_not: Any, monkeypatch: pytest.MonkeyPatch
):
    plan = {"one_time_charge": "0", "monthly_charge": "75"}
    monkeypatch.setenv(f"{PREFIX}CONNECT_PLANS", json.dumps({"Fast": plan | {name: holds}}))
    found = getattr(read_settings().connect_plans["Fast"], name)
    assert found == (Decimal(str(holds)) if name.endswith("charge") else holds)
    monkeypatch.setenv(f"{PREFIX}CONNECT_PLANS", json.dumps({"Fast": plan | {name: does_not}}))
    with pytest.raises(SettingsError, match=f"COUNTERMAND_CONNECT_PLANS__FAST__{name.upper()}: "):
        read_settings()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:password@db.example.com/shop",
        "postgres://user:password@db.example.com/shop",
        "postgresql://one.example.com:5432,other.example.com:5433/shop?user=me",
    ],
)
def test_an_address_of_postgresql_is_taken_as_it_is_and_shown_to_nobody(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    settings = read_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert not settings.is_sqlite
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "password@" not in shown
        assert "example.com" not in shown.replace(settings.shopping_documentation_url, "")


def test_without_an_address_it_is_a_file(monkeypatch: pytest.MonkeyPatch):
    assert read_settings().is_sqlite
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "")  # as an unset variable of a container comes through
    assert read_settings().is_sqlite


@pytest.mark.parametrize("where", ["environment", "file"])
@pytest.mark.parametrize(
    "url",
    ["mysql://user:S3cr3t@host/shop", "user:S3cr3t@host", "S3cr3t", "sqlite:///S3cr3t", " postgresql://u:S3cr3t@h/d"],
)
def test_any_other_address_is_refused_without_being_repeated(
    url: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = None
    if where == "environment":
        monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    else:
        file = a_file(tmp_path, f'database_url = "{url}"\n')
    with pytest.raises(SettingsError) as raised:
        read_settings(file)
    assert_one_sentence_names(raised.value, f"{PREFIX}DATABASE_URL", "postgresql://")
    assert "S3cr3t" not in "".join(traceback.format_exception(raised.value))


def test_every_setting_that_does_not_hold_gets_its_own_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"{PREFIX}PORT", "soon")
    file = a_file(tmp_path, 'batch_cap = 0\nlog_format = "xml"\n')
    with pytest.raises(SettingsError) as raised:
        read_settings(file)
    sentences = str(raised.value).split("\n")
    assert len(sentences) == 3
    for name, value in {"PORT": "'soon'", "BATCH_CAP": "0", "LOG_FORMAT": "'xml'"}.items():
        (said,) = (one for one in sentences if f"{PREFIX}{name}" in one)
        assert value in said
        assert str(file) in said


POLICIES_THAT_DO_NOT_HOLD: dict[str, tuple[Any, str]] = {
    "a contract nobody speaks": ({"telecom": []}, "telecom"),
    "a rule nobody knows": ({"connect": [STATE_ALLOWS, {"name": "nothing_sent"}]}, "'nothing_sent'"),
    "a rule without a name": ({"connect": [STATE_ALLOWS, {"notice_h": 26}]}, "None"),
    "a name that is no name": ({"connect": [STATE_ALLOWS, {"name": ["nothing_paid"]}]}, "['nothing_paid']"),
    "no state_allows": ({"shopping": [{"name": "nothing_paid"}]}, "state_allows"),
    "nothing at all": ({"shopping": []}, "state_allows"),
    "a state that may not be cancelled": ({"connect": [STATE_ALLOWS | {"only": ["activated"]}]}, "activated"),
    "a state that is none": ({"connect": [STATE_ALLOWS | {"only": ["lost"]}]}, "'lost'"),
    "a state for a list of states": ({"connect": [STATE_ALLOWS | {"only": "held"}]}, "'held'"),
    "a notice below nothing": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": -1}]}, "-1"),
    "a notice above a year": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": 8785}]}, "8785"),
    "half an hour": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": 26.5}]}, "26.5"),
    "a notice in words": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": "soon"}]}, "'soon'"),
    "a notice of true": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": True}]}, "True"),
    "no notice": ({"connect": [STATE_ALLOWS, {"name": "no_appointment_within"}]}, "notice_h"),
    "a past that is neither": (
        {"connect": [STATE_ALLOWS, {"name": "no_appointment_within", "notice_h": 1, "past_active": "maybe"}]},
        "'maybe'",
    ),
    "a refund that is neither": (
        {"shopping": [STATE_ALLOWS, {"name": "nothing_paid", "refunded": "maybe"}]},
        "refunded must be blocks or ignored, not 'maybe'",
    ),
    "a parameter nobody knows": ({"shopping": [STATE_ALLOWS, {"name": "nothing_paid", "since_h": 1}]}, "since_h"),
    "a list for a table": ([STATE_ALLOWS], "state_allows"),
    "a rule that is only a name": ({"connect": ["state_allows"]}, "'state_allows'"),
}


@pytest.mark.parametrize(("policies", "value"), POLICIES_THAT_DO_NOT_HOLD.values(), ids=POLICIES_THAT_DO_NOT_HOLD)
def test_a_policy_that_does_not_hold_is_refused_in_a_sentence_with_the_value(
    policies: Any, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(f"{PREFIX}POLICIES", json.dumps(policies))
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert_one_sentence_names(raised.value, f"{PREFIX}POLICIES", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("POLICIES", '{"connect": ['), ("SHOPPING_ALLOWED_ORIGINS", "https://shop.example")],
)
def test_json_that_is_none_is_refused_in_a_sentence_with_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert_one_sentence_names(raised.value, f"{PREFIX}{name}", value)


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost:3000",
        "https://shop.example:8443",
        "http://localhost:*",
        "https://[::1]:*",
    ],
)
def test_an_origin_is_taken_as_browsers_say_it(origin: str):
    assert read_settings(shopping_allowed_origins=[origin]).shopping_allowed_origins == [origin]


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "shop.example",
        "https://shop.example/",
        "https://shop.example/buy",
        "https://Shop.example",
        "https://shop.example:*",
        "http://*:3000",
        "http://localhost:30*",
    ],
)
def test_an_origin_that_no_browser_says_is_refused_and_named(origin: str):
    with pytest.raises(SettingsError) as raised:
        read_settings(shopping_allowed_origins=[origin])
    assert_one_sentence_names(raised.value, f"{PREFIX}SHOPPING_ALLOWED_ORIGINS", origin)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"port 8080", "is not TOML"),
        (b"port = 1\nport = 2", "is not TOML"),
        (b'host = "caf\xe9"', "is not TOML"),
        (b"porto = 8080", "porto"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_in_a_sentence_that_names_it(content: bytes, said: str, tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        read_settings(file)
    assert_one_sentence_names(raised.value, str(file), said)


@pytest.mark.parametrize("what", ["nothing", "a folder"])
def test_a_file_that_is_not_there_is_refused_in_a_sentence_that_names_it(what: str, tmp_path: Path):
    file = tmp_path / "settings.toml" if what == "nothing" else tmp_path
    with pytest.raises(SettingsError) as raised:
        read_settings(file)
    assert str(raised.value) == f"there is no settings file {file}"


@pytest.mark.parametrize("networks", [["10.2.0.0/16"], ["fd00::/8", "192.168.0.0/16"], []])
def test_private_networks_may_be_listed(networks: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"{PREFIX}WEBHOOK_PRIVATE_NETWORKS", json.dumps(networks))
    assert read_settings().webhook_private_networks == networks


@pytest.mark.parametrize("network", ["127.0.0.0/8", "0.0.0.0/0", "10.2.0.1/16", "shop.example"])
def test_any_other_network_is_refused_and_named(network: str):
    with pytest.raises(
        SettingsError, match=f"WEBHOOK_PRIVATE_NETWORKS: must be private networks.*{re.escape(network)}"
    ):
        read_settings(webhook_private_networks=["10.0.0.0/8", network])


@pytest.mark.parametrize(
    ("name", "wrong"), [("webhook_proxy_url", "socks5://user:hunter2@proxy"), ("webhook_secret_key", "hunter2\n")]
)
def test_a_secret_of_webhooks_is_not_repeated_where_it_does_not_hold(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PREFIX + name.upper(), wrong)
    with pytest.raises(SettingsError, match=f"{PREFIX}{name.upper()}: must") as raised:
        read_settings()
    assert "hunter2" not in str(raised.value)
    monkeypatch.setenv(PREFIX + name.upper(), wrong.replace("socks5", "https").strip())
    assert "hunter2" in getattr(read_settings(), name).get_secret_value()
    assert "hunter2" not in repr(read_settings())


def test_addresses_lose_their_trailing_slash():
    settings = read_settings(public_url="https://a.example/", shopping_documentation_url="https://b.example/docs/")
    assert settings.public_url == "https://a.example"
    assert settings.shopping_documentation_url == "https://b.example/docs"


def test_the_page_and_the_example_are_what_the_script_draws_from_the_settings():
    drawn = the_drawing()
    assert drawn.PAGE.read_text() == drawn.page(), "run: python docs/draw_settings.py"
    assert drawn.EXAMPLE.read_text() == drawn.example(), "run: python docs/draw_settings.py"


def test_the_page_names_every_setting_rule_and_parameter():
    drawn = the_drawing()
    page = drawn.page()
    for name in Settings.model_fields:
        assert f"| `{name}` | `{PREFIX}{name.upper()}` |" in page
    for name, rule in RULES.items():
        assert f"| `{name}` |" in page
        assert [one for one, _, _ in drawn._PARAMETERS[name]] == list(inspect.signature(rule).parameters)


def test_the_example_with_every_setting_uncommented_is_what_holds_without_it(tmp_path: Path):
    text = re.sub(r"^#(?! )", "", the_drawing().example(), flags=re.MULTILINE)
    uncommented = tomllib.loads(text)
    assert set(uncommented) == set(Settings.model_fields)
    settings, defaults = read_settings(a_file(tmp_path, text)), read_settings()
    for contract in CONTRACTS:
        assert settings.policy(contract) == defaults.policy(contract)
    for name, default in defaults:
        if default is not None and name != "policies":
            assert getattr(settings, name) == default


def test_the_pages_own_policies_can_be_used_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn = the_drawing()
    _, defaults, other = re.findall(r"```toml\n(.*?)```", drawn.page(), flags=re.DOTALL)
    for contract in CONTRACTS:
        ours = read_settings(a_file(tmp_path, defaults)).policy(contract)
        assert ours == read_settings().policy(contract)
        assert read_settings(a_file(tmp_path, other)).policy(contract) != ours
    (in_one,) = re.findall(rf"export {PREFIX}POLICIES='(.*)'", drawn.page())
    monkeypatch.setenv(f"{PREFIX}POLICIES", in_one)
    assert set(read_settings().policies) == {contract.name for contract in CONTRACTS}


def test_the_pages_own_plan_can_be_used_as_it_is_printed(tmp_path: Path):
    plans, *_ = re.findall(r"```toml\n(.*?)```", the_drawing().page(), flags=re.DOTALL)
    ((name, plan),) = read_settings(a_file(tmp_path, plans)).connect_plans.items()
    assert (name, plan.model_dump()) == (
        "Home Fast 100/20",
        {
            "one_time_charge": Decimal("0.00"),
            "monthly_charge": Decimal("75.00"),
            "speed_down_mbit_s": 100,
            "speed_up_mbit_s": 20,
        },
    )
    assert read_settings().connect_plans == {}


def a_file(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def the_drawing() -> Any:
    spec = importlib.util.spec_from_file_location("draw_settings", PROJECT / "docs/draw_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_one_sentence_names(error: SettingsError, setting: str, value: str) -> None:
    assert "\n" not in str(error)
    assert setting in str(error)
    assert value in str(error)
