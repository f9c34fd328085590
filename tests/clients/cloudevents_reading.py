# ruff: noqa: T201
"""Reads CloudEvents with the library that PyPI has for them: `… GOLDEN_FILE`. It prints what it read as JSON."""

import json
import sys
from pathlib import Path

from cloudevents.core.bindings.http import HTTPMessage, from_http_event


def main(file):
    """Read each message of a golden file."""
    read = {}
    for name, sent in json.loads(Path(file).read_text(encoding="utf-8")).items():
        event = from_http_event(HTTPMessage(headers=sent["headers"], body=sent["body"].encode()))
        read[name] = {
            "specversion": event.get_specversion(),
            "id": event.get_id(),
            "source": event.get_source(),
            "type": event.get_type(),
            "time": event.get_time().isoformat(),
            "subject": event.get_subject(),
            "datacontenttype": event.get_datacontenttype(),
            "data": event.get_data(),
        }
    print(json.dumps(read))


main(sys.argv[1])
