"""Watch it learn: one slider over the stills of the final fit, and the curve that grows on the live page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import RunningSite, photograph
from tests.browser.steps import events_of, order, sign_up, upload
from tests.browser.test_pages import SCREENS, assert_fits

# The final fit is long beside the search, so that a page is there while it goes on.
WATCHED = {"population": 2, "generations": 1, "iterations": 25, "units": 2, "final_iterations": 400}
SECONDS = 240_000


def looked_at(page: Page) -> str:
    """What stands under the still that is seen: the only one."""
    shown = page.get_by_test_id("stills").locator("li[data-shown]")
    expect(shown).to_have_count(1)
    assert shown.locator("img").evaluate("image => image.complete && image.naturalWidth") == 48
    return str(shown.get_attribute("data-iteration"))


@pytest.mark.slow
def test_it_is_watched_while_it_learns_and_again_on_the_result(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), WATCHED)
    page.goto(f"{site.url}/jobs/{job}/")
    watch, rows = page.get_by_test_id("watch"), page.get_by_test_id("watch-table").locator("tbody tr")
    expect(watch).to_be_hidden()
    see_it_grow(page, site)
    page.get_by_test_id("result").wait_for(timeout=SECONDS)

    told = [event for event in events_of(page, site) if event["kind"] == "learning"]
    last: dict[str, Any] = told[-1]
    assert rows.count() == len(last["curve"])
    iterations = [str(iteration) for iteration, _ in last["stills"]]
    assert iterations[0] == "1"
    move_the_slider(page, iterations, str(last["best_iteration"]))
    expect(page.get_by_test_id("watch-words")).to_contain_text(f"after iteration {last['best_iteration']}")
    assert not complaints


def see_it_grow(page: Page, site: RunningSite) -> None:
    """Looks and stills come in while the fit goes on; a page that is loaded again has those that were told."""
    watch, rows = page.get_by_test_id("watch"), page.get_by_test_id("watch-table").locator("tbody tr")
    expect(watch).to_be_visible(timeout=SECONDS)
    expect(rows).not_to_have_count(0, timeout=SECONDS)
    expect(page.get_by_test_id("watch-chart").locator("canvas")).to_be_visible()
    before = rows.count()
    expect(rows).not_to_have_count(before, timeout=SECONDS)
    see_the_marker(page)
    known = rows.count()
    page.reload()
    expect(rows.first).to_be_attached(timeout=30_000)
    assert page.get_by_test_id("live").count(), "the job ended before the page was reloaded: make it longer"
    assert rows.count() >= known
    assert_fits(page)


def see_the_marker(page: Page) -> None:
    """It stands on the curve, as high as the chart."""
    marker, chart = (page.get_by_test_id(f"watch-{part}").bounding_box() for part in ("marker", "chart"))
    assert marker is not None and chart is not None
    assert marker["height"] > 100
    assert chart["y"] <= marker["y"] and marker["y"] + marker["height"] <= chart["y"] + chart["height"]
    assert chart["x"] < marker["x"] < chart["x"] + chart["width"]


def move_the_slider(page: Page, iterations: list[str], taken: str) -> None:
    slider, marker = page.get_by_test_id("watch-slider"), page.get_by_test_id("watch-marker")
    words = re.compile(r"^iteration \d+, \d+\.\d\d dB on held-out pixels, the best of this fit$")
    expect(slider).to_have_attribute("aria-valuetext", words)
    assert looked_at(page) == taken
    expect(marker).to_have_attribute("data-iteration", taken)
    see_the_marker(page)
    slider.press("Home")
    assert looked_at(page) == "1"
    expect(marker).to_have_attribute("data-iteration", "1")
    expect(slider).to_have_attribute("aria-valuetext", "iteration 1")
    left = at_marker(page)
    for iteration in iterations[1:]:
        slider.press("ArrowRight")
        assert looked_at(page) == iteration
        expect(marker).to_have_attribute("data-iteration", iteration)
    assert at_marker(page) > left + 100, "the marker went along the curve"
    slider.press("ArrowRight")
    assert looked_at(page) == iterations[-1], "there it ends"


def at_marker(page: Page) -> float:
    box = page.get_by_test_id("watch-marker").evaluate(
        "marker => (marker.style.transition = 'none', marker.getBoundingClientRect().x)"
    )
    return float(box)


@pytest.mark.slow
def test_on_a_phone_and_without_javascript(browser: Browser, site: RunningSite) -> None:
    wide, complaints = browser.new_context(), Complaints()
    page = wide.new_page()
    sign_up(page, site)
    quick = WATCHED | {"final_iterations": 60}
    job = order(page, site, upload(page, site, photograph(48)), quick)
    page.goto(f"{site.url}/jobs/{job}/")
    page.get_by_test_id("result").wait_for(timeout=SECONDS)
    signed_in = wide.storage_state()
    for options in ({**SCREENS["phone, dark"], "reduced_motion": "reduce"}, {"java_script_enabled": False}):
        context = browser.new_context(**options, storage_state=signed_in)  # type: ignore[arg-type]
        opened = context.new_page()
        complaints.listen(opened)
        opened.goto(f"{site.url}/jobs/{job}/")
        pictures = opened.get_by_test_id("stills").locator("img")
        slider = opened.get_by_test_id("watch-slider")
        if "java_script_enabled" in options:
            assert all(picture.is_visible() for picture in pictures.all()) and pictures.count() > 2
            expect(slider).to_be_hidden()
            expect(opened.get_by_test_id("stills")).to_contain_text("best")
        else:
            expect(slider).to_be_visible()
            assert_fits(opened)
            slider.scroll_into_view_if_needed()
            box = slider.bounding_box()
            assert box is not None and box["height"] >= 44
            opened.touchscreen.tap(box["x"] + 3, box["y"] + box["height"] / 2)
            assert looked_at(opened) == "1"
            duration = opened.get_by_test_id("watch-marker").evaluate(
                "marker => getComputedStyle(marker).transitionDuration"
            )
            assert duration in ("0s", "0ms")
        context.close()
    wide.close()
    assert not complaints


# ------------------------------------------------------------------------------------------------- the modules alone

TOLD: list[dict[str, Any]] = [
    {"of": 100, "curve": [], "stills": [[1, "a"]], "best_iteration": None},
    {"of": 100, "curve": [[25, 15.0], [50, 17.5]], "stills": [[25, "b"], [50, "c"]], "best_iteration": None},
    {"of": 100, "curve": [[25, 15.0]], "stills": [[25, "b"]], "best_iteration": None},  # it had to begin again
    {
        "of": 75, "curve": [[25, 15.0], [50, 17.5], [75, 17.0]], "stills": [[1, "a"], [25, "b"], [50, "c"], [75, "d"]],
        "best_iteration": 50, "iterations": 75, "refit_iterations": 52,
    },
]  # fmt: skip
EVENTS = [
    {"genome": "g", "tile": 0, "tiles": 1, "iterations": None, "refit_iterations": None, **told, "kind": "learning",
     "number": number} for number, told in enumerate(TOLD, start=1)
]  # fmt: skip


def test_looks_and_stills_add_up_and_the_end_tells_all(modules: Page) -> None:
    states = modules.evaluate(
        """async (events) => {
          const { fromSnapshot, reduce } = await import("/js/live/reducer.js");
          let state = fromSnapshot({ state: "finishing" });
          return events.map((event) => (state = reduce(state, event)).learning);
        }""",
        EVENTS,
    )
    assert [[at for at, _ in state["curve"]] for state in states] == [[], [25, 50], [25, 50], [25, 50, 75]]
    assert [len(state["stills"]) for state in states] == [1, 3, 3, 4]
    assert [state["best"] for state in states] == [None, None, None, 50]


def test_what_is_said_of_it(modules: Page) -> None:
    spoken, captions, told, curve, ranges = modules.evaluate(
        """async (events) => {
          const watch = await import("/js/watch/learning.js");
          const end = watch.learningFrom(events[3]);
          const stills = watch.stillsOf(end);
          return [
            stills.map(watch.spoken),
            stills.map(watch.caption),
            [events[1], events[3], { ...events[3], tiles: 6 }, { ...events[3], best_iteration: 75 },
              { ...events[3], curve: [] }].map((event) => watch.sentences(watch.learningFrom(event))),
            watch.described(end.curve, end.best),
            [[], [20], [15, 25]].map(watch.decibelRange),
          ];
        }""",
        EVENTS,
    )
    assert spoken[0] == "iteration 1"
    assert spoken[2] == "iteration 50, 17.50 dB on held-out pixels, the best of this fit"
    assert captions == [
        "iteration 1",
        "iteration 25, 15.00 dB",
        "iteration 50, 17.50 dB, best",
        "iteration 75, 17.00 dB",
    ]
    stopped = "Stopped at iteration 75: held-out pixels were predicted best after iteration 50."
    again = (
        "Then it was fitted again on everything, for 52 iterations; the result is made of second fits alone."
    )
    assert told[:3] == [[], [stopped, again], ["Shown is tile 1 of 6.", stopped, again]]
    assert told[3][0].startswith("It learnt to the last iteration") and "taken" not in told[3][0]
    assert told[4][0].startswith("Nothing was held out")
    assert curve.endswith(
        "from 15.00 dB at iteration 25 to 17.00 dB at iteration 75; best: 17.50 dB at iteration 50."
    )
    assert ranges == [[0, 1], [19.5, 20.5], [14, 26]]


SECTION = """<section data-watch hidden><ol data-watch-stills></ol><input type="range" data-watch-slider hidden>
  <div data-watch-curve hidden><div data-watch-chart></div><span data-watch-marker></span></div>
  <span data-watch-figure></span><div data-watch-words></div>
  <details data-watch-figures><table><tbody data-watch-rows></tbody></table></details></section>"""


def test_the_slider_stays_where_it_was_put_once_a_still_is_taken(modules: Page) -> None:
    """It goes with the newest still, then to the one that is taken; a later event of the end moves nobody's slider."""
    places = modules.evaluate(
        """async ([section, events]) => {
          document.body.innerHTML = section;
          const { learningFrom, withLearning } = await import("/js/watch/learning.js");
          const { Watch } = await import("/js/watch/watch.js");
          const watch = new Watch(document.querySelector("[data-watch]"), () => "data:,");
          const slider = document.querySelector("[data-watch-slider]");
          const at = () => watch.stills[Number(slider.value)].iteration;
          const moved = (value) => { slider.value = value; slider.dispatchEvent(new Event("input")); };
          let known = null;
          const tell = (event) => { known = withLearning(known, event); watch.show(known); };
          const seen = [];
          for (const event of [events[0], events[1], events[3]]) { tell(event); seen.push(at()); }
          moved("3");
          tell(events[3]);
          seen.push(at());
          return seen;
        }""",
        [SECTION, EVENTS],
    )
    assert places == [1, 50, 50, 75]
