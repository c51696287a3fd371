"""`python -m benchmarks [--quick] [--json]`: each figure beside its peer in the same run, as a ratio.

Rounds are interleaved (ours, peer, ours, peer), so that a noisy machine is noisy for both. Exit status 1 if a bound is not met.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import FIGURES, Figure, Run, Sizes, Unit

__all__: list[str] = []

FULL = Sizes(rounds=3, values=150_000, items=2_000, trips=100, nodes=50_000)
QUICK = Sizes(rounds=1, values=20_000, items=2_000, trips=20, nodes=500)
LIMIT = 600.0
"""Seconds for one run; a hanging one is a failure."""

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    options = _options()
    sizes = QUICK if options.quick else FULL
    begun = time.perf_counter()
    rows = [row for figure in FIGURES if options.only in figure.title for row in _measure(figure, sizes, options.quick)]
    took = time.perf_counter() - begun
    if options.json:
        print(json.dumps({"quick": options.quick, "seconds": round(took, 1), "figures": rows}, indent=2))
    else:
        _show(rows)
        print(f"{took:.0f} s; medians; a ratio compares with the first peer below it", file=sys.stderr)
    return 0 if all(row.get("met", True) for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small round, under 40 s: for whether it runs, not for figures")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    parser.add_argument("--only", default="", metavar="TEXT", help="only figures whose title contains TEXT")
    return parser.parse_args()


def _measure(figure: Figure, sizes: Sizes, quick: bool) -> list[dict[str, Any]]:
    runs = [run for run in (*figure.ours, *figure.peers) if run.quick or not quick]
    found: dict[str, list[dict[str, Any]]] = {run.name: [] for run in runs}
    with _server(figure, sizes) as url:
        for number in range(min(figure.rounds or sizes.rounds, sizes.rounds)):
            for run in runs:
                print(f"{figure.title}: {run.name}, round {number + 1}", file=sys.stderr)
                found[run.name].append(_once(run, figure, sizes, url))
    return [row for unit in figure.units for row in _rows(figure, unit, runs, found)]


def _rows(figure: Figure, unit: Unit, runs: list[Run], found: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    def median(run: Run) -> float:
        return statistics.median(unit.number(one) for one in found[run.name])

    against = median(figure.peers[0])
    for run in runs:
        ratio = median(run) / against
        pairs = [
            unit.number(one) / unit.number(peer) for one, peer in zip(found[run.name], found[figure.peers[0].name], strict=True)
        ]
        row: dict[str, Any] = {
            "figure": figure.title,
            "of": run.name,
            "unit": unit.title,
            "median": round(median(run), 3),
            "ratio": round(ratio, 2),
            "spread": [round(min(pairs), 2), round(max(pairs), 2)],
        }
        # Processor time is the promise; the rate follows from it and from how many processors there are.
        if run.at_most is not None and unit.bounded:
            row |= {"at_most": run.at_most, "met": ratio <= run.at_most}
        yield row


def _once(run: Run, figure: Figure, sizes: Sizes, url: str) -> dict[str, Any]:
    count = {"live": sizes.trips, "tree": 1}.get(figure.server, int(sizes.values * run.weight))
    module = [
        f"benchmarks.{run.module}",
        *run.arguments,
        url,
        str(count),
        str(_items(figure, sizes) if figure.server == "replay" else 0),
    ]
    command = [a.replace("{url}", url) for a in run.arguments] if run.module == "python" else ["-m", *module]
    with tempfile.TemporaryDirectory() as state:
        environment = {**_environment(), "DTIOS_STATE": state}
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, timeout=LIMIT, check=False)
        elapsed = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{run.name} failed with status {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    result = {} if run.module == "python" else json.loads(done.stdout.splitlines()[-1])
    if result.get("gaps"):
        raise SystemExit(
            f"{run.name} lost values ({result['gaps']} gaps): what was lost cost nothing, so the figure says nothing"
        )
    return {**result, "elapsed": elapsed}


def _items(figure: Figure, sizes: Sizes) -> int:
    return sizes.items if figure.items is None else figure.items


@contextmanager
def _server(figure: Figure, sizes: Sizes) -> Iterator[str]:
    count = {"replay": _items(figure, sizes), "live": 0, "tree": sizes.nodes}.get(figure.server, figure.batch)
    module = "benchmarks.mqtt_server" if figure.batch else "benchmarks.server"
    process = subprocess.Popen(
        [sys.executable, "-m", module, figure.server, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        if not url:
            raise SystemExit(f"the {figure.server} server did not start")
        yield url
    finally:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    """Works in a source tree that is not installed, too."""
    roots = [str(ROOT), *(str(ROOT / name) for name in ("adapters", "apps", "simulators"))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*roots, os.environ.get("PYTHONPATH", "")])}


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table("figure", "of", "unit")
    for column in ("median", "ratio", "of pairs", "bound"):
        table.add_column(column, justify="right")
    last = None
    for row in rows:
        title = row["figure"] if row["figure"] != last else ""
        if title and last is not None:
            table.add_section()
        last = row["figure"]
        bound = "" if "met" not in row else f"{'met' if row['met'] else 'NOT MET'}, at most {row['at_most']:g}"
        table.add_row(
            title,
            row["of"],
            row["unit"],
            f"{row['median']:,.2f}",
            f"{row['ratio']:.2f}",
            "{:.2f} to {:.2f}".format(*row["spread"]),
            bound,
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
