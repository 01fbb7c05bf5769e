"""What the colors of heat maps mean, in the terminal and in files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headprint.patterns import Pattern, reading_of

# Nine colors of matplotlib's viridis and RdBu_r, evenly spaced.
_RAMPS = {
    "viridis": bytes.fromhex("440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725"),
    "RdBu_r": bytes.fromhex("053061 2a71b2 6bacd1 c2ddec f7f6f6 fbccb4 e48066 ba2832 67001f"),
}
# The same without color: the more ink, the further from 0.
_SHADES = " ░▒▓█"
_LOWERED = " -=≡#"


def unit(pattern: Pattern) -> str:
    """Name the quantity and unit of a pattern's values, for legends and axes."""
    origin = pattern.provenance
    if origin.get("operation") == "/":
        return "relative change"
    reading = reading_of(origin) or "level"
    while "operation" in origin:
        origin = next(operand for operand in origin["operands"] if isinstance(operand, dict))
    objective, measured_in = ("ℓ", "log odds") if origin.get("objective") == "margin" else ("L", "nats")
    level = f"Σ A·∂{objective}/∂A"
    if reading != "signed":
        level = f"Σ |z·∂{objective}/∂z|" if origin.get("placement") == "token" else f"|{level}|"
    if reading == "share":
        level, measured_in = "share of all heads", ""
    if reading == "elasticity":
        level, measured_in = f"{level} / L", "per nat of loss"
    if pattern.kind == "change":
        return f"change ({measured_in or level})"
    return f"{level} ({measured_in})" if measured_in else level


@dataclass(frozen=True)
class Scale:
    """A scale of values, and the color of each.

    Attributes:
        high: Value of the last color.
        diverging: Whether the first color stands for ``-high``; else it stands for 0.
    """

    high: float
    diverging: bool

    @classmethod
    def of(cls, *patterns: Pattern) -> Scale:
        """Make the scale that some patterns share."""
        values = np.concatenate([pattern.values.ravel() for pattern in patterns])
        values = values[np.isfinite(values)]
        signed = any(pattern.kind == "change" for pattern in patterns) or bool((values < 0).any())
        return cls(float(np.abs(values).max(initial=0.0)), signed)

    @property
    def low(self) -> float:
        """Value of the first color."""
        return -self.high if self.diverging else 0.0

    @property
    def colormap(self) -> str:
        """Name of the color map in matplotlib."""
        return "RdBu_r" if self.diverging else "viridis"

    def position(self, value: float) -> float:
        """Return where a value lies between the first color, 0, and the last, 1."""
        share = min(1.0, max(-1.0, value / self.high)) if self.high else 0.0
        return (share + 1) / 2 if self.diverging else max(0.0, share)

    def color(self, position: float) -> tuple[int, int, int]:
        """Return red, green and blue, 0 to 255."""
        ramp = _RAMPS[self.colormap]
        place = position * (len(ramp) // 3 - 1)
        first = min(int(place), len(ramp) // 3 - 2)
        left, right = (ramp[3 * index : 3 * index + 3] for index in (first, first + 1))
        red, green, blue = (round(a + (b - a) * (place - first)) for a, b in zip(left, right, strict=True))
        return red, green, blue

    def shade(self, position: float) -> str:
        """Return one character; there are few shades, so they follow the square root, and small values show."""
        ink = abs(2 * position - 1) if self.diverging else position
        shades = _LOWERED if self.diverging and position < 0.5 else _SHADES
        return shades[min(int(ink**0.5 * len(shades)), len(shades) - 1)]
