"""Telling the objects of a union apart.

Owns the choice of a class by the keys of a JSON object.

 1. If all classes have a field whose types are Literals without a common value, its value
    decides.
 2. Else the class whose fields match the keys best: all its required ones are there, the
    most of its fields are there, the fewest are missing. Every field is written, so the
    class that wrote an object matches best.
 3. Two classes with the same keys, or a dict beside a class, cannot be told apart.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import attrs

from ._codecs import kind_of, typed
from ._paths import Mismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._codecs import Codec, Compiler, Kind, Members


@attrs.frozen(eq=False)
class ObjectChoice:
    """Chooses among the classes of one union."""

    name: str
    candidates: Sequence[tuple[Codec, Members]]
    tag: str | None
    tagged: dict[tuple[Kind, Any], Codec]

    @classmethod
    def of(cls, name: str, members: Sequence[Codec], compiler: Compiler) -> ObjectChoice:
        """The choice among these. ``DefinitionError`` if JSON cannot tell them apart."""
        candidates: list[tuple[Codec, Members]] = []
        for member in members:
            if member.outline.members is None:
                raise compiler.refuse(
                    f"{name}: any object could be a {member.outline.name}, so nothing else that is "
                    "written as an object can be told from it. Put it into a field of a class"
                )

            candidates.append((member, member.outline.members()))
        tag = _common_tag([members for _, members in candidates])
        if tag is None:
            _refuse_same_keys(name, candidates, compiler)
        return cls(name, candidates, tag, _tagged(candidates, tag))

    def choose(self, data: dict[str, Any]) -> Codec:
        """The member to read this object. ``Mismatch`` if none can."""
        if self.tag is not None:
            return self._by_tag(data, self.tag)

        keys = data.keys()
        best, best_rank = None, (-1, 0)
        for candidate, members in self.candidates:
            if members.required <= keys:
                rank = len(members.known & keys), -len(members.known - keys)
                if rank > best_rank:
                    best, best_rank = candidate, rank
        if best is None:
            raise Mismatch(f"{self.name} (with all fields of one of them)", data)

        return best

    def _by_tag(self, data: dict[str, Any], tag: str) -> Codec:
        value: Any = data.get(tag)
        is_scalar = kind_of(value) not in {dict, list}
        chosen = self.tagged.get(typed(value)) if is_scalar else None
        if chosen is None:
            tags = ", ".join(repr(value) for _, value in self.tagged)
            if tag in data:
                raise Mismatch(f"one of {tags}", value, trail=(tag,))

            raise Mismatch(f"{self.name} (by its field {tag}, which is one of {tags})", data)

        return chosen


def _common_tag(members: Sequence[Members]) -> str | None:
    for tag in members[0].tags:
        if all(tag in each.tags for each in members):
            values = [typed(value) for each in members for value in each.tags[tag]]
            if len(set(values)) == len(values):
                return tag

    return None


def _tagged(
    candidates: Sequence[tuple[Codec, Members]], tag: str | None
) -> dict[tuple[Kind, Any], Codec]:
    if tag is None:
        return {}

    return {
        typed(value): candidate for candidate, members in candidates for value in members.tags[tag]
    }


def _refuse_same_keys(
    name: str, candidates: Sequence[tuple[Codec, Members]], compiler: Compiler
) -> None:
    for (one, members), (other, other_members) in combinations(candidates, 2):
        if members.known == other_members.known:
            raise compiler.refuse(
                f"{name}: {one.outline.name} and {other.outline.name} have the same fields, so that "
                "JSON cannot tell them apart. Give each a field like "
                'kind: Literal["..."] = "..." with a value of its own'
            )
