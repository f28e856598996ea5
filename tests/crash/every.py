"""Every shape there is, by its name: the files that tell of them are read here."""

from tests.crash import lost, mended, shapes
from tests.crash.shape import SHAPES

__all__ = ["SHAPES", "lost", "mended", "shapes"]
