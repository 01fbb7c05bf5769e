"""Nested sums of three numbers, with the steps to their value, as ``arith`` asks for them."""

import random

from headprint.lab.problems import LIMIT, OPERATORS


def expression(rng: random.Random) -> tuple[str, list[str], int]:
    """Draw an expression.

    Returns:
        Its text with brackets, the worked steps, and its value (every intermediate value is 1 to ``LIMIT``).
    """
    text, value = "", rng.randint(2, 20)
    steps: list[str] = []
    for _ in range(2):
        op, operand = rng.choice(_moves(value))
        result = OPERATORS[op](value, operand)
        left = text or str(value)
        text = f"({left}) {op} {operand}" if text else f"{left} {op} {operand}"
        steps.append(f"{value} {op} {operand} = {result}.")
        value = result
    return text, steps, value


def _moves(value: int) -> list[tuple[str, int]]:
    """What can be done to a value without leaving the range, about as many of each operator."""
    moves = [("+", k) for k in range(2, 31, 3) if value + k <= LIMIT]
    moves += [("-", k) for k in range(2, 31, 3) if value - k >= 1]
    moves += [("*", k) for k in range(2, 10) if value <= 9 and value * k <= LIMIT]
    return moves + [("//", k) for k in range(2, 10) if value % k == 0 and value // k <= 9]
