"""Machines that cannot be reached though the session with what is between stands: an edge node that died behind a broker."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["UNHEARD", "Absences"]

UNHEARD: Final = "not heard of yet"


class Absences:
    """By the address of a machine's own node, with the reason. One that is not in here can be reached as far as is known."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}
        self.listener: Callable[[Sequence[str]], None] | None = None
        """Told of the addresses for which something changed."""

    def why(self, address: str) -> str:
        return self._why.get(address, "")

    def tell(self, addresses: Iterable[str], why: str) -> None:
        changed = [address for address in addresses if self._why.get(address, "") != why]
        for address in changed:
            if why:
                self._why[address] = why
            else:
                del self._why[address]
        if changed and self.listener is not None:
            self.listener(changed)

    def compare(self, there: Sequence[str], known: Sequence[str]) -> None:
        """`there` was heard of; of what is `known` beyond that nothing was, so far."""
        self.tell([address for address in there if self.why(address) == UNHEARD], "")
        heard = set(there)
        self.tell([address for address in known if address not in heard and not self.why(address)], UNHEARD)
