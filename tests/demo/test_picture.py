from __future__ import annotations

from xml.etree import ElementTree

from headrace.demo.picture import draw
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
    marks = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#a8322a"]
    band = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") == "#f7dcd9")
    left, right = (float(line.get("x1", "0")) for line in marks)
    assert float(band.get("x", "0")) == left
    assert abs(left + float(band.get("width", "0")) - right) < 0.2
