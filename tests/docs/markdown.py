"""The Markdown of this project: its fenced blocks, and what the words after a fence ask of the tests.

```console              each `$ ` line is run, and each line below it must be in the output, in order (`...` stands for anything)
```console status=2     each command ends with this exit status (0 where nothing is said)
```console background=A runs on under this name, once it has shown the lines of the block
```console shows=A      the lines appear in what A prints
```console interrupt=A  Ctrl-C for A; then as `shows`
```console kill=A       the end without notice for A
```console norun="why"  not run
```python file=F        written to F; without a file it is run, an `app` in it on a machine in memory
```yaml file=F          a dtios.yaml or, beginning with `profile:`, a profile; loaded, and written to F
```json schema=C        each line fits the schema of the output of `dtios C`
```text help=C          what `dtios C --help` says
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DOCUMENTS", "ROOT", "Block", "anchors", "blocks", "links"]

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of the fence, counted from 1."""

    document: Path
    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def where(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[Block]:
    return list(_blocks(document))


def _blocks(document: Path) -> Iterator[Block]:
    fence, begun = "", 0
    content: list[str] = []
    for number, line in enumerate(document.read_text("utf-8").splitlines(), 1):
        stripped = line.strip()
        if not begun and stripped.startswith("```"):
            fence, begun, content = stripped[3:], number, []
        elif begun and stripped == "```":
            language, *words = shlex.split(fence) or [""]
            options = dict(word.partition("=")[::2] for word in words)
            yield Block(document, begun, language, options, "\n".join(content) + "\n")
            begun = 0
        elif begun:
            content.append(line)
    if begun:
        raise AssertionError(f"{document}:{begun}: a block without an end")


def links(document: Path) -> list[str]:
    """Targets of links and pictures outside of blocks."""
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    return _LINK.findall(text)


def anchors(document: Path) -> set[str]:
    """The names under which a page's headings can be linked to, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
