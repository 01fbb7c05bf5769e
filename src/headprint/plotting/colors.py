"""What the colours of heat maps mean, in the terminal and in files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headprint.patterns.pattern import Pattern

# Nine colours of matplotlib's viridis and RdBu_r, evenly spaced.
_RAMPS = {
    "viridis": bytes.fromhex("440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725"),
    "RdBu_r": bytes.fromhex("053061 2a71b2 6bacd1 c2ddec f7f6f6 fbccb4 e48066 ba2832 67001f"),
}
# The same without colour: the more ink, the further from 0.
_SHADES = " ░▒▓█"
_LOWERED = " -=≡#"


def unit(pattern: Pattern) -> str:
    """What the numbers of a pattern are, for legends and axes."""
    origin = pattern.provenance
    if pattern.kind == "change":
        return "relative change" if origin.get("operation") == "/" else "change (nats)"
    level = {"none": "Σ A·∂L/∂A", "token": "Σ |z·∂L/∂z|"}
    return f"{level.get(str(origin.get('placement')), '|Σ A·∂L/∂A|')} (nats)"


@dataclass(frozen=True)
class Scale:
    """What the colours of heat maps mean.

    Attributes:
        high: Value of the last colour.
        diverging: Whether the first colour stands for ``-high``; else it stands for 0.
    """

    high: float
    diverging: bool

    @classmethod
    def of(cls, *patterns: Pattern) -> Scale:
        """The scale that some patterns share."""
        values = np.concatenate([pattern.values.ravel() for pattern in patterns])
        values = values[np.isfinite(values)]
        signed = any(pattern.kind == "change" for pattern in patterns) or bool((values < 0).any())
        return cls(float(np.abs(values).max(initial=0.0)), signed)

    @property
    def low(self) -> float:
        """Value of the first colour."""
        return -self.high if self.diverging else 0.0

    @property
    def colours(self) -> str:
        """The colour map's name in matplotlib."""
        return "RdBu_r" if self.diverging else "viridis"

    def position(self, value: float) -> float:
        """Where a value lies between the first colour, 0, and the last, 1."""
        share = min(1.0, max(-1.0, value / self.high)) if self.high else 0.0
        return (share + 1) / 2 if self.diverging else max(0.0, share)

    def colour(self, position: float) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        ramp = _RAMPS[self.colours]
        place = position * (len(ramp) // 3 - 1)
        first = min(int(place), len(ramp) // 3 - 2)
        left, right = (ramp[3 * index : 3 * index + 3] for index in (first, first + 1))
        red, green, blue = (round(a + (b - a) * (place - first)) for a, b in zip(left, right, strict=True))
        return red, green, blue

    def shade(self, position: float) -> str:
        """One character; few shades, so they follow the root of the value and small ones show."""
        ink = abs(2 * position - 1) if self.diverging else position
        shades = _LOWERED if self.diverging and position < 0.5 else _SHADES
        return shades[min(int(ink**0.5 * len(shades)), len(shades) - 1)]
