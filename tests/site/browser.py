"""Chromium as tests use it: without a network, listening to its console and its requests."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import find_chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PATIENCE = 400  # looks
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    # No name is known but this machine's: whatever leaves is an error in the console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


@dataclass
class Browser:
    """An open browser."""

    driver: Chrome

    def command(self, name: str, **arguments: Any) -> Any:
        """Give a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def reset(self) -> None:
        """Undo what a test asked for, and forget what was said so far."""
        self.command("Emulation.setScriptExecutionDisabled", value=False)
        self.command("Emulation.setEmulatedMedia", media="", features=[])
        self.emulate(1280, "light")
        self.driver.get("about:blank")
        self.list_complaints()
        self.list_requests()

    def emulate(self, width: int, scheme: str) -> None:
        """Show pages so wide, in a light or dark scheme."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, file: Path) -> None:
        """Open a file."""
        self.driver.get(file.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, past its policy, and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str, *arguments: Any) -> bool:
        """Run a script until it returns something true: what is laid out waits for the next frame."""
        for _ in range(PATIENCE):
            if self.run(script, *arguments):
                return True
            time.sleep(0.05)
        return False

    def press(self, *keys: str) -> None:
        """Press keys by their names."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(getattr(Keys, key.upper())).perform()

    def choose(self, selector: str, beginning: str) -> None:
        """Go down a list by keyboard to the option whose text begins so: what is typed too slowly, a list forgets."""
        from selenium.webdriver.common.keys import Keys

        found = self.driver.find_element("css selector", selector)
        options = "return [...document.querySelector(arguments[0]).options].map(one => one.text)"
        (place,) = (at for at, text in enumerate(self.run(options, selector)) if text.startswith(beginning))
        for _ in range(place - int(self.run("return arguments[0].selectedIndex", found))):
            found.send_keys(Keys.ARROW_DOWN)

    def hover(self, selector: str) -> None:
        """Move the pointer over an element."""
        from selenium.webdriver import ActionChains

        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        ActionChains(self.driver, duration=0).move_to_element(element).perform()

    def list_complaints(self) -> list[str]:
        """Return what the console has said since it was asked last."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def list_requests(self) -> list[str]:
        """Return the addresses that pages have asked for since this was asked last."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("about:")]

    def gather_requests(self, expected: set[str]) -> set[str]:
        """Return what pages have asked for once all that is expected is among it; it may be told late."""
        found: set[str] = set()
        for _ in range(PATIENCE):
            found |= set(self.list_requests())
            if expected <= found:
                break
            time.sleep(0.05)
        return found | set(self.list_requests())

    def find_violations(self) -> dict[str, list[str]]:
        """Return what axe-core finds: rule → the elements that break it."""
        self.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
        script = "const done = arguments[0]; axe.run(document, {preload: false}).then(found => done(found.violations))"
        found = self.driver.execute_async_script(script)
        return {one["id"]: [node["html"][:200] for node in one["nodes"]] for one in found}


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    chromium, service = find_chromium(), shutil.which("chromedriver")
    assert chromium and service, "there is no Chromium, or no driver of it: apt-get install chromium chromium-driver"
    options.binary_location = chromium
    for argument in QUIET:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(service))
    try:
        driver.set_script_timeout(120)
        driver.set_page_load_timeout(120)
        yield Browser(driver)
    finally:
        driver.quit()
