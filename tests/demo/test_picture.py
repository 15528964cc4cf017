from __future__ import annotations

import re
from xml.etree import ElementTree

from headrace.demo.picture import MAX_LANES, STYLE, chosen_lanes, draw
from headrace.demo.timeline import Lane, Outage, Picture, lane_lines, lane_of

SVG = "{http://www.w3.org/2000/svg}"


def lane(example: str = "01-x", run: str = "a") -> Lane:
    instance = {"id": "i", "terminated": True}
    stages = [
        {
            "name": "send",
            "startedAt": "1970-01-01T00:01:40.5Z",
            "terminatedAt": "1970-01-01T00:01:43Z",
            "terminated": True,
        },
        {"name": "delay", "startedAt": "1970-01-01T00:01:43Z", "terminated": False},
    ]
    activity = {
        "name": "CreateTransaction",
        "attempt": 2,
        "startedAt": "1970-01-01T00:01:40.5Z",
        "terminatedAt": "1970-01-01T00:01:43Z",
    }
    return lane_of(example, run, instance, stages, [[activity], []], zero=100.0)


def test_times_are_counted_from_the_beginning() -> None:
    first = lane().stages[0]
    assert (first.started_s, first.ended_s) == (0.5, 3.0)
    assert lane().stages[1].ended_s is None


def test_effects_in_flight_are_those_open_at_the_kill() -> None:
    assert Picture([lane()], Outage(1.0, 2.0)).effects_in_flight == 1
    assert Picture([lane()], Outage(3.5, 4.0)).effects_in_flight == 0


def test_text_shows_attempts_and_the_kill() -> None:
    text = "\n".join(lane_lines(lane(), Outage(1.0, 2.0)))
    assert "CreateTransaction (2 attempts, in flight at the kill)" in text
    assert "1 delay" in text


def test_the_drawing_is_well_formed_whatever_the_names_hold() -> None:
    picture = Picture([lane("<&\"'>", "a"), lane("02-y", "b")], Outage(1.0, 2.0), ["1 < 2 & more"])
    root = ElementTree.fromstring(draw(picture))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "<&\"'> a" in texts
    assert "02-y b" in texts
    assert "kill -9" in texts
    assert not list(root.iter(f"{SVG}script"))


def test_the_outage_lies_between_its_marks() -> None:
    root = ElementTree.fromstring(draw(Picture([lane()], Outage(1.0, 2.0))))
    marks = [line for line in root.iter(f"{SVG}line") if line.get("class") == "rule"]
    band = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "outage")
    left, right = (float(line.get("x1", "0")) for line in marks)
    assert float(band.get("x", "0")) == left
    assert abs(left + float(band.get("width", "0")) - right) < 0.2


def test_every_example_has_a_lane_before_any_has_two() -> None:
    lanes = [lane(f"{number:02}-x", run) for number in range(1, 11) for run in "abc"]
    chosen = chosen_lanes(Picture(lanes, Outage(9.0, 10.0)))
    assert len(chosen) == MAX_LANES
    assert {each.example for each in chosen} == {each.example for each in lanes}
    assert chosen == [each for each in lanes if any(each is one for one in chosen)]


def test_of_one_example_the_interrupted_instance_is_drawn() -> None:
    calm = lane_of("01-x", "a", {"id": "i"}, [], [], zero=100.0)
    lanes = [calm, lane("01-x", "b"), *(lane(f"{number:02}-x") for number in range(2, MAX_LANES + 1))]
    assert [each.run for each in chosen_lanes(Picture(lanes, Outage(1.0, 2.0))) if each.example == "01-x"] == ["b"]


def test_the_colors_are_those_of_the_style_sheet_in_light_and_in_dark() -> None:
    drawn = draw(Picture([lane()], Outage(1.0, 2.0)))
    assert not re.search(r'\b(fill|stroke)="', drawn)
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    for kind in set(re.findall(r'class="([\w-]+)"', drawn)) - {"title", "lane"}:
        assert f".{kind}" in light and f".{kind}" in dark, kind
