"""Replaces curl and openssl by Python programs that support exactly the options of our printed lines.

So the lines can be run on a machine with only Python. A slow test runs the same lines with the real programs.
"""

import base64
import secrets
import sys
from argparse import ArgumentParser
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def curl(arguments: list[str]) -> bytes:
    parser = ArgumentParser("curl", allow_abbrev=False)
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-u", type=lambda given: tuple(given.split(":", 1)))
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d", action="append", default=[])
    parser.add_argument("-w", choices=[r"\n"])
    asked = parser.parse_args(arguments)
    fields = {"Content-Type": "application/x-www-form-urlencoded"} if asked.d else {}
    for given in asked.H:
        lines = Path(given[1:]).read_text(encoding="ascii").splitlines() if given.startswith("@") else [given]
        fields |= {name.strip().title(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    with httpx.Client(trust_env=False, timeout=60) as client:
        body = "&".join(asked.d)
        answer = client.request("POST" if asked.d else "GET", asked.url, headers=fields, content=body, auth=asked.u)
    head = [f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    return ("\r\n".join([*head, "", ""]).encode() if asked.i else b"") + answer.content + (b"\n" if asked.w else b"")


def openssl(arguments: list[str]) -> bytes:
    match arguments:
        case ["base64", "-A"]:
            return base64.b64encode(sys.stdin.buffer.read())
        case ["rand", "-hex", count]:
            return secrets.token_hex(int(count)).encode() + b"\n"
        case ["dgst", "-sha256", "-sign", key_file, "-binary"]:
            key = load_pem_private_key(Path(key_file).read_bytes(), None)
            assert isinstance(key, RSAPrivateKey)
            return key.sign(sys.stdin.buffer.read(), PKCS1v15(), hashes.SHA256())
    sys.exit(f"openssl: this stand-in does not know {arguments}")


if __name__ == "__main__":
    program = {"curl": curl, "openssl": openssl}[sys.argv[1]]
    sys.stdout.buffer.write(program(sys.argv[2:]))
