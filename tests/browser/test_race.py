"""What the live page makes of a race: a network's dot shows its latest fitness, and the sentence says the round."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

SNAPSHOT: dict[str, Any] = {
    "state": "running", "generation": None, "generations": 3, "population": 4, "evaluated": 0, "curve": [],
    "best_fitness": None, "best_genome": "", "last_event": 0,
}  # fmt: skip


def opened(rung: int, networks: int, share: float) -> dict[str, Any]:
    return {
        "kind": "rung_opened",
        "generation": 0,
        "rung": rung,
        "rungs": 3,
        "share": share,
        "networks": networks,
    }


def evaluated(genome: str, rung: int, fitness: float) -> dict[str, Any]:
    return {
        "kind": "evaluated", "generation": 0, "rung": rung, "slot_genome": genome, "fitness": fitness, "reason": None,
        "held_out_psnr": 20.0,
    }  # fmt: skip


EVENTS = [
    {**event, "number": number, "at": "2026-01-01T00:00:00Z"}
    for number, event in enumerate(
        [
            {"kind": "generation_opened", "generation": 0, "population": 4, "networks": 4},
            opened(0, 4, 0.075),
            *(evaluated(genome, 0, fitness) for genome, fitness in zip("abcd", (0.1, 0.4, 0.2, 0.3), strict=True)),
            opened(1, 2, 0.225),
            evaluated("d", 1, 0.5),
            {"kind": "generation_opened", "generation": 1, "population": 4, "networks": 3},
        ],
        start=1,
    )
]  # fmt: skip
REDUCED = """async ([snapshot, events]) => {
  const { fromSnapshot, reduce } = await import("/js/live/reducer.js");
  const { nowSentence } = await import("/js/live/words.js");
  const state = events.reduce(reduce, fromSnapshot(snapshot));
  return [state, nowSentence(state)];
}"""


def test_a_network_has_one_dot_with_its_latest_fitness(modules: Page) -> None:
    state, sentence = modules.evaluate(REDUCED, [SNAPSHOT, EVENTS[:8]])
    assert [(one["genome"], one["rung"], one["fitness"]) for one in state["individuals"]] == [
        ("a", 0, 0.1), ("b", 0, 0.4), ("c", 0, 0.2), ("d", 1, 0.5),
    ]  # fmt: skip
    assert (state["rung"], state["rungs"], state["population"], state["evaluated"]) == (1, 3, 2, 1)
    assert sentence == "First generation of at most 3, round 2 of 3 (23 % of the training), 1 of 2 networks."
    assert [line["text"] for line in state["log"]] == [
        "Generation 0 opened with 4 networks.",
        "Round 2 of 3: the best go on, trained for longer.",
    ]


def test_the_next_generation_begins_in_the_first_round(modules: Page) -> None:
    state, _ = modules.evaluate(REDUCED, [SNAPSHOT, EVENTS])
    assert (state["generation"], state["rung"], state["individuals"]) == (1, 0, [])


def test_a_page_that_joins_late_shows_the_same(modules: Page) -> None:
    early, _ = modules.evaluate(REDUCED, [SNAPSHOT, EVENTS[:8]])
    later = SNAPSHOT | {
        "generation": 0, "rung": 1, "rungs": 3, "rung_share": 0.225, "networks": 2, "evaluated": 1, "last_event": 8,
        "individuals": [
            {name: one[name] for name in ("slot_genome", "rung", "fitness", "reason", "held_out_psnr")}
            for one in (EVENTS[2], EVENTS[3], EVENTS[4], EVENTS[7])
        ],
    }  # fmt: skip
    joined, _ = modules.evaluate(REDUCED, [later, []])
    shown = ("individuals", "generation", "rung", "rungs", "rungShare", "population", "evaluated")
    assert {name: joined[name] for name in shown} == {name: early[name] for name in shown}


def test_a_snapshot_of_another_round_does_not_disturb_the_count(modules: Page) -> None:
    later = {"generation": 0, "rung": 1, "rungs": 3, "networks": 2, "evaluated": 1, "last_event": 8}
    counted = modules.evaluate(
        """async ([first, later, events]) => {
          const { fromSnapshot, reduce, withSnapshot } = await import("/js/live/reducer.js");
          const early = events.slice(0, 6).reduce(reduce, fromSnapshot(first));
          const state = events.slice(6).reduce(reduce, withSnapshot(early, later));
          return [state.population, state.evaluated];
        }""",
        [SNAPSHOT, SNAPSHOT | later, EVENTS[:8]],
    )
    assert counted == [2, 1]


def test_a_bar_of_the_strip_says_how_far_its_network_went(modules: Page) -> None:
    titles = modules.evaluate(
        """async ([snapshot, events]) => {
          const { fromSnapshot, reduce } = await import("/js/live/reducer.js");
          const { showStrip } = await import("/js/live/strip.js");
          const state = events.reduce(reduce, fromSnapshot(snapshot));
          const list = document.createElement("ol");
          showStrip(list, state.individuals, state.population, state.evaluated, true);
          return [...list.children].map((item) => item.title);
        }""",
        [SNAPSHOT, EVENTS[:8]],
    )
    assert titles == ["fitness 0.500, round 2", "fitness 0.400", "fitness 0.200", "fitness 0.100"]
