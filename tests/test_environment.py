"""What others put into our environment: links of Kubernetes' services, line ends of Windows, `~`, quotation marks."""

import json
from pathlib import Path

import pytest

from countermand.environment import PREFIX, is_of_a_service, path_of, service_variables
from countermand.settings import Settings, SettingsError, read_settings

OF_KUBERNETES = {
    "COUNTERMAND_SERVICE_HOST": "10.0.0.7",
    "COUNTERMAND_SERVICE_PORT": "8080",
    "COUNTERMAND_SERVICE_PORT_HTTP": "8080",
    "COUNTERMAND_PORT": "tcp://10.0.0.7:8080",
    "COUNTERMAND_PORT_8080_TCP": "tcp://10.0.0.7:8080",
    "COUNTERMAND_PORT_8080_TCP_PROTO": "tcp",
    "COUNTERMAND_PORT_8080_TCP_PORT": "8080",
    "COUNTERMAND_PORT_8080_TCP_ADDR": "10.0.0.7",
    "COUNTERMAND_CANARY_SERVICE_HOST": "fd00::7",
    "COUNTERMAND_CANARY_PORT": "udp://[fd00::7]:8080",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_beside_a_kubernetes_service_called_countermand_its_variables_are_passed_over_and_named(
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in OF_KUBERNETES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COUNTERMAND_HOST", "0.0.0.0")
    settings = read_settings()
    assert (settings.port, settings.host) == (8080, "0.0.0.0")
    assert service_variables() == sorted(OF_KUBERNETES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COUNTERMAND_PORT", "8080"),
        ("COUNTERMAND_PORT", "soon"),
        ("COUNTERMAND_PORT", "http://10.0.0.7:8080"),
        ("COUNTERMAND_HOST", "10.0.0.7"),
        ("COUNTERMAND_PUBLIC_URL", "tcp://10.0.0.7:8080"),
        ("COUNTERMAND_SERVICE_HOST", "a name"),
        ("OTHER_PORT", "tcp://10.0.0.7:8080"),
    ],
)
def test_what_is_no_variable_of_a_service_by_its_name_and_its_value_is_a_setting(name: str, value: str):
    assert not is_of_a_service(name, value)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in {"policies", "connect_plans"}])
def test_from_an_environment_file_with_windows_line_ends_no_setting_is_taken_with_its_carriage_return(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(default, list):
        return  # JSON, to which a carriage return is white space
    monkeypatch.setenv(PREFIX + name.upper(), f"{default or 'https://a.example'}\r")
    with pytest.raises(SettingsError, match=f"{PREFIX}{name.upper()}: must have no carriage return.*save it with LF"):
        read_settings()


def test_json_of_an_environment_file_with_windows_line_ends_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"{PREFIX}SHOPPING_ALLOWED_ORIGINS", json.dumps(["https://shop.example"]) + "\r")
    assert read_settings().shopping_allowed_origins == ["https://shop.example"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("s3cr3t\n", "must not end with a line end"),
        ("s3cr3t\x00", "U+0000"),
        ("s3cr3t\x1b", "U+001B"),
        ('"s3cr3t"', "docker run --env-file"),
        ("'s3cr3t'", "docker run --env-file"),
    ],
)
@pytest.mark.parametrize("name", ["database_url", "database_path", "connect_issuer"])
def test_what_nobody_can_have_meant_is_refused_with_its_likely_cause_and_no_address_is_repeated(
    name: str, value: str, said: str
):
    with pytest.raises(SettingsError) as raised:
        read_settings(**{name: value})
    assert said in str(raised.value)
    assert ("s3cr3t" in str(raised.value)) == (name != "database_url")


def test_a_tilde_is_the_home_of_whoever_runs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/jo")
    monkeypatch.setenv(f"{PREFIX}DATABASE_PATH", "~/orders.sqlite3")
    monkeypatch.setenv(f"{PREFIX}CONNECT_KEY_SET", "~/keys.json")
    monkeypatch.setenv(f"{PREFIX}CONNECT_ISSUER", "https://sso.example")
    settings = read_settings()
    assert settings.database_path == Path("/home/jo/orders.sqlite3")
    assert settings.connect_key_set == "/home/jo/keys.json"
    assert path_of("a~b") == Path("a~b")


def test_the_home_of_nobody_is_refused():
    with pytest.raises(SettingsError, match="DATABASE_PATH: begins with ~ and a user of whom there is no home"):
        read_settings(database_path="~nobody-of-that-name/orders.sqlite3")
