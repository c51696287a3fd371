"""The tables of docs/reference/grades.md, from the rules themselves: `python -m tests.docs.grade_rules` writes them again."""

import re

from dtios.testing.conformance import AdapterConformance, LiveConformance, rules_of
from tests.docs.markdown import ROOT

__all__ = ["PAGE", "with_tables"]

PAGE = ROOT / "docs/reference/grades.md"
_SUITES = (("rules:", AdapterConformance), ("live rules", LiveConformance))


def with_tables(text: str) -> str:
    """The page with the tables as they should be."""
    for mark, suite in _SUITES:
        rows = [
            f"| {rule.id} | {rule.level.value} | {rule.title} | {', '.join(need.value for need in rule.needs)} |"
            for rule in rules_of(suite)
        ]
        table = "\n".join(["| Rule | Level | What holds | Needs |", "|---|---|---|---|", *rows])
        text = re.sub(
            rf"(<!-- {mark}[^\n]*-->\n).*?(<!-- end -->)", lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
