"""A flow of funds in a notebook: the last line of a cell draws it.

from headrace.pictures.notebook import Picture
Picture(client.orchestration.ext.read_flow(instance_id=instance_id).data)
"""

from __future__ import annotations

import msgspec

from headrace.pictures.documents import read_flow
from headrace.pictures.svg import svg
from headrace.pictures.text import text_lines


class Picture:
    """The picture of a flow, from the response of `GET .../flow` or from the client's object of it."""

    def __init__(self, flow: object) -> None:
        """Read the flow. Raises LookupError where one of its members is missing."""
        self._flow = read_flow(msgspec.to_builtins(flow))

    def _repr_svg_(self) -> str:
        return svg(self._flow)

    def __repr__(self) -> str:
        """The flow as text, where no SVG can be shown."""
        return "\n".join(text_lines(self._flow))
