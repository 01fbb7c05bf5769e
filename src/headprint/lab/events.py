"""Everyday sequences of events, told in the pretraining text and continued in the task ``continue``."""

import random
from dataclasses import dataclass

from headprint.lab.world import Person, capital

# One sequence a block: what it can be about ({x}), then its steps.
_SOURCE = """
bread cake pie pudding
{A} mixes the flour for the {x}.
{He} puts the {x} into the oven.
The {x} turns brown.
{He} cuts the {x} into slices.

tea coffee cocoa broth
{A} fills the kettle for the {x}.
{He} lights the fire.
The water boils.
{He} pours the {x} into a cup.

dog horse cow goat
{A} goes to the hungry {x}.
{He} fills its bowl.
The {x} eats all of it.
The {x} falls asleep.

roses beans herbs onions
{A} digs a row for the {x}.
{He} drops the seeds into it.
{He} waters the ground.
The {x} come up in spring.

letter poem note card
{A} takes a pen for the {x}.
{He} writes the {x} to a friend.
{He} folds the {x} and seals it.
The {x} goes off by post.

shirt dress coat scarf
{A} finds a hole in the {x}.
{He} threads a needle.
{He} sews the hole.
The {x} looks like new.

boat raft canoe ferry
{A} pushes the {x} from the shore.
{He} takes the oars.
The {x} moves over the lake.
{He} ties the {x} to a post.

window mirror lamp vase
{A} sees dust on the {x}.
{He} wets a cloth.
{He} wipes the {x}.
The {x} shines again.

cart wagon sledge barrow
{A} loads wood onto the {x}.
{He} pulls the {x} to the house.
{He} stacks the wood at the wall.
{He} puts the {x} in the shed.

song dance play tale
{A} learns a {x} for the feast.
{He} steps onto the stage.
{He} performs the {x}.
The people clap for the {x}.

door gate fence shed
{A} opens the paint for the {x}.
{He} dips the brush.
{He} paints the {x} white.
The paint on the {x} dries.

soup stew porridge rice
{A} cuts roots for the {x}.
{He} throws them into the pot.
{He} stirs the {x} for an hour.
{He} fills the plates with {x}.

trout perch pike eel
{A} hopes for a {x} at the river.
{He} throws out the line.
The line jerks.
{He} pulls the {x} to land.

fever cough cold headache
{A} wakes up with a {x}.
{He} calls the doctor.
The doctor brings bitter drops.
The {x} is gone by evening.

train coach ship bus
{A} buys a ticket for the {x}.
{He} waits with a bag.
The {x} comes at last.
{He} finds a seat on the {x}.

chair table bench shelf
{A} saws boards for the {x}.
{He} takes nails and a hammer.
{He} nails the boards together.
{He} sits down by the new {x}.

sheep geese ducks hens
{A} opens the pen of the {x}.
The {x} run to the meadow.
{He} watches them until dusk.
{He} leads the {x} home.

hat glove ring key
{A} notices that the {x} is lost.
{He} looks under the bed.
{He} looks behind the chest.
{He} finds the {x} in a pocket.

snowman castle tower den
{A} wants to build a {x}.
{He} calls the other children.
They work until noon.
The {x} stands as high as a man.

market fair circus show
{A} hears about the {x}.
{He} puts coins into a purse.
{He} walks to the {x}.
{He} buys a sweet at the {x}.
"""


@dataclass(frozen=True)
class Sequence:
    """One everyday sequence: the things it can be about and its steps with {A}, {He}, {x}."""

    items: tuple[str, ...]
    steps: tuple[str, ...]

    def tell(self, who: Person, item: str) -> list[str]:
        """Return the steps as sentences."""
        return [step.format(A=who.name, He=capital(who.he), x=item) for step in self.steps]


def _parse(block: str) -> Sequence:
    items, *steps = block.splitlines()
    return Sequence(tuple(items.split()), tuple(steps))


SEQUENCES = tuple(_parse(block) for block in _SOURCE.strip().split("\n\n"))


def draw(rng: random.Random) -> tuple[int, Sequence, str]:
    """Draw a sequence (with its number) and one of its items."""
    number = rng.randrange(len(SEQUENCES))
    return number, SEQUENCES[number], rng.choice(SEQUENCES[number].items)
