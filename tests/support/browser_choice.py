"""Chooses the browser that the tests drive. As a program, it prints which, or what to install: `make browser`.

On Linux on x86-64 it always chooses the Chromium of an npm package, which brings its own libraries and fonts: so all
such machines drive the same browser, and none meets Ubuntu's `chromium`, which starts a snap. Elsewhere the tests drive
the machine's own browser.
"""

from __future__ import annotations  # any Python can run this: `make` asks before it has looked at the version

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

NAMED = "COUNTERMAND_TEST_BROWSER"
UNPACKED = Path(__file__).resolve().parent.parent / "node" / "node_modules" / ".browser"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_PROGRAMS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class NoBrowserError(Exception):
    """There is no browser to drive. The message says what to do."""


class Choice(NamedTuple):
    """A browser's program, and in words where it comes from."""

    program: str
    origin: str
    is_unpacked: bool = False

    def environment(self, profile: Path) -> dict[str, str]:
        """The environment it starts with; what it needs on the disk lies beside the profile."""
        if not self.is_unpacked:
            return dict(os.environ)
        fonts = profile / "fonts.conf"
        paths = {"fonts": UNPACKED / "fonts" / "fonts", "cache": profile / "fonts-cache"}
        fonts.write_text(_FONTS.format(**{name: escape(str(path)) for name, path in paths.items()}), encoding="utf-8")
        libraries = str(UNPACKED / "al2023" / "lib")
        return {**os.environ, "LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(fonts)}


def choose() -> Choice:
    """The browser to drive. Raises `NoBrowserError`."""
    if named := os.environ.get(NAMED):
        found = shutil.which(named)
        if found is None:
            raise NoBrowserError(f"{NAMED} names {named}, which is no program here. Name one, or unset it.")
        return Choice(found, f"{found}, which {NAMED} names")
    if comes_with_the_packages():
        return Choice(
            str(UNPACKED / "chromium"), "the Chromium of the npm package @sparticuz/chromium", is_unpacked=True
        )
    programs = MACOS_PROGRAMS + PROGRAMS if sys.platform == "darwin" else PROGRAMS
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None:
        raise NoBrowserError(
            f"The tests drive a browser, and none was found. Install Google Chrome or Chromium, or name its program in "
            f"{NAMED}. (Only on Linux on x86-64 with glibc does one come with the tests; "
            f"this is {platform.system()} on {platform.machine()}.)"
        )
    return Choice(found, f"this machine's {found}")


def comes_with_the_packages() -> bool:
    """Whether the npm package's Chromium runs here."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


if __name__ == "__main__":
    try:
        sys.stdout.write(f"The tests drive {choose().origin}.\n")
    except NoBrowserError as error:
        sys.exit(str(error))
