"""The page of the linter's rules, made from the rules' own texts."""

from __future__ import annotations

from docs.generator.markdown import code, page, table
from headrace.cli.linting import OF_COMMENTS
from headrace.linting.registry import RULES
from headrace.linting.rule import Level

INTRODUCTION = """`headrace workflows validate` checks valid definitions with these rules: [how to use
it](../how-to/lint.md). An *error* fails the check; a *warning* fails it with `--strict`; a *note* never does. Rules read a
definition as it is written: two texts with the same `${variables}` are the same, and where variables leave something
open, a rule finds only what is certain. Rules about triggers are run where `--trigger` names one."""


def lint_rules_page() -> str:
    rules = [(each.name, each.level, each.about, each.remedy) for each in RULES.values()]
    rules += [(name, *texts) for name, texts in OF_COMMENTS.items()]
    return page(
        "Lint rules",
        INTRODUCTION,
        table(("Rule", "Level"), [(f"[{code(name)}](#{name})", level) for name, level, _, _ in rules]),
        *(_section(*each) for each in rules),
    )


def _section(name: str, level: Level, about: str, remedy: str) -> str:
    return f"## {name}\n\n{level.capitalize()}. {about}\n\n**What to do.** {remedy}"
