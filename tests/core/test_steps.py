"""What ``ctx.run`` finds out about functions: each one's own name and result type."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import attrs

from durable_trio._step import step_of

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.frozen
class Cat:
    name: str


@attrs.frozen
class Dog:
    name: str


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await function(*args)

    return wrapper


@decorated
async def find_cat(name: str) -> Cat:
    return Cat(name)


@decorated
async def find_dog(name: str) -> Dog:
    return Dog(name)


def finder(kind: type[Any], name: str) -> Callable[[], Any]:
    def find() -> Any:
        return kind(name)

    find.__annotations__["return"] = kind
    find.__name__ = f"find_{name}"
    return find


def test_what_one_decorator_made_of_several_functions() -> None:
    """They share the code of a wrapper, and neither their names nor their types."""
    cat, dog = step_of(find_cat), step_of(find_dog)

    assert ("find_cat", "find_dog") == (cat.name, dog.name)
    assert cat.is_async
    assert Cat("Tom") == cat.serde.deserialize(cat.serde.serialize(Cat("Tom")))
    assert Dog("Rex") == dog.serde.deserialize(dog.serde.serialize(Dog("Rex")))


def test_closures_of_one_function() -> None:
    """A closure's own annotation and name hold, although it shares its code with others."""
    cat, dog = step_of(finder(Cat, "tom")), step_of(finder(Dog, "rex"))

    assert ("find_tom", "find_rex") == (cat.name, dog.name)
    assert Cat("Tom") == cat.serde.deserialize(b'{"name":"Tom"}')
    assert Dog("Rex") == dog.serde.deserialize(b'{"name":"Rex"}')


def test_the_same_function_is_inspected_once() -> None:
    """A closure that is made anew for every step costs one inspection in all."""
    assert step_of(finder(Cat, "tom")) is step_of(finder(Cat, "tom"))
    assert step_of(find_cat) is step_of(find_cat)
