"""Names that nothing has: an error that says what was probably meant."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dtios.cli.group import did_you_mean
from dtios.model.errors import ConfigurationError

__all__ = ["DEFAULT_CONFIG", "unknown_machine", "unknown_path"]

DEFAULT_CONFIG: Final = Path("dtios.yaml")


def unknown_machine(name: str, known: list[str], file: Path | None) -> ConfigurationError:
    """`known` are the names at hand, `file` the configuration where there is one."""
    if file is None and not known:
        path = " or check the path" if "/" in name else ""
        return ConfigurationError(
            f"no machine is called {name!r}, and there is no {DEFAULT_CONFIG} here",
            where=name,
            mend=f"give a URL as opc.tcp://HOST:4840, name the file with --config{path}",
        )
    mend = did_you_mean(name, known) or f"known are {', '.join(sorted(known)) or 'none'}"
    return ConfigurationError(f"no machine is called {name!r}", where=str(file or name), mend=mend)


def unknown_path(what: str, path: str, known: Iterable[str], machine: str) -> ConfigurationError:
    """`what` is `signal` or `skill`."""
    mend = did_you_mean(path, known) or f"`dtios describe {machine}` lists its {what}s"
    return ConfigurationError(f"it has no {what} {path!r}", where=machine, mend=mend)
