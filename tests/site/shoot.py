"""Photograph the site of this project's own trail, for docs/viewing.md.

python -m tests.site.shoot docs
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from harness.ledger import Ledger
from harness.site import build_site
from tests.site.browser import Browser, open_browser

CHOOSE = """
const list = document.querySelector('#suppose');
list.value = [...list.options].find(one => one.text === '{}').value;
list.dispatchEvent(new Event('input'));
"""
"""Script that supposes an outcome."""
SHOTS = {
    "viewing-verdict.png": ("h/bp-penalty-control.html", "light", 960, 0, 1180, ""),
    "viewing-figures.png": (
        "h/mode2-direction.html", "dark", 1200, "#figures", 1010,
        "document.querySelector('#seed').value = 9; document.querySelector('#seed').dispatchEvent(new Event('input'))",
    ),
    "viewing-claims.png": (
        "claims.html", "light", 1280, 0, 660,
        CHOOSE.format("mode2-direction = rejected"),
    ),
}  # fmt: skip
"""File → the page, the scheme, the width, where it begins, its height, and what is done before."""


def shoot(browser: Browser, site: Path, folder: Path) -> None:
    """Write all photographs into a folder."""
    for name, (page, scheme, width, top, height, script) in SHOTS.items():
        browser.emulate(width, scheme)
        browser.open(site / page)
        browser.run(script)
        if isinstance(top, str):
            top = browser.run(f"return document.querySelector('{top}').getBoundingClientRect().top")
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        taken = browser.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        image = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
        image.quantize(64, dither=Image.Dither.NONE).save(folder / name, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, open_browser() as opened:
        build_site(Path(made) / "site", Ledger(Path("verdicts")), Path("hypotheses"))
        shoot(opened, Path(made) / "site", Path(sys.argv[1]))
