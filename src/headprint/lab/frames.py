"""What people do to each other and why: the sentences behind ``coref`` and the stories of the pretraining text.

In each frame a pronoun after "because" means the one who acts (A) or the other one (B); frames come in pairs so that
neither the order of the names nor the reason alone tells which.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from headprint.lab.world import TOOLS, Person

_SOURCE = """
B | {A} lent {B} a {x} | needed it
A | {A} borrowed a {x} from {B} | needed it
B | {A} thanked {B} | had found the {x}
A | {A} called {B} | had found the {x}
B | {A} scolded {B} | had broken the {x}
A | {A} said sorry to {B} | had broken the {x}
B | {A} showed {B} the way | was lost
A | {A} asked {B} the way | was lost
B | {A} bought a {x} from {B} | wanted money
A | {A} sold {B} a {x} | wanted money
B | {A} gave bread to {B} | was hungry
A | {A} took bread from {B} | was hungry
B | {A} carried {B} home | was hurt
A | {A} leaned on {B} | was hurt
B | {A} lost the race to {B} | was faster
A | {A} won the race against {B} | was faster
B | {A} comforted {B} | was afraid
A | {A} hid behind {B} | was afraid
B | {A} paid {B} | had mended the {x}
A | {A} asked {B} for coins | had mended the {x}
"""


@dataclass(frozen=True)
class Frame:
    """A sentence: ``act`` because ``reason``.

    Attributes:
        who: Whom the reason is about: ``"A"``, who acts, or ``"B"``.
        act: Who does what to whom, with ``{A}``, ``{B}`` and maybe a thing, ``{x}``.
        reason: Why, without its pronoun.
    """

    who: str
    act: str
    reason: str


FRAMES = tuple(Frame(*(part.strip() for part in line.split("|"))) for line in _SOURCE.strip().splitlines())


@dataclass(frozen=True)
class Scene:
    """A frame with people and a thing put in."""

    act: str
    reason: str
    pronoun: str
    first: Person
    second: Person
    meant: Person

    @property
    def key(self) -> str:
        """What two scenes share that are the same item: who does what to whom, and why."""
        return f"scene {self.act} because {self.reason}"


def scene(rng: random.Random, cast: Sequence[Person]) -> Scene:
    """Draw a scene between two people, in either order; the pronoun is that of the one who is meant."""
    frame = rng.choice(FRAMES)
    first, second = rng.sample(cast, 2)
    tool = rng.choice(TOOLS)
    meant = first if frame.who == "A" else second
    return Scene(
        act=frame.act.format(A=first.name, B=second.name, x=tool),
        reason=frame.reason.format(x=tool),
        pronoun=meant.he,
        first=first,
        second=second,
        meant=meant,
    )
