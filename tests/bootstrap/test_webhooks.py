"""What sends events is built from the settings, and a setting that does not hold is named without its secret."""

import os
import sys
from pathlib import Path

import pytest

from countermand.actions.delivering.sending import AttemptError
from countermand.actions.errors import ConflictError, FieldsError
from countermand.bootstrap.webhooks import Webhooks, secret_box_of, webhooks_of
from countermand.delivery.secret_box import SecretBox, keys_of, new_key
from countermand.environment import PREFIX
from countermand.settings import SettingsError, read_settings
from support.receivers import Authority, a_receiver, a_sending, status

KEY, OLD = new_key(), new_key()
STORED = SecretBox(keys_of(KEY)).encrypt(b"whsec_")


@pytest.fixture(autouse=True)
def _an_environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


def webhooks(public_url: str | None = None, **given: object) -> Webhooks:
    return webhooks_of(read_settings(**given), public_url)


async def why(built: Webhooks, url: str) -> str | None:
    try:
        await built.check_url(url)
    except FieldsError as error:
        return str(error)
    return None


def a_file(folder: Path, text: str) -> Path:
    file = folder / "webhook.key"
    file.write_text(text)
    return file


def test_the_key_comes_from_the_setting_a_file_or_a_command(tmp_path: Path):
    file = a_file(tmp_path, f"{KEY}\n")
    prints = f"{sys.executable} -c 'print(open(\"{file}\").read())'"
    for given in (
        {"webhook_secret_key": KEY},
        {"webhook_secret_key": f"{KEY} {OLD}"},
        {"webhook_secret_key_file": file},
        {"webhook_secret_key_command": prints},
    ):
        assert secret_box_of(read_settings(**given)).decrypt(STORED) == b"whsec_"


def test_without_a_key_all_works_but_secrets():
    for given in ({}, {"webhook_secret_key": "", "webhook_secret_key_file": "", "webhook_secret_key_command": ""}):
        box = webhooks(**given).box
        assert box.is_locked
        with pytest.raises(ConflictError):
            box.encrypt(b"whsec_")


def test_several_keys_in_a_file_are_a_rotation(tmp_path: Path):
    box = secret_box_of(read_settings(webhook_secret_key_file=a_file(tmp_path, f"{OLD}\n{KEY}\n")))
    assert box.decrypt(STORED) == b"whsec_"
    assert SecretBox(keys_of(OLD)).decrypt(box.renewed(STORED)) == b"whsec_"


def test_more_than_one_source_of_the_key_is_refused():
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET_KEY and COUNTERMAND_WEBHOOK_SECRET_KEY_COMMAND") as raised:
        read_settings(webhook_secret_key=KEY, webhook_secret_key_command="cat key")
    assert KEY not in str(raised.value)
    assert "cat key" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhook_secret_key": "hunter2"}, "COUNTERMAND_WEBHOOK_SECRET_KEY must be 32 bytes"),
        ({"webhook_secret_key": f"{KEY} hunter2"}, "COUNTERMAND_WEBHOOK_SECRET_KEY must be 32 bytes"),
        ({"webhook_secret_key_file": "/no/such/file"}, "/no/such/file cannot be read: No such file"),
        ({"webhook_secret_key_command": "echo hunter2"}, "COUNTERMAND_WEBHOOK_SECRET_KEY_COMMAND: what it prints must"),
        ({"webhook_secret_key_command": "true"}, "what it prints has no key"),
        ({"webhook_secret_key_command": "false"}, "ended with 1"),
        ({"webhook_secret_key_command": "no-such-program"}, "cannot be run: No such file"),
        ({"webhook_secret_key_command": "unbalanced '"}, "cannot be run: No closing quotation"),
        ({"webhook_secret_key_command": " "}, "cannot be run"),
    ],
)
def test_a_key_that_cannot_be_had_is_a_sentence_without_the_key(given: dict[str, str], said: str):
    with pytest.raises(SettingsError, match=said) as raised:
        webhooks(**given)
    assert "hunter2" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_command_is_no_line_of_a_shell(tmp_path: Path):
    trace = tmp_path / "trace"
    with pytest.raises(SettingsError):
        webhooks(webhook_secret_key_command=f"echo x; touch {trace}")
    assert not trace.exists()


def test_a_command_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("countermand.bootstrap.webhooks._COMMAND_LIMIT_S", 0.1)
    with pytest.raises(SettingsError, match=r"did not end within 0\.1 s"):
        webhooks(webhook_secret_key_command="sleep 60")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="it is not text"):
        webhooks(webhook_secret_key_file=tmp_path / "key")


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_without_authorities_is_refused(text: str, tmp_path: Path):
    with pytest.raises(SettingsError, match="COUNTERMAND_WEBHOOK_CA_FILE must be a file with certificates"):
        webhooks(webhook_ca_file=a_file(tmp_path, text))
    with pytest.raises(SettingsError, match="No such file"):
        webhooks(webhook_ca_file=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("given", "url", "may"),
    [
        ({}, "https://93.184.215.14/", True),
        ({}, "https://10.2.0.1/", False),
        ({}, "https://127.0.0.1:9000/", False),
        ({}, "http://127.0.0.1:9000/", False),
        ({"webhook_private_networks": ["10.2.0.0/16"]}, "https://10.2.0.1/", True),
        ({"webhook_private_networks": ["10.2.0.0/16"]}, "https://10.3.0.1/", False),
        ({"webhook_allow_loopback": True}, "http://127.0.0.1:9000/", True),
        ({"webhook_allow_loopback": True}, "http://127.0.0.1:8080/", False),
        ({"webhook_allow_loopback": True, "port": 9000}, "http://127.0.0.1:8080/", True),
        ({"webhook_allow_loopback": True, "port": 9000}, "http://localhost:9000/", False),
        ({"webhook_proxy_url": "http://127.0.0.1:3128"}, "https://no-such-name.invalid/", True),
        ({"webhook_proxy_url": "http://127.0.0.1:3128"}, "https://10.2.0.1/", False),
    ],
)
async def test_the_settings_say_where_events_may_be_sent(given: dict[str, object], url: str, *, may: bool):
    assert (await why(webhooks(**given), url) is None) is may


async def test_the_address_of_the_clients_is_never_called():
    for built in (webhooks("https://93.184.215.14"), webhooks(public_url="https://93.184.215.14")):
        assert "address of this service" in (await why(built, "https://93.184.215.14/manage/v1/orders") or "")
        assert await why(built, "https://93.184.215.14:8443/") is None
    taken_by_the_system = webhooks("http://127.0.0.1:54321", port=0, webhook_allow_loopback=True)
    assert await why(taken_by_the_system, "http://127.0.0.1:54321/") is not None
    assert await why(taken_by_the_system, "http://127.0.0.1:54322/") is None


async def test_what_is_built_sends_over_tls_with_an_authority_of_the_settings(tmp_path: Path):
    authority = Authority(tmp_path)
    given = {"webhook_secret_key": KEY, "webhook_allow_loopback": True, "webhook_ca_file": authority.file}
    built = webhooks(**given)
    secret = built.box.encrypt(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    async with a_receiver(status(204), tls=authority.server("127.0.0.1")) as receiver:
        url = receiver.url(scheme="https")
        assert await why(built, url) is None
        assert (await built.send(a_sending(url, secret=secret))).error is None
        assert (await built.send(a_sending(url))).error is AttemptError.SECRET
        await built.sender.close()
        assert len(receiver.requests) == 1
