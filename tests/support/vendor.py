"""Copies third-party files that our pages need from their npm packages, and lists them. `make vendor` runs this.

The list names the files: to ship another file, add it to the list with any hash, and run this.
"""

import json
import shutil
from hashlib import sha256
from pathlib import Path

PACKAGES = Path(__file__).parents[1] / "node/node_modules"
VENDORED = Path(__file__).parents[2] / "src/countermand/web/vendored"
LIST = VENDORED / "vendored.json"


def main() -> None:
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    for package, one in listed.items():
        about = json.loads((PACKAGES / package / "package.json").read_text(encoding="utf-8"))
        one |= {"version": about["version"], "licence": about["license"]}
        (VENDORED / package).mkdir(exist_ok=True)
        for name in one["files"]:
            copied = Path(shutil.copyfile(PACKAGES / package / name, VENDORED / package / name))
            one["files"][name] = sha256(copied.read_bytes()).hexdigest()
    LIST.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
