"""The page in headless Chromium: it opens without a complaint, filters, sorts, toggles and is led by keys."""

import json
from pathlib import Path

import pytest

from scripts.screenshot import NoBrowser, browser


@pytest.fixture(scope="module")
def chromium():
    try:
        with browser() as started:
            yield started
    except NoBrowser as error:
        pytest.skip(str(error))


@pytest.fixture(params=["desktop", "phone"])
def opened(chromium, page, request):
    """The page, open, and what the browser complained of."""
    size = {"desktop": {"width": 1366, "height": 768}, "phone": {"width": 390, "height": 844}}[request.param]
    context = chromium.new_context(viewport=size, reduced_motion="reduce", has_touch=request.param == "phone")
    tab, complaints = context.new_page(), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda sent: complaints.append(sent.url) if sent.url.startswith("http") else None)
    tab.goto(page.as_uri())
    tab.wait_for_selector(".sample")
    yield tab
    assert complaints == []
    assert "broken" not in tab.title()
    context.close()


def cards(tab):
    return tab.locator(".sample")


def keys(tab):
    return cards(tab).evaluate_all("found => found.map(one => one.dataset.key)")


def samples(tab):
    return tab.evaluate("JSON.parse(document.getElementById('data').textContent).samples")


def open_filters(tab):
    if tab.locator("#filters-toggle").is_visible():
        tab.click("#filters-toggle")


def test_it_opens_with_all_samples_and_fits_the_window(opened):
    assert cards(opened).count() == 12
    assert opened.inner_text("#count") == "12 samples"
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate("[...document.querySelectorAll('.sample img')].every(one => one.naturalWidth > 0)")


def test_it_filters_by_class_score_status_and_words(opened):
    open_filters(opened)
    opened.click("#classes .chip:has-text('bird')")
    assert opened.inner_text("#classes .chip:has-text('bird') small") == "4"
    assert opened.inner_text("#count") == "4 of 12 samples" and cards(opened).count() == 4
    opened.fill("#search", "no such words")
    assert cards(opened).count() == 0 and opened.is_visible("#empty")
    opened.click("#reset-empty")
    assert cards(opened).count() == 12
    data = samples(opened)
    opened.click("#states .chip:has-text('dropped')")
    assert set(keys(opened)) == {one["key"] for one in data if one["state"] == "dropped"}
    opened.click("#states .chip:has-text('failed')")
    assert cards(opened).count() == 4
    opened.click("#reset")
    opened.evaluate("document.getElementById('from').value = 50")
    opened.dispatch_event("#from", "input")
    assert set(keys(opened)) == {one["key"] for one in data if one["scores"].get("agreement", -1) >= 0.5}


def test_the_sliders_can_be_reached(opened):
    open_filters(opened)
    for slider in ("#from", "#to", "#filters [data-opacity]"):
        box = opened.locator(slider).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= opened.evaluate("innerWidth")
    opened.evaluate("document.querySelector('#filters [data-opacity]').value = 20")
    opened.dispatch_event("#filters [data-opacity]", "input")
    assert opened.evaluate("getComputedStyle(document.querySelector('.sample .mask')).opacity") == "0.2"


def test_no_column_is_cut_beside_a_picture(opened):
    opened.evaluate("document.querySelector('.sample:has(.mask)').click()")
    widths = opened.evaluate(
        "[...document.querySelectorAll('#viewer .scroll')].map(e => [e.scrollWidth, e.clientWidth])"
    )
    assert widths and all(whole <= seen for whole, seen in widths)
    opened.keyboard.press("Escape")
    if opened.evaluate("innerWidth") > 1000:
        wide = opened.evaluate("[...document.querySelectorAll('main .scroll')].map(e => e.scrollWidth - e.clientWidth)")
        assert max(wide) <= 0


def test_decisions_are_made_by_click_and_by_key_and_saved(opened):
    data = {one["key"]: one for one in samples(opened)}
    first, second = [key for key in keys(opened) if data[key]["state"] == "kept"][:2]
    opened.click(f"li:has([data-key='{first}']) .reject")
    opened.focus(f"[data-key='{second}']")
    opened.keyboard.press("k")
    with opened.expect_download() as saved:
        opened.click("#save")
    content = json.loads(Path(saved.value.path()).read_text())
    assert saved.value.suggested_filename == "decisions.json" and content["dsfactory"] == "decisions"
    assert content["samples"] == {
        first: {"decision": "reject", "image_sha256": data[first]["image"]},
        second: {"decision": "keep", "image_sha256": data[second]["image"]},
    }
    failed = next(key for key in keys(opened) if data[key]["state"] == "failed")
    assert data[failed]["why"] in opened.inner_text(f"[data-key='{failed}'] .none")


def test_it_sorts_the_worst_first(opened):
    data = samples(opened)
    ranked = sorted(data, key=lambda one: (one["scores"].get("agreement", -1), one["number"]))
    assert keys(opened) == [one["key"] for one in ranked]
    opened.select_option("#sort", "number")
    assert keys(opened) == [one["key"] for one in data]


def test_layers_toggle_by_click_and_by_key(opened):
    attention, mask, void = (opened.locator(f".sample .{layer}").first for layer in ("attention", "mask", "void"))
    assert mask.is_visible() and not attention.is_visible()
    opened.click("#tools [data-layer='attention']")
    assert attention.is_visible()
    opened.keyboard.press("3")
    assert not mask.is_visible()
    assert opened.get_attribute("#tools [data-layer='mask']", "aria-pressed") == "false"
    opened.keyboard.press("4")
    assert not void.is_visible()
    opened.keyboard.press("1")
    assert not opened.locator(".sample .image").first.is_visible()


def test_arrows_lead_through_the_gallery_and_the_viewer(opened):
    order = keys(opened)
    cards(opened).first.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate("document.activeElement.dataset.key") == order[1]
    opened.keyboard.press("Enter")
    assert opened.is_visible("#viewer") and order[1] in opened.inner_text("#viewer-facts")
    opened.keyboard.press("ArrowRight")
    assert order[2] in opened.inner_text("#viewer-facts")
    assert opened.inner_text("#viewer-place") == "3 of 12"
    opened.keyboard.press("Escape")
    assert not opened.is_visible("#viewer")
    # A dialog tells that it was closed in a task of its own, a moment after it disappears.
    opened.wait_for_function("key => document.activeElement.dataset.key === key", arg=order[2])


def test_light_and_dark(opened):
    def background():
        return opened.evaluate("getComputedStyle(document.body).backgroundColor")

    light = background()
    opened.click("#theme")
    assert background() != light
    bar = opened.evaluate("getComputedStyle(document.querySelector('.plot path[clip-path]')).fill")
    opened.keyboard.press("t")
    assert background() == light
    assert bar != opened.evaluate("getComputedStyle(document.querySelector('.plot path[clip-path]')).fill")


def test_the_rejected_are_found_through_their_reason(opened):
    assert opened.locator(".show-reason").count() == 3
    row = opened.locator("#left-out tr:has-text('rejected')")
    row.locator("button").click()
    refused = [one for one in samples(opened) if one["state"] == "rejected"]
    assert len(refused) == 2 and set(keys(opened)) == {one["key"] for one in refused}
    assert refused[0]["why"] in cards(opened).first.inner_text()
