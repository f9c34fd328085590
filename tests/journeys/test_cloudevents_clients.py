"""Libraries that nobody here wrote read the events of the dialect `cloudevents`, in both modes."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.clients import FOLDER, on_node, with_python
from support.golden_events import EVENTS, FORMS, GOLDEN, SOURCE, rendered

pytestmark = pytest.mark.slow

FORMS_READ = [form for form in FORMS if form.startswith("cloudevents-")]


def by_python(golden: Path, folder: Path) -> str:
    return with_python(FOLDER / "cloudevents_reading.py", golden, folder=folder)


def by_javascript(golden: Path, folder: Path) -> str:
    return on_node(FOLDER / "cloudevents_reading.js", golden, folder=folder)


@pytest.mark.parametrize("form", FORMS_READ)
@pytest.mark.parametrize("reads", [by_python, by_javascript])
def test_a_library_reads_each_event_with_all_its_attributes(
    reads: Callable[[Path, Path], str], form: str, tmp_path: Path
):
    read: dict[str, Any] = json.loads(reads(GOLDEN / f"{form}.json", tmp_path))

    assert read.keys() == EVENTS.keys()
    for name, event in EVENTS.items():
        one = read[name]
        # JavaScript's instants have milliseconds.
        assert abs((datetime.fromisoformat(one.pop("time")) - event.recorded_at).total_seconds()) < 0.001
        as_standard = rendered(event, FORMS["standard-thin" if form.endswith("thin") else "standard-whole"])
        assert as_standard is not None
        assert one == {
            "specversion": "1.0",
            "id": event.id,
            "source": SOURCE,
            "type": f"countermand.{event.kind}",
            "subject": event.order or "ep_0123456789abcdef",
            "datacontenttype": "application/json",
            "data": json.loads(as_standard.body)["data"],
        }
