"""The table of families, in the order in which they are asked, and the two compilers.

Owns the order: a pydantic dataclass is also a dataclass, a NamedTuple also a tuple.
"""

from __future__ import annotations

from typing import Final

from . import (
    _aliases,
    _classes,
    _custom,
    _enums,
    _mappings,
    _msgspec,
    _plain,
    _pydantic,
    _scalars,
    _sequences,
    _sets,
    _texts,
    _tuples,
    _typed_dicts,
    _unions,
)
from ._codecs import Compiler, FamilyTable

_TABLE: Final = FamilyTable(
    (
        _custom,
        _scalars,
        _plain,
        _texts,
        _enums,
        _aliases,
        _unions,
        _sequences,
        _sets,
        _tuples,
        _mappings,
        _typed_dicts,
        _pydantic,
        _msgspec,
        _classes,
    )
)

QUICK: Final = Compiler(_TABLE, explaining=False)
"""Makes the codecs that are used."""

EXPLAINING: Final = Compiler(_TABLE, explaining=True)
"""Makes the codecs that say where the error is, once another has failed."""
