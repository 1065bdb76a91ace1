"""The site in a real browser: what it shows, to whom, and that nothing on it is obeyed."""

from __future__ import annotations

import base64
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.site.browser import Browser
from tests.site.hostile import CLAIM, LABEL, LONG, SCRIPT, TITLE

pytestmark = pytest.mark.browser
PAGES = ("index.html", "claims.html", "audit.html", "check.html", "h/tiny.html", "h/other.html")


@pytest.fixture(autouse=True)
def clean(browser: Browser) -> None:
    browser.reset()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_from_a_file_and_asks_for_nothing_else(browser: Browser, pages: Path, page: str) -> None:
    browser.open(pages / page)
    assert browser.driver.title
    assert browser.list_complaints() == []
    expected = {(pages / name).as_uri() for name in (page, "site.css", "site.js")}
    assert browser.gather_requests(expected) == expected
    text = browser.run("return document.querySelector('footer').textContent")
    assert "Nothing on this page is evidence; check it by harness audit" in text


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_read_a_page(browser: Browser, pages: Path, page: str, width: int, scheme: str) -> None:
    browser.emulate(width, scheme)
    browser.open(pages / page)
    for one in browser.run("return [...document.querySelectorAll('details')]"):
        browser.run("arguments[0].open = true", one)
    assert browser.find_violations() == {}
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 22, 28)" if scheme == "dark" else "rgb(255, 255, 255)"
    )


