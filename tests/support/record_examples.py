"""Writes the examples of the OpenAPI documents, and the events as each dialect says them: `make examples`."""

import asyncio
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Run a service, and write each document's file."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]
    from support.examples import FILES, recorded, written  # noqa: PLC0415 - found by the path above
    from support.golden_events import FORMS, GOLDEN, golden_file  # noqa: PLC0415 - found by the path above

    with tempfile.TemporaryDirectory() as folder:
        for name, examples in asyncio.run(recorded(Path(folder))).items():
            FILES[name].write_text(written(examples), encoding="utf-8")
            sys.stdout.write(f"wrote {FILES[name].relative_to(ROOT)}\n")
    for form in FORMS:
        (GOLDEN / f"{form}.json").write_text(golden_file(form), encoding="utf-8")
        sys.stdout.write(f"wrote {(GOLDEN / form).relative_to(ROOT)}.json\n")


if __name__ == "__main__":
    main()
