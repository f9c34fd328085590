"""Looks at a page as people do: on a phone and on a desk, light and dark, on paper, and with axe-core."""

import base64
import json
import re
from pathlib import Path
from typing import Final

from support.browser import Page

AXE: Final = Path(__file__).parents[1] / "node/node_modules/axe-core/axe.min.js"
PHONE: Final = {"width": 360, "height": 780, "deviceScaleFactor": 2, "mobile": True}
DESK: Final = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
_SMALLEST_TARGET: Final = 44  # CSS pixels


def assert_fine_everywhere(page: Page) -> None:
    """On a phone and on a desk, in light and in dark, the page is fine."""
    for metrics in (PHONE, DESK):
        for scheme in ("light", "dark"):
            show(page, metrics, scheme)
            assert_fine(page, f"{metrics['width']} {scheme}")


def show(page: Page, metrics: dict[str, object], scheme: str) -> None:
    """Show the page at this size and in this colour scheme."""
    page.browser.tell("Emulation.setDeviceMetricsOverride", page.session, **metrics)
    chosen = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.tell("Emulation.setEmulatedMedia", page.session, features=chosen)
    page.until(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
    # A page's own script hears of the scheme with the next frame.
    page.value("window.frames_shown = 0; requestAnimationFrame(() => requestAnimationFrame(() => frames_shown = 2)); 0")
    page.until("window.frames_shown === 2")
    page.until("document.getAnimations().every(one => one.playState !== 'running')")


def assert_fine(page: Page, where: str) -> None:
    """No sideways scrolling, each button large enough to touch, and nothing that axe-core minds."""
    assert page.value("document.documentElement.scrollWidth <= innerWidth"), where
    buttons = "[...document.querySelectorAll('.page button, .button')].map(one => one.getBoundingClientRect().height)"
    assert all(height >= _SMALLEST_TARGET for height in page.value(buttons)), where
    assert_axe_minds_nothing(page, where)


def assert_contrast_everywhere(page: Page) -> None:
    """On a phone and on a desk, in light and in dark, every text stands out from what is behind it."""
    for metrics in (PHONE, DESK):
        for scheme in ("light", "dark"):
            show(page, metrics, scheme)
            assert_axe_minds_nothing(page, f"{metrics['width']} {scheme}", "color-contrast")


def assert_axe_minds_nothing(page: Page, where: str, *rules: str) -> None:
    """axe-core finds nothing: of these rules, or, if there are none, of all its rules."""
    page.value(AXE.read_text() + "; 0")
    options = json.dumps({"runOnly": rules} if rules else {})
    run = f"axe.run({options}).then(found => {{ window.found = JSON.stringify(found.violations); }})"
    page.value(f"delete window.found; {run}; 0")
    page.until("window.found !== undefined")
    violations = json.loads(page.value("window.found"))
    minded = [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations]
    assert minded == [], f"{where}: {minded}"


def sheets_of_paper(page: Page) -> int:
    """How many sheets the page fills when it is printed."""
    printed = page.browser.tell(
        "Page.printToPDF", page.session, preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.7
    )
    return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"])))
