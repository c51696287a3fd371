"""Mutations without coverage, for the quick run: the same for the same seed on every machine."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "corpus", "mutations"]

CORPUS: Final = Path(__file__).with_name("corpus")
_NUMBERS: Final = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 2)


def corpus(name: str) -> list[bytes]:
    """The kept inputs, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            _mutate(data, chance, seeds)
        yield bytes(data)


def _mutate(data: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    """The first two bytes, which choose the reader, stay."""
    at = chance.randrange(2, len(data) + 1) if len(data) >= 2 else 0
    match chance.randrange(6):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            number = chance.choice(_NUMBERS).to_bytes(4, "little")[: chance.choice((1, 2, 4))]
            data[at : at + len(number)] = number
        case 2:
            del data[at : at + chance.randint(1, 8)]
        case 3:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        case 4:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other) + 1) :]
        case _:
            data[at:at] = data[at : at + chance.randint(1, 64)] * chance.choice((1, 2, 16))
