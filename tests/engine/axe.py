"""What axe-core finds wrong with a page for those who can't see it, or can't use a mouse.

All rules of WCAG 2.0 to 2.2, A and AA, and axe's best practices. axe-core comes from npm
(`npm ci --ignore-scripts --prefix tests`); the page's policy lets no foreign script in, so it is
given to the browser past that, by its debugging protocol.
"""

from typing import Any, Final

import pytest

from tests.engine.running import ROOT

SOURCE: Final = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
RULES: Final = [
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice",
]  # fmt: skip
LOOK: Final = """async (tags) => {
  const runOnly = { type: "tag", values: tags };
  const { violations, passes } = await axe.run(document, { runOnly });
  const told = (rule, node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`;
  const broken = violations.flatMap((rule) => rule.nodes.map((node) => told(rule, node)));
  return { passes: passes.length, broken };
}"""


def installed() -> str:
    """axe-core's source; without it the test is skipped, and says how it is had."""
    if not SOURCE.exists():
        pytest.skip("npm ci --ignore-scripts --prefix tests has not been run")
    return SOURCE.read_text()


def faults(page: Any) -> list[str]:
    """Each rule that is broken, where, and how; nothing is left out because of what it is."""
    page.evaluate(f"(() => {{ {installed()} }})()")  # without the braces it answers with itself
    found = page.evaluate(LOOK, RULES)
    assert found["passes"], "axe has looked at nothing"
    return [" ".join(line.split()) for line in found["broken"]]
