"""The mask editor's modules alone, run in the browser: the mask that is seen, pointers, copies for undo."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page


def test_a_thin_line_covers_something_wherever_it_goes_on_a_large_picture(modules: Page) -> None:
    """The mask that is seen is smaller than such a picture; the server's is not."""
    painted = modules.evaluate(
        """async () => {
          const { MaskLayer } = await import("/js/mask/layer.js");
          const layer = new MaskLayer(7000, 5600);
          const painted = [];
          for (let at = 0; at < 40; at += 1) {
            layer.draw({ tool: "brush", size: 1, points: [[100.5 + 97 * at, 100.5 + 61 * at]] });
            painted.push(layer.mask.painted);
          }
          return painted;
        }"""
    )
    assert painted == sorted(set(painted)) and painted[0] > 0, "each click is seen"


def test_a_drawing_that_is_opened_again_is_undone_as_fast_as_before(modules: Page) -> None:
    """Copies of the mask on the way, so that not all strokes are drawn again."""
    counts, same = modules.evaluate(
        """async () => {
          const { MaskLayer } = await import("/js/mask/layer.js");
          const strokes = Array.from({ length: 150 }, (_, at) => (
            { tool: "brush", size: 9, points: [[5 + at, 10], [5 + at, 60]] }
          ));
          const opened = new MaskLayer(200, 80);
          opened.show(strokes);
          const counts = opened.checkpoints.map((one) => one.count);
          opened.show(strokes.slice(0, 149));
          const fresh = new MaskLayer(200, 80);
          fresh.show(strokes.slice(0, 149));
          return [counts, opened.mask.pixels.join() === fresh.mask.pixels.join()];
        }"""
    )
    assert counts == [60, 72, 84, 96, 108, 120, 132, 144]
    assert same


GESTURES = """async (steps) => {
  const { Gestures } = await import("/js/mask/gestures.js");
  const stage = document.createElement("div");
  document.body.append(stage);
  const told = [];
  const tell = (name) => () => told.push(name);
  new Gestures(stage, {
    mode: () => "draw", drawStart: tell("start"), drawMove: () => {}, drawEnd: tell("end"), drawCancel: tell("cancel"),
    pan: tell("pan"), pinch: tell("pinch"), hover: () => {},
  });
  for (const [type, pointerType, pointerId, clientX] of steps)
    stage.dispatchEvent(new PointerEvent(`pointer${type}`, { pointerType, pointerId, clientX, clientY: 9, button: 0 }));
  stage.remove();
  return told;
}"""


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        # The hand that holds a pen touches, during a stroke and before it.
        (
            [("down", "pen", 1, 0), ("down", "touch", 2, 50), ("move", "touch", 2, 60), ("move", "pen", 1, 40),
             ("up", "touch", 2, 60), ("up", "pen", 1, 40)],
            ["start", "end"],
        ),
        (
            [("down", "touch", 2, 50), ("down", "pen", 1, 0), ("move", "pen", 1, 40), ("up", "pen", 1, 40),
             ("up", "touch", 2, 50)],
            ["start", "cancel", "start", "end"],
        ),
        # A second finger: soon it makes a pinch of it, late it ends a stroke that can be undone.
        (
            [("down", "touch", 1, 0), ("down", "touch", 2, 50), ("move", "touch", 2, 90), ("up", "touch", 2, 90),
             ("up", "touch", 1, 0)],
            ["start", "cancel", "pinch"],
        ),
        (
            [("down", "touch", 1, 0), ("move", "touch", 1, 120), ("down", "touch", 2, 50), ("up", "touch", 2, 50),
             ("up", "touch", 1, 120)],
            ["start", "end"],
        ),
    ],
)  # fmt: skip
def test_hands_and_second_fingers_lose_no_stroke(
    modules: Page, steps: list[tuple[str, str, int, int]], told: list[str]
) -> None:
    assert modules.evaluate(GESTURES, steps) == told
