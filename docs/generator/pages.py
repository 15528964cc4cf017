"""Every page that is generated, by its name below `docs`."""

from __future__ import annotations

from docs.generator.commands import commands_page
from docs.generator.errors import errors_page
from docs.generator.expressions import expressions_page
from docs.generator.lint_rules import lint_rules_page
from docs.generator.metrics import metrics_page
from docs.generator.models import models_page
from docs.generator.operations import REFUSAL, beside_page, record, version_page
from docs.generator.settings import settings_page
from docs.generator.stages import stages_page


def pages() -> dict[str, str]:
    answers = record()
    return {
        "reference/orchestration-v1.md": version_page("v1", answers),
        "reference/orchestration-v2.md": version_page("v2", answers),
        "reference/beside-the-api.md": beside_page(answers),
        "reference/models.md": models_page(),
        "reference/stages.md": stages_page(),
        "reference/lint-rules.md": lint_rules_page(),
        "reference/command-line.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/metrics.md": metrics_page(),
        "reference/errors.md": errors_page(answers[REFUSAL]),
        "reference/expressions.md": expressions_page(),
    }
