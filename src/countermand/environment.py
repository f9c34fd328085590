"""Checks text and paths in variables and options, and recognizes variables that are no settings."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

PREFIX: Final = "COUNTERMAND_"

# Kubernetes sets variables with these names and values in every pod for every service, and `docker run --link` for
# every linked container. If a service is called `countermand` or `countermand-…`, they begin with Countermand's prefix.
_OF_A_SERVICE: Final = tuple(
    (re.compile(rf"{PREFIX}(?:\w+_)?{name}"), re.compile(value))
    for name, value in (
        (r"PORT", r"(?:tcp|udp|sctp)://.*"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)", r"(?:tcp|udp|sctp)://.*"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_PROTO", r"tcp|udp|sctp"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_PORT", r"[0-9]+"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_ADDR", r"[0-9A-Fa-f.:]+"),
        (r"SERVICE_HOST", r"[0-9A-Fa-f.:]+"),
        (r"SERVICE_PORT(?:_\w+)?", r"[0-9]+"),
    )
)
_OF_TESTS: Final = "test_"  # this project's own tests have variables, too
_NEAR: Final = 0.7  # the likeness, from 0 to 1, of names that are misspellings of each other
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def is_of_a_service(name: str, value: str | None) -> bool:
    """Return whether a variable describes a Kubernetes service or a linked container, and is not a setting."""
    return any(
        of_name.fullmatch(name.upper()) and of_value.fullmatch((value or "").strip())
        for of_name, of_value in _OF_A_SERVICE
    )


def service_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the variables that have Countermand's prefix but describe a service, in order."""
    return sorted(name for name, value in environment.items() if is_of_a_service(name, value))


def unknown_variables(known: Collection[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each variable that has Countermand's prefix and is no setting, mostly a misspelled one.

    `known` are the names of the settings, in lower case and without the prefix.
    """
    sentences = []
    for name, value in sorted(environment.items()):
        rest = name.upper().removeprefix(PREFIX).lower()
        if not name.upper().startswith(PREFIX) or rest in known or is_of_a_service(name, value):
            continue
        if not rest.startswith(_OF_TESTS):
            nearest = nearest_name(rest, known)
            hint = "" if nearest is None else f"; did you mean {PREFIX}{nearest.upper()}?"
            sentences.append(f"{name} is no setting and was not read{hint}")
    return sentences


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that `name` is most likely a misspelling of; None if none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - few starts have an unknown name

    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=_NEAR)), None)


def check_text(text: str) -> None:
    """Raise `ValueError`, with the likely cause, for text that cannot be meant as a setting or an option."""
    if text.endswith("\r") or "\r\n" in text:
        raise ValueError(
            "must have no carriage return, as lines of a file with Windows line ends have (save it with LF)"
        )
    if text.endswith("\n"):
        raise ValueError("must not end with a line end, as the output of `echo` does (use `printf %s` for a secret)")
    if (found := _CONTROL.search(text)) is not None:
        raise ValueError(f"must have no control character, and has U+{ord(found[0]):04X}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be valid UTF-8")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValueError(
            f"must not stand in quotation marks ({text[0]}), which `docker run --env-file` takes for a part"
        )


def path_of(text: str) -> Path:
    """Return the path of a text, with `~` expanded. Raises `ValueError`."""
    check_text(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~ and a user of whom there is no home; write the whole path") from None
