"""The pure modules, run where they run: in the browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

SNAPSHOT: dict[str, Any] = {
    "state": "queued",
    "generation": None,
    "generations": 3,
    "population": 2,
    "evaluated": 0,
    "curve": [],
    "best_fitness": None,
    "best_genome": "",
    "last_event": 0,
}
KINDS: list[dict[str, Any]] = [
    {"kind": "queued"},
    {"kind": "started"},
    {"kind": "generation_opened", "generation": 0, "population": 2},
    {"kind": "progress", "genome": "a", "iteration": 3, "of": 9, "held_out_psnr": None, "preview": "a" * 64},
    {
        "kind": "evaluated",
        "generation": 0,
        "slot_genome": "a",
        "fitness": 0.4,
        "reason": None,
        "held_out_psnr": 26.0,
    },
    {"kind": "best", "genome": "a", "fitness": 0.4, "preview": "b" * 64, "held_out_psnr": 26.0},
    {
        "kind": "evaluated",
        "generation": 0,
        "slot_genome": "b",
        "fitness": 0,
        "reason": "diverged",
        "held_out_psnr": None,
    },
    {"kind": "generation_closed", "generation": 0, "best": 0.4, "mean": 0.2, "worst": 0.0},
    {"kind": "generation_opened", "generation": 1, "population": 2},
    {"kind": "pausing"},
    {"kind": "paused", "reason": "", "fault_class": ""},
    {"kind": "resumed"},
    {
        "kind": "evaluated",
        "generation": 1,
        "slot_genome": "c",
        "fitness": 0.5,
        "reason": None,
        "held_out_psnr": 30.0,
    },
    {"kind": "best", "genome": "c", "fitness": 0.5, "preview": "c" * 64, "held_out_psnr": 30.0},
    {"kind": "generation_closed", "generation": 1, "best": 0.5, "mean": 0.45, "worst": 0.4},
    {"kind": "finishing"},
    {
        "kind": "final_progress",
        "genome": "c",
        "iteration": 1,
        "of": 4,
        "held_out_psnr": 31.0,
        "preview": "d" * 64,
    },
]
EVENTS = [
    {**event, "number": number, "at": "2026-01-01T00:00:00Z"} for number, event in enumerate(KINDS, start=1)
]

REDUCE = """async ([snapshot, events]) => {
  const { fromSnapshot, reduce } = await import("/js/live/reducer.js");
  return events.reduce(reduce, fromSnapshot(snapshot));
}"""


def test_events_seen_twice_change_nothing(modules: Page) -> None:
    once = modules.evaluate(REDUCE, [SNAPSHOT, EVENTS])
    twice = modules.evaluate(REDUCE, [SNAPSHOT, [event for event in EVENTS for _ in range(2)]])
    again = modules.evaluate(REDUCE, [SNAPSHOT, EVENTS + EVENTS[3:9]])
    assert once["last"] == len(EVENTS)
    assert once == twice == again


def test_the_state_is_told_by_the_events(modules: Page) -> None:
    state = modules.evaluate(REDUCE, [SNAPSHOT, EVENTS])
    assert state["state"] == "finishing"
    assert [point["best"] for point in state["curve"]] == [0.4, 0.5]
    assert (state["bestFitness"], state["bestGenome"]) == (0.5, "c")
    assert state["bestPreview"] == "d" * 64 and state["bestOfWhole"]
    assert state["current"]["final"] and state["current"]["iteration"] == 1
    assert "Generation 1 closed: best 0.500, mean 0.450." in [line["text"] for line in state["log"]]


def test_a_best_network_without_held_out_pixels_has_no_decibels(modules: Page) -> None:
    """Its fitness is another score: nothing may be read out of it as a PSNR."""
    best = next(index for index, event in enumerate(EVENTS) if event["kind"] == "best")
    assert modules.evaluate(REDUCE, [SNAPSHOT, EVENTS[: best + 1]])["bestPsnr"] == 26.0
    told = {**EVENTS[best], "held_out_psnr": None}
    state = modules.evaluate(REDUCE, [SNAPSHOT, [*EVENTS[:best], told]])
    assert (state["bestFitness"], state["bestPsnr"]) == (0.4, None)


def test_tiles_of_the_final_fit_are_counted_and_no_preview_of_one_stands_for_the_whole(modules: Page) -> None:
    tile = {
        **EVENTS[-1],
        "number": len(EVENTS) + 1,
        "tile": 3,
        "tiles": 9,
        "done": 2,
        "fits": 9,
        "preview": "e" * 64,
    }
    state = modules.evaluate(REDUCE, [SNAPSHOT, [*EVENTS[:-1], tile]])
    assert state["finals"] == {"tiles": 9, "done": 2, "fits": 9}
    assert state["bestPreview"] == "c" * 64 and not state["bestOfWhole"]
    assert state["current"]["preview"] == "e" * 64
    said = modules.evaluate(
        """async (state) => (await import("/js/live/words.js")).nowSentence(state)""", state
    )
    assert said.endswith("in 9 tiles: 2 of 9 fits are done.")


def test_once_all_networks_are_done_no_time_is_told_for_what_nobody_estimates(modules: Page) -> None:
    said = modules.evaluate(
        """async ([snapshot, finals]) => {
          const { fromSnapshot } = await import("/js/live/reducer.js");
          const { leftSentence, nowSentence } = await import("/js/live/words.js");
          return finals.map((done) => {
            const told = { ...snapshot, state: "finishing", seconds_left: 300, finals: { tiles: 1, done, fits: 2 } };
            const state = fromSnapshot(told);
            return [leftSentence(state, 0), nowSentence(state)];
          });
        }""",
        [SNAPSHOT, [1, 2]],
    )
    assert said == [
        ["about 5 min left", "The search is over. The best networks now restore the whole picture."],
        [
            "",
            "The networks are done. The result is put together, and methods without a network are computed beside it.",
        ],
    ]


def test_the_log_tells_what_broke_off(modules: Page) -> None:
    said = modules.evaluate(
        """async (events) => {
          const { sentence } = await import("/js/live/reducer.js");
          return events.map(sentence);
        }""",
        [{"kind": "fault", "class": "memory", "genome": name, "detail": "too much"} for name in ("a", "")],
    )
    assert said == ["A network's run broke off (memory): too much", "A step broke off (memory): too much"]


def test_work_after_a_pause_says_that_the_job_runs(modules: Page) -> None:
    resumed = next(index for index, event in enumerate(EVENTS) if event["kind"] == "resumed")
    assert modules.evaluate(REDUCE, [SNAPSHOT, EVENTS[: resumed + 1]])["state"] == "queued"
    assert modules.evaluate(REDUCE, [SNAPSHOT, EVENTS[: resumed + 2]])["state"] == "running"


def test_a_missing_worker_comes_before_the_place_and_goes_with_the_first_work(modules: Page) -> None:
    wanted = "No worker is running; the job goes on as soon as one is."
    said = modules.evaluate(
        """async ([snapshot, wanted, events]) => {
          const { fromSnapshot, reduce, withSnapshot } = await import("/js/live/reducer.js");
          const { leftSentence, nowSentence } = await import("/js/live/words.js");
          const first = fromSnapshot({ ...snapshot, place_in_queue: 1 });
          const away = { ...snapshot, place_in_queue: 3, waits_for: wanted };
          const running = events.slice(0, 4).reduce(reduce, first);
          const stuck = withSnapshot(running, { ...away, state: "running", seconds_left: 300, last_event: 4 });
          const paused = { ...stuck, state: "paused", reason: "" };
          return [
            ...[first, withSnapshot(first, away), stuck, paused, reduce(stuck, events[4])].map(nowSentence),
            leftSentence(stuck, 0),
          ];
        }""",
        [SNAPSHOT, wanted, EVENTS],
    )
    assert said == [
        "Next in the queue.",
        f"{wanted} Place 3 in the queue.",
        f"{wanted} First generation of at most 3, 0 of 2 networks.",
        "Paused. Everything so far is kept.",
        "First generation of at most 3, 1 of 2 networks.",
        "",
    ]


def test_the_time_left_is_said_as_a_person_says_it(modules: Page) -> None:
    said = modules.evaluate(
        """async (snapshot) => {
          const { fromSnapshot } = await import("/js/live/reducer.js");
          const { leftSentence } = await import("/js/live/words.js");
          const at = (seconds_left, since) =>
            leftSentence(fromSnapshot({ ...snapshot, state: "running", seconds_left }), since);
          return [at(null, 9), at(30, 2), at(190, 10), at(7200, 0), at(20, 21),
            leftSentence(fromSnapshot({ ...snapshot, state: "paused", seconds_left: 30 }), 0)];
        }""",
        SNAPSHOT,
    )
    assert said == [
        "time left: known after the first networks",
        "less than a minute left",
        "about 3 min left",
        "about 2.0 h left",
        "a little longer than estimated",
        "",
    ]


def test_a_later_snapshot_counts_no_network_twice(modules: Page) -> None:
    # The snapshot is of event 5, of which the page has seen the first three.
    state = modules.evaluate(
        """async ([first, later, events]) => {
          const { fromSnapshot, reduce, withSnapshot } = await import("/js/live/reducer.js");
          const early = events.slice(0, 3).reduce(reduce, fromSnapshot(first));
          return events.slice(3, 5).reduce(reduce, withSnapshot(early, later));
        }""",
        [
            SNAPSHOT,
            {**SNAPSHOT, "state": "running", "generation": 0, "evaluated": 1, "last_event": 5},
            EVENTS,
        ],
    )
    assert state["evaluated"] == 1


def test_zoom_keeps_what_lies_under_the_pointer(modules: Page) -> None:
    rng = np.random.default_rng(3)
    cases = [
        [{"scale": float(s), "x": float(x), "y": float(y)}, float(to), [float(a), float(b)]]
        for s, x, y, to, a, b in zip(
            rng.uniform(0.1, 20, 40),
            *rng.uniform(-900, 900, (2, 40)),
            rng.uniform(0.01, 99, 40),
            *rng.uniform(0, 800, (2, 40)),
            strict=True,
        )
    ]
    found = modules.evaluate(
        """async (cases) => {
          const { toPicture, zoomedTo } = await import("/js/mask/viewport.js");
          return cases.map(([viewport, scale, at]) => {
            const after = zoomedTo(viewport, scale, at, 0.5);
            return [toPicture(viewport, at), toPicture(after, at), after.scale];
          });
        }""",
        cases,
    )
    for before, after, scale in found:
        assert before == pytest.approx(after, abs=1e-6)
        assert 0.5 <= scale <= 64


def test_two_fingers_keep_the_picture_between_them(modules: Page) -> None:
    before, after, scale = modules.evaluate(
        """async () => {
          const { pinched, toPicture } = await import("/js/mask/viewport.js");
          const viewport = { scale: 2, x: -40, y: 15 };
          const next = pinched(viewport, [[100, 100], [200, 100]], [[120, 130], [320, 130]], 0.1);
          return [toPicture(viewport, [150, 100]), toPicture(next, [220, 130]), next.scale];
        }"""
    )
    assert before == pytest.approx(after)
    assert scale == pytest.approx(4)


def test_a_picture_cannot_be_lost(modules: Page) -> None:
    kept = modules.evaluate(
        """async () => {
          const { keptInSight } = await import("/js/mask/viewport.js");
          const view = { width: 400, height: 300 };
          const picture = { width: 100, height: 100 };
          return [[-5000, -5000], [5000, 5000]].map(([x, y]) => keptInSight({ scale: 1, x, y }, view, picture));
        }"""
    )
    assert kept == [{"scale": 1, "x": -52, "y": -52}, {"scale": 1, "x": 352, "y": 252}]


def test_undo_is_as_long_as_the_list(modules: Page) -> None:
    done, undone, again, cut = modules.evaluate(
        """async () => {
          const { drawingOf, redo, undo, withStroke } = await import("/js/mask/strokes.js");
          let drawing = drawingOf();
          for (let size = 1; size <= 300; size += 1) {
            drawing = withStroke(drawing, { tool: "brush", size, points: [[1, 1]] });
          }
          let back = drawing;
          for (let i = 0; i < 400; i += 1) back = undo(back);
          let forth = back;
          for (let i = 0; i < 400; i += 1) forth = redo(forth);
          const other = withStroke(undo(drawing), { tool: "clear" });
          return [drawing.done.length, back.done.length, JSON.stringify(forth) === JSON.stringify(drawing), other.undone.length];
        }"""
    )
    assert (done, undone, again, cut) == (300, 0, True, 0)


def test_undo_through_checkpoints_shows_what_a_fresh_drawing_shows(modules: Page) -> None:
    differing = modules.evaluate(
        """async () => {
          const { MaskLayer } = await import("/js/mask/layer.js");
          const { drawMask } = await import("/js/mask/raster.js");
          const layer = new MaskLayer(60, 40);
          const strokes = [];
          let seed = 7;
          const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
          for (let i = 0; i < 60; i += 1) {
            const tool = i % 17 === 16 ? "invert" : i % 3 ? "brush" : "eraser";
            strokes.push(tool === "invert" ? { tool } : { tool, size: 1 + random() * 9,
              points: [[random() * 60, random() * 40], [random() * 60, random() * 40]] });
            layer.draw(strokes[i]);
            layer.settled(strokes.length);
          }
          let differing = 0;
          for (const count of [59, 49, 24, 23, 0, 31, 60]) {
            layer.show(strokes.slice(0, count));
            const fresh = drawMask(strokes.slice(0, count), 60, 40);
            differing += fresh.pixels.some((value, at) => value !== layer.mask.pixels[at]) ? 1 : 0;
            differing += fresh.painted === layer.mask.painted ? 0 : 1;
          }
          return differing;
        }"""
    )
    assert differing == 0


def test_the_smallest_brush_paints_the_pixel_under_the_pointer(modules: Page) -> None:
    painted = modules.evaluate(
        """async () => {
          const { stored } = await import("/js/mask/strokes.js");
          const { drawMask } = await import("/js/mask/raster.js");
          const point = stored([3.99, 2.01], 1);
          const mask = drawMask([{ tool: "brush", size: 1, points: [point] }], 8, 8);
          return [...mask.pixels].flatMap((value, at) => (value ? [at] : []));
        }"""
    )
    assert painted == [2 * 8 + 3]


def test_events_come_in_order_once_where_no_socket_opens(modules: Page, complaints: list[str]) -> None:
    """The socket's address is refused by this server; every event arrives by asking, whatever page size."""
    numbers, words = modules.evaluate(
        """async () => {
          const { EventStream } = await import("/js/event_stream.js");
          const all = Array.from({ length: 450 }, (_, at) => ({ number: at + 1, kind: "progress" }));
          let known = 3;
          const numbers = [], words = [];
          await new Promise((resolve) => {
            const stream = new EventStream({
              after: 0,
              socketUrl: () => `ws://${location.host}/nowhere`,
              fetchEvents: async (after) => {
                const events = all.slice(after, Math.min(known, after + 200));
                known = 450;
                return { events };
              },
              onEvents: (events) => {
                numbers.push(...events.map((event) => event.number));
                if (numbers.length === 450) { stream.stop(); resolve(); }
              },
              onConnection: (word) => words.push(word),
              random: () => 0,
            });
            stream.start();
          });
          return [numbers, words];
        }"""
    )
    assert numbers == list(range(1, 451))
    assert words[0] == "catching up"
    assert complaints and all("WebSocket" in text for text in complaints)


def test_waits_grow_and_differ(modules: Page) -> None:
    waits = modules.evaluate(
        """async () => {
          const { backOff } = await import("/js/event_stream.js");
          return [1, 2, 3, 12].map((failures) => [backOff(failures, () => 0), backOff(failures, () => 1)]);
        }"""
    )
    assert waits == [[250, 500], [500, 1000], [1000, 2000], [10_000, 20_000]]
