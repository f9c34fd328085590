"""The alert rules and the dashboard name only metrics, labels and routes that the service has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from support.world import World, a_world

FOLDER = Path(__file__).parents[2] / "docs" / "watching"
RULES = FOLDER / "alerts.yml"
METRIC = re.compile(r"\b(?:countermand|process)_\w+")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


async def exposed(world: World) -> set[str]:
    """The names of all metrics, a histogram's parts included."""
    partner = await world.connect_client()
    await world.cancel(partner, await world.service_order(partner))
    families = list(text_string_to_metric_families((await world.http.get("/metrics")).text))
    return (
        {sample.name for family in families for sample in family.samples}
        | {f"{family.name}_{part}" for family in families if family.type == "histogram" for part in ("bucket", "count")}
        | {f"{family.name}_total" for family in families if family.type == "counter"}
        | {
            family.name for family in families if family.type == "gauge"
        }  # those of endpoints have no sample without one
    )


async def test_every_metric_of_a_rule_or_panel_exists(tmp_path: Path):
    async with a_world(tmp_path) as world:
        names = await exposed(world)
    used = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert used - names == set()
    assert len(used) > 20


def test_each_rule_says_how_urgent_it_is_and_what_is_the_matter():
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert len(rule["annotations"]["summary"].split()) > 4


def test_each_panel_has_a_title_and_a_place_of_its_own():
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len({panel["title"] for panel in panels()}) == len(places) == len({one["id"] for one in panels()}) > 10


@pytest.mark.needs("promtool")
def test_prometheus_own_tool_accepts_the_rules():
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_what_waits_is_shown(tmp_path: Path):
    ready = {f'countermand_steps_unfinished{{step="{step}"}} 0.0' for step in ("totals", "codes", "handles", "refunds")}
    async with a_world(tmp_path) as world:
        for _ in range(200):
            text = (await world.http.get("/metrics")).text
            if ready <= set(text.splitlines()):
                break
        assert ready <= set(text.splitlines())
        assert "countermand_appointment_task_age_seconds 0.0" in text
