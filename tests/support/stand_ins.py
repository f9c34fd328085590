"""Replaces curl and openssl by Python programs that support exactly the options of our printed lines.

So the lines can be run on a machine with only Python. A slow test runs the same lines with the real programs. If
EXCHANGES names a folder, each request leaves a file there with the status and the body of its answer.
"""

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from http.client import HTTPConnection
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import quote, urlsplit


def curl(arguments: list[str]) -> bytes:
    """Refuses an option that it does not know."""
    options: list[str] = []
    for word in arguments:  # `-si` is `-s -i`
        options += [f"-{letter}" for letter in word[1:]] if re.fullmatch(r"-[siG]{2,}", word) else [word]
    parser = ArgumentParser("curl", allow_abbrev=False)
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-G", action="store_true")
    parser.add_argument("-X")
    parser.add_argument("-u")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d", action="append", default=[], dest="data")
    parser.add_argument("-w", choices=[r"\n"])
    parser.add_argument("--data-urlencode", action="append", default=[], dest="data", type=_urlencoded)
    asked = parser.parse_args(options)
    data = "&".join(sys.stdin.read().replace("\n", "") if given == "@-" else given for given in asked.data)
    fields = {"Content-Type": "application/x-www-form-urlencoded"} if data and not asked.G else {}
    for given in asked.H:
        lines = Path(given[1:]).read_text(encoding="ascii").splitlines() if given.startswith("@") else [given]
        fields |= {name.strip().title(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method = asked.X or ("POST" if data and not asked.G else "GET")
    url = f"{asked.url}?{data}" if asked.G else asked.url
    body = "" if asked.G else data
    if asked.u:
        fields["Authorization"] = f"Basic {base64.b64encode(asked.u.encode()).decode()}"
    address = urlsplit(url)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    connection = HTTPConnection(address.netloc, timeout=60)
    connection.request(method, path, body.encode(), fields)
    answer = connection.getresponse()
    content = answer.read()
    record(answer.status, content)
    head = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.getheaders())]
    return ("\r\n".join([*head, "", ""]).encode() if asked.i else b"") + content + (b"\n" if asked.w else b"")


def _urlencoded(given: str) -> str:
    name, _, value = given.partition("=")
    return f"{name}={quote(value, safe='')}"


def recorded_curl(arguments: list[str]) -> bytes:
    """The curl of the machine, which comes after our own folder in PATH."""
    others = os.pathsep.join(os.environ["PATH"].split(os.pathsep)[1:])
    program = shutil.which("curl", path=others)
    assert program is not None
    with NamedTemporaryFile() as head:
        done = subprocess.run([program, "--dump-header", head.name, *arguments], stdout=subprocess.PIPE, check=False)
        statuses = re.findall(r"(?m)^HTTP/\S+ (\d{3})", head.read().decode("latin-1"))
    if done.returncode:
        sys.exit(done.returncode)
    record(int(statuses[-1]), done.stdout.rpartition(b"\r\n\r\n")[2])
    return done.stdout


def record(status: int, body: bytes) -> None:
    if folder := os.environ.get("EXCHANGES"):
        number = len(list(Path(folder).iterdir()))
        answer = {"status": status, "body": body.decode("utf-8", "replace")}
        (Path(folder) / f"{number:04}").write_text(json.dumps(answer), encoding="utf-8")


def openssl(arguments: list[str]) -> bytes:
    match arguments:
        case ["base64", "-A"]:
            return base64.b64encode(sys.stdin.buffer.read())
        case ["rand", "-hex", count]:
            return secrets.token_hex(int(count)).encode() + b"\n"
        case ["dgst", "-sha256", "-sign", key_file, "-binary"]:
            return signature(Path(key_file).read_bytes(), sys.stdin.buffer.read())
        case ["genrsa", bits]:
            return private_key(int(bits))
        case ["rsa", "-pubout"]:
            return public_key_of(sys.stdin.buffer.read())
    sys.exit(f"openssl: this stand-in does not know {arguments}")


def signature(private_key: bytes, message: bytes) -> bytes:
    # Imported here, because curl is run far more often, and does not need them.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key = load_pem_private_key(private_key, None)
    assert isinstance(key, RSAPrivateKey)
    return key.sign(message, PKCS1v15(), hashes.SHA256())


def private_key(bits: int) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = generate_private_key(65537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key_of(private_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(private_key, None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


if __name__ == "__main__":
    program = {"curl": curl, "recorded-curl": recorded_curl, "openssl": openssl}[sys.argv[1]]
    sys.stdout.buffer.write(program(sys.argv[2:]))
