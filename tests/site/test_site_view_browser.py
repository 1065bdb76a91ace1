"""``harness view`` in a real browser: a run that trains is seen as it goes, and pages follow their trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site.browser import Browser
from tests.site.viewing import View, open_view, running, wait_for

pytestmark = pytest.mark.browser
EPOCHS = "return [...document.querySelectorAll('tbody td:last-child')].map(one => one.textContent).join()"
LINES = "return [...document.querySelectorAll('svg path.mean')].map(one => one.getAttribute('d')).join()"
# Figures are put in place anew as they grow, so that a box which was found is soon none of the page: scripts do both.
CHOOSE = "const box = document.querySelector('.logarithmic'); box?.click(); return box && box.checked"
CHOSEN = "return document.querySelector('.logarithmic')?.checked"
FOLLOW = "[...document.querySelectorAll('a')].find(one => one.textContent === 'Live').click(); return true"
HIDDEN = "return [...document.querySelectorAll('figure [data-arm=\"1\"]')].map(one => one.getClientRects().length)"


@pytest.fixture(scope="module")
def peeking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """A view that peeks at a run in training."""
    with running(tmp_path_factory.mktemp("running") / "project") as project, open_view(project, "--peek") as opened:
        opened.wait_for("/live.html", lambda text: "<svg" in text and "replica steps/s" in text)
        yield opened


@pytest.fixture(autouse=True)
def clean(browser: Browser) -> None:
    browser.reset()


def ask(browser: Browser, script: str) -> Any:
    """Run a script in the page; nothing if the page is just being loaded again."""
    from selenium.common import WebDriverException

    try:
        return browser.run(script)
    except WebDriverException:
        return None


def test_curves_grow_while_the_run_trains(browser: Browser, peeking: View) -> None:
    browser.driver.get(f"{peeking.url}live.html")
    browser.run("window.kept = 1")
    browser.driver.find_element("css selector", ".legend li:nth-child(2) input").click()
    assert set(browser.run(HIDDEN)) == {0}
    chosen = browser.run(CHOOSE)
    epochs, lines = browser.run(EPOCHS), browser.run(LINES)
    wait_for(lambda: ask(browser, EPOCHS) not in (epochs, None))
    wait_for(lambda: ask(browser, LINES) not in (lines, None))
    assert browser.run("return window.kept") == 1, "it was put in place, not loaded again"
    assert set(browser.run(HIDDEN)) == {0}, "an arm that was hidden stays so"
    assert chosen is None or browser.run(CHOSEN) == chosen
    assert browser.list_complaints() == []
    assert all(url.startswith(peeking.url) for url in browser.list_requests())


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_everybody_can_read_it(browser: Browser, peeking: View, width: int, scheme: str) -> None:
    browser.emulate(width, scheme)
    browser.driver.get(f"{peeking.url}live.html")
    assert browser.find_violations() == {}
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.list_complaints() == []


def test_without_scripts_it_is_all_there(browser: Browser, peeking: View) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.driver.get(f"{peeking.url}live.html")
    shown = browser.driver.find_element("css selector", "main").text
    for told in ("You are peeking.", "Throughput", "Time left", "Learning curves so far", "of 100000"):
        assert told in shown
    assert browser.driver.find_element("css selector", "figure svg").is_displayed()


def test_a_page_is_loaded_again_when_its_trail_has_changed(browser: Browser, peeking: View, tmp_path: Path) -> None:
    browser.driver.get(f"{peeking.url}h/tiny.html")
    text = "return document.querySelector('#file').textContent"
    assert "as it says now" not in browser.run(text)
    peeking.project.edit("label: DFA,", "label: as it says now,")
    wait_for(lambda: "as it says now" in (ask(browser, text) or ""))
    wait_for(lambda: ask(browser, "return document.readyState") == "complete")
    wait_for(lambda: ask(browser, FOLLOW))
    wait_for(lambda: "Attempts under way" in (ask(browser, "return document.querySelector('h1')?.textContent") or ""))
