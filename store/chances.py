"""Seeded chance: the same parts give the same answer on every machine. Pure."""

import hashlib
import json
import math


def chance(*parts: object) -> float:
    """Return a number from 0 (included) to 1 (not included) that is made from the parts; spread evenly over many parts."""
    told = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8")).digest()
    return int.from_bytes(told[:6], "big") / 2**48


def places(first: int, last: int, share: float, *seed: object) -> set[int]:
    """Return a seeded share (0-0.5) of the positions `first` to `last`: one in each stretch of 1 / share positions, anywhere in it.

    So they are not regular, which people would learn, and not clustered. One hash a stretch.
    """
    if share <= 0:
        return set()
    stretches = range(math.floor(first * share), math.floor((last + 1) * share) + 1)
    chosen = {math.floor((stretch + chance(*seed, stretch)) / share) for stretch in stretches}
    return {position for position in chosen if first <= position <= last}
