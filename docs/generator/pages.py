"""Every page that is generated, by its name below `docs`."""

from __future__ import annotations

from docs.generator.models import models_page
from docs.generator.operations import beside_page, record, version_page


def pages() -> dict[str, str]:
    answers = record()
    return {
        "reference/orchestration-v1.md": version_page("v1", answers),
        "reference/orchestration-v2.md": version_page("v2", answers),
        "reference/beside-the-api.md": beside_page(answers),
        "reference/models.md": models_page(),
    }
