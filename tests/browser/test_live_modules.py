"""Pure modules of the live page, run where they run: in the browser."""

from __future__ import annotations

from playwright.sync_api import Page


def test_bars_of_the_population_stay_where_they_are(modules: Page) -> None:
    kept, told = modules.evaluate(
        """async () => {
          const { showStrip } = await import("/js/live/strip.js");
          const list = document.createElement("ol");
          const one = (genome, fitness) => ({ genome, fitness, rung: 0, reason: null });
          showStrip(list, [one("a", 0.4)], 3, 1, true);
          const bars = [...list.children];
          showStrip(list, [one("a", 0.4), one("b", 0.6)], 3, 2, true);
          const same = bars.every((bar, at) => bar === list.children[at]);
          const told = [...list.children].map((bar) => [bar.dataset.kind, bar.title, bar.textContent]);
          showStrip(list, [one("a", 0.4)], 1, 1, true);
          return [same && list.children.length === 1, told];
        }"""
    )
    assert kept
    assert told == [
        ["best", "fitness 0.600", "fitness 0.600"],
        ["evaluated", "fitness 0.400", "fitness 0.400"],
        ["waiting", "waiting", "waiting"],
    ]


def test_generations_are_counted_as_people_do(modules: Page) -> None:
    said = modules.evaluate(
        """async () => {
          const { ordinal } = await import("/js/live/words.js");
          return [0, 9, 10, 11, 12, 20, 21, 22, 23, 99].map(ordinal);
        }"""
    )
    assert said == ["first", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "24th", "100th"]