def test_faults_that_are_planted_are_found(browser: Browser, pages: Path, tmp_path: Path) -> None:
    text = (pages / "index.html").read_text(encoding="utf-8")
    text = text.replace(' lang="en"', "").replace("<h1>Hypotheses</h1>", "<h5>Hypotheses</h5><img src='site.css'>")
    text = text.replace("<form", "<button></button><form").replace("<table", "<table role='nonsense'")
    for file in pages.glob("site.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "faulty.html").write_text(text, encoding="utf-8")
    browser.open(tmp_path / "faulty.html")
    assert {"html-has-lang", "image-alt", "button-name", "aria-roles", "page-has-heading-one"} <= set(
        browser.find_violations()
    )


@pytest.mark.parametrize("page", ["index.html", "h/tiny.html"])
def test_a_page_fits_the_widest_screen(browser: Browser, pages: Path, page: str) -> None:
    browser.emulate(3840, "light")
    browser.open(pages / page)
    left, right = browser.run(
        "const b = document.querySelector('main').getBoundingClientRect(); return [b.left, b.right]"
    )
    assert abs(left - (3840 - right)) < 2


def test_what_an_author_wrote_is_text(browser: Browser, pages: Path) -> None:
    browser.open(pages / "h/tiny.html")
    assert browser.run("return document.querySelector('h1').textContent") == TITLE
    assert LABEL in browser.run("return document.querySelector('.legend').textContent")
    told = browser.run("return document.querySelector('#timeline').textContent")
    assert "a better place</a> \\x1b[31mred\\x1b[0m" in told
    difference = browser.run("return document.querySelector('.diff').textContent")
    assert LONG in difference
    assert SCRIPT in difference
    assert "\\u202eright-to-left\\u202c \\x1b[31mred" in difference
    browser.open(pages / "claims.html")
    assert CLAIM in browser.run("return document.querySelector('#claim-depth-helps').textContent")
    for page in PAGES:
        browser.open(pages / page)
        assert browser.run("return [window.obeyed, document.querySelectorAll('img, b, i').length]") == [None, 0]
        assert browser.run("return document.querySelectorAll('script').length") == 1
        assert browser.run("return [...document.querySelectorAll('a')].filter(a => !/^(file|http)/.test(a.protocol || a.href.baseVal && 'file')).length") == 0  # fmt: skip  # noqa: E501


def test_the_policy_keeps_out_what_would_be_put_in(browser: Browser, pages: Path, tmp_path: Path) -> None:
    text = (pages / "index.html").read_text(encoding="utf-8")
    more = "<script>window.obeyed=1</script><img src=x onerror=window.obeyed=1><p style='color:red' id=painted>a</p>"
    (tmp_path / "in.html").write_text(text.replace("<footer>", f"{more}<footer>"), encoding="utf-8")
    browser.open(tmp_path / "in.html")
    assert browser.run("return window.obeyed") is None
    assert browser.run("return getComputedStyle(document.querySelector('#painted')).color") != "rgb(255, 0, 0)"


def test_without_scripts_everything_is_there(browser: Browser, pages: Path) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(pages / "h/tiny.html")
    shown = browser.driver.find_element("css selector", "main").text
    for heading in ("Verdict", "Guards", "Figures", "Search", "Seed by seed", "Timeline", "Registered file"):
        assert heading in shown
    assert "Show one seed" not in shown
    figures = browser.driver.find_elements("css selector", "figure.plot svg")
    assert len(figures) >= 6
    assert all(one.is_displayed() for one in figures)
    seen = [one.is_displayed() for one in browser.driver.find_elements("css selector", "#figures .lin, #figures .log")]
    assert True in seen
    assert False in seen, "only one of the two axes"
    browser.open(pages / "index.html")
    assert not browser.driver.find_element("css selector", "form").is_displayed()
    assert len(browser.driver.find_elements("css selector", "#hypotheses tbody tr")) == 2
    browser.open(pages / "claims.html")
    assert browser.driver.find_element("css selector", "svg.claims").is_displayed()


def test_hypotheses_are_filtered_and_sorted_by_keyboard(browser: Browser, pages: Path) -> None:
    browser.open(pages / "index.html")
    browser.press("Tab")
    assert browser.run("return document.activeElement.textContent") == "Skip to the content"
    rows = "return [...document.querySelectorAll('#hypotheses tbody tr:not([hidden]) a')].map(a => a.textContent)"
    assert browser.run(rows) == ["other", "tiny"]
    browser.run("document.querySelector('thead button').focus()")
    browser.press("Enter", "Enter")
    assert browser.run(rows) == ["tiny", "other"]
    assert browser.run("return document.querySelector('thead th').ariaSort") == "descending"
    browser.press("Enter")
    assert browser.run(rows) == ["other", "tiny"]
    browser.driver.find_element("css selector", "#find").send_keys("frozen")
    assert browser.run(rows) == ["other"]
    assert browser.run("return document.querySelector('#count').textContent") == "1 of 2 shown"
    browser.driver.find_element("css selector", "#find").clear()
    browser.choose("#state", "as pred")
    assert browser.run(rows) == ["tiny"]


def test_a_seed_is_shown_in_every_figure(browser: Browser, pages: Path) -> None:
    browser.open(pages / "h/tiny.html")
    marked = "return [...document.querySelectorAll('.on')].map(one => one.dataset.seed)"
    figures = "return [...new Set([...document.querySelectorAll('.on')].map(o => o.closest('svg')?.id || o.closest('svg')?.getAttribute('aria-labelledby') || 'table'))].length"  # noqa: E501
    browser.run("document.querySelector('#seeds tbody tr:nth-child(3) button').focus()")
    assert set(browser.run(marked)) == {"2"}
    assert browser.run(figures) >= 6
    browser.run("document.activeElement.blur()")
    assert browser.run(marked) == []
    browser.hover("circle.dot[data-seed='4']")
    assert set(browser.run(marked)) == {"4"}
    browser.driver.find_element("css selector", "#seed").send_keys("1")
    browser.hover("h1")
    assert set(browser.run(marked)) == {"1"}
    pressed = "return [...document.querySelectorAll('#seeds tbody button')].map(one => one.ariaPressed)"
    assert browser.run(pressed) == ["false", "true", *["false"] * 4]
    assert "margin" in browser.run("return document.querySelector('.picker [role=status]').textContent")


def test_arms_are_hidden_and_axes_chosen(browser: Browser, pages: Path) -> None:
    browser.open(pages / "h/tiny.html")
    lines = "return [...document.querySelectorAll('#figures svg g[data-arm=\"1\"]')].filter(g => g.getClientRects().length).length"  # noqa: E501
    before = browser.run(lines)
    assert before >= 4
    browser.driver.find_element("css selector", ".legend li:nth-child(2) input").click()
    assert browser.run(lines) == 0
    browser.driver.find_element("css selector", ".legend li:nth-child(2) input").send_keys(" ")
    assert browser.run(lines) == before
    plot = browser.driver.find_element("xpath", "//figure[.//input[@class='logarithmic']]")
    box, linear, log = (plot.find_element("css selector", name) for name in (".logarithmic", ".lin", ".log"))
    first = (linear.is_displayed(), log.is_displayed())
    assert sorted(first) == [False, True]
    box.send_keys(" ")
    assert (linear.is_displayed(), log.is_displayed()) == first[::-1]


def test_an_outcome_shows_what_it_would_walk_back(browser: Browser, pages: Path) -> None:
    browser.open(pages / "claims.html")
    states = "return Object.fromEntries([...document.querySelectorAll('svg.claims [data-claim]')].map(a => [a.dataset.claim, a.querySelector('.sign').textContent + ' ' + a.querySelector('.status').textContent + ' ' + a.getAttribute('class')]))"  # noqa: E501
    before = browser.run(states)
    assert before["digits-can"] == "✓ supported claim supported"
    assert before["depth-helps"] == "✗ walked back claim walked-back"
    assert before["above-all"] == "? in question claim in-question"
    browser.choose("#suppose", "tiny = worse")
    after = browser.run(states)
    assert after["digits-can"] == "✗ walked back claim walked-back then"
    assert after["on-digits"] == "? in question claim in-question then"
    assert after["above-all"] == before["above-all"]
    assert "digits-can: supported → ✗ walked back" in browser.run(
        "return document.querySelector('#supposed').textContent"
    )
    browser.run(
        "const s = document.querySelector('#suppose'); s.selectedIndex = 0; s.dispatchEvent(new Event('input'))"
    )
    assert browser.run(states) == before


def test_a_narrow_screen_has_the_claims_in_a_column_without_a_gap(browser: Browser, pages: Path) -> None:
    shown = "return [...document.querySelectorAll('svg.claims')].filter(one => one.getClientRects().length).map(one => one.classList[1])"  # noqa: E501
    boxes = "return [...document.querySelectorAll('svg.column .claim rect')].map(one => one.getBoundingClientRect()).map(one => [one.left, one.right, one.top, one.bottom])"  # noqa: E501
    browser.open(pages / "claims.html")
    assert browser.run(shown) == ["layers"]
    browser.emulate(360, "light")
    assert browser.wait_for("return innerWidth == 360")
    assert browser.run(shown) == ["column"]
    found = sorted(browser.run(boxes), key=lambda box: box[2])
    assert len(found) >= 4
    assert all(left >= 0 and right <= 360 for left, right, _, _ in found)
    assert all(0 < below[2] - above[3] < 40 for above, below in pairwise(found))
    browser.command("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.run(shown) == ["layers"]


def test_a_page_is_printed_whole_and_on_white(browser: Browser, pages: Path, tmp_path: Path) -> None:
    browser.emulate(1280, "dark")
    browser.open(pages / "h/other.html")
    browser.command("Emulation.setEmulatedMedia", media="print", features=[])
    shown = "return document.querySelector(arguments[0]).checkVisibility({contentVisibilityAuto: true}) && document.querySelector(arguments[0]).getBoundingClientRect().height > 0"  # noqa: E501
    assert browser.wait_for(shown, "#file details pre")
    assert not browser.run(shown, "header nav")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = base64.b64decode(browser.command("Page.printToPDF", printBackground=False)["data"])
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") > 2


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_off_on_paper(browser: Browser, pages: Path, page: str) -> None:
    """Paper, here of A4 upright between margins, can't be scrolled."""
    beyond = "return [...document.querySelectorAll('main *')].filter(one => one.getClientRects().length && !one.closest('.hidden') && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 100))"  # noqa: E501
    browser.emulate(718, "light")
    browser.open(pages / page)
    for one in browser.run("return [...document.querySelectorAll('details')]"):
        browser.run("arguments[0].open = true", one)
    browser.command("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.wait_for("return innerWidth == 718 && matchMedia('print').matches")
    assert browser.run(beyond) == []


def test_it_works_below_a_path_of_a_server(browser: Browser, pages: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "verdicts").symlink_to(pages)
    missing: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form: str, *arguments: Any) -> None:
            # A browser may ask whether its copy is still good; 304 says yes, and nothing is missing then.
            if len(arguments) > 1 and str(arguments[1]) not in ("200", "304"):
                missing.append(json.dumps(arguments, default=str))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            top = f"http://127.0.0.1:{server.server_port}/project/verdicts"
            browser.driver.get(f"{top}/index.html")
            browser.driver.find_element("link text", "other").click()
            assert browser.wait_for("return location.href == arguments[0]", f"{top}/h/other.html")
            assert browser.wait_for("return document.querySelector('#seed')?.options.length == 7")
            browser.driver.find_element("link text", "Claims").click()
            assert browser.wait_for("return location.href == arguments[0]", f"{top}/claims.html")
            assert all(url.startswith(top) for url in browser.list_requests() if "favicon" not in url)
        finally:
            server.shutdown()
    assert [one for one in missing if "favicon" not in one] == []
