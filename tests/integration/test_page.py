"""The page in a real browser, served by the real server, fed by hand."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright, expect
from prometheus_client import CollectorRegistry

from daemon.config.outlets import Http
from daemon.http.server import Server, Surface
from daemon.runs.latest import Latest
from daemon.service.health import Health
from tests.runs import finding, results
from tests.servers import chromium

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    executable = chromium.find()
    if executable is None:
        pytest.skip("no Chromium in PATH: python -m tests.servers.chromium installs it where it may")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        opened = await browser.new_page()
        opened.set_default_timeout(10_000)
        yield opened
        await browser.close()


@pytest.fixture
def latest() -> Latest:
    return Latest()


@pytest.fixture
async def address(latest: Latest) -> AsyncIterator[str]:
    surface = Surface(latest=latest, health=Health(), registry=CollectorRegistry(), status=dict)
    async with Server(Http(port=0), surface) as server:
        yield server.address


async def test_before_the_first_run_the_page_says_that_it_waits(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.get_by_role("status")).to_have_text("Waiting for the first run.")
    await expect(page.get_by_role("table")).to_have_count(0)


async def test_the_page_shows_a_run_and_then_the_next(page: Page, address: str, latest: Latest) -> None:
    latest.swap(results([finding("polarization", "neutral"), finding("cascade", "neutral", value=1.25)]))
    await page.goto(address)
    await expect(page.get_by_text("A panel of the 100 most visible accounts would give the head 97 %")).to_be_visible()
    carriers = page.locator("#carriers tbody tr")
    await expect(carriers).to_have_count(4)
    await expect(carriers.first).to_contain_text("did:plc:bob")
    await expect(carriers.first).to_contain_text("head")
    await expect(page.locator("#certificate")).to_contain_text("98.3 %, 1 gap")
    await expect(page.locator("#certificate")).to_contain_text("1.0e-13")
    latest.swap(results([finding("polarization", "neutral", value=0.75)], number=1))
    await expect(page.get_by_role("button", name="polarization")).to_contain_text("0.75")
    await expect(page.locator("#indicators polyline")).to_have_count(1)


async def test_a_reader_chooses_indicator_and_baseline_by_keyboard(page: Page, address: str, latest: Latest) -> None:
    latest.swap(
        results([finding("polarization", "neutral"), finding("cascade", "neutral"), finding("cascade", "preceding")])
    )
    await page.goto(address)
    await page.get_by_role("button", name="cascade").press("Enter")
    await expect(page.get_by_role("button", name="cascade")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="the change since the window before").press("Enter")
    await expect(page.locator("#sentence")).to_contain_text("the change of cascade")
    await page.get_by_role("button", name="polarization").press("Enter")
    await expect(page.locator("#absent")).to_contain_text("not covered yet")
    await expect(page.locator("#carriers")).to_be_hidden()


async def test_what_failed_is_said(page: Page, address: str, latest: Latest) -> None:
    latest.swap(results([finding("polarization", "neutral", ok=False)]))
    await page.goto(address)
    await expect(page.locator("#failures")).to_contain_text("not within tolerance")
    await expect(page.locator("#carriers caption")).to_contain_text("were not published")


async def test_a_name_from_outside_is_text_and_nothing_leaves_for_elsewhere(
    page: Page, address: str, latest: Latest
) -> None:
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(error.message))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    shown = results([finding("polarization", "neutral")])
    shown.record["indicators"]["polarization"]["neutral"]["top"][0]["agent"] = HOSTILE
    latest.swap(shown)
    await page.goto(address)
    await expect(page.locator("#carriers tbody tr").first).to_contain_text(HOSTILE)
    assert await page.title() == "starlingd"
    assert await page.locator("#carriers img").count() == 0
    assert asked
    assert all(url.startswith(address) for url in asked)
    assert faults == []


async def test_when_the_daemon_goes_the_page_keeps_the_last_and_says_so(page: Page, latest: Latest) -> None:
    latest.swap(results([finding("polarization", "neutral")]))
    surface = Surface(latest=latest, health=Health(), registry=CollectorRegistry(), status=dict)
    async with Server(Http(port=0), surface) as server:
        await page.goto(server.address)
        await expect(page.get_by_role("status")).to_contain_text("Live")
    await expect(page.get_by_role("status")).to_contain_text("does not answer")
    await expect(page.locator("#carriers tbody tr")).to_have_count(4)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_in_light_and_dark(page: Page, address: str, latest: Latest, scheme: str) -> None:
    latest.swap(results([finding("polarization", "neutral")]))
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.goto(address)
    await expect(page.locator("#sentence")).not_to_be_empty()
    contrasts = await page.evaluate(CONTRASTS)
    assert contrasts
    assert min(contrasts.values()) >= 4.5, contrasts


CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts(colour).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const found = {};
  for (const id of ["state", "sentence", "certificate", "rescalable", "indicators", "carriers"]) {
    const node = document.getElementById(id);
    for (const inner of [node, ...node.querySelectorAll("dt, dd, th, td, .name, .value, caption")]) {
      const [a, b] = [light(getComputedStyle(inner).color), light(ground(inner))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const key = `${id} ${inner.tagName}`;
      found[key] = Math.min(found[key] ?? ratio, ratio);
    }
  }
  return found;
}"""
