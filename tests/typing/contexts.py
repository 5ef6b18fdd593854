"""Only type-checked: a context has the operations that work in its handler, and no others.

Every line that must be an error carries an ignore comment, and an ignore comment without
an error is an error itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

if TYPE_CHECKING:
    from durable_trio._context import (
        Context,
        ObjectContext,
        ObjectSharedContext,
        WorkflowContext,
        WorkflowSharedContext,
    )


async def reading_and_writing(
    exclusive: ObjectContext, shared: ObjectSharedContext, main: WorkflowContext
) -> None:
    assert_type(await exclusive.get("total", int), int | None)
    assert_type(await shared.get("total", int, 0), int)
    assert_type(await shared.keys(), list[str])
    exclusive.set("total", 1)
    main.clear_all()


async def promises(main: WorkflowContext, shared: WorkflowSharedContext) -> None:
    assert_type(await main.promise("approval", str), str)
    await shared.promise("approval", str).resolve("yes")


# -- what is refused


def a_misspelt_operation(context: Context) -> None:
    context.sned()  # type: ignore[attr-defined]


def state_in_a_service(context: Context) -> None:
    context.get("total")  # type: ignore[attr-defined]
    context.set("total", 1)  # type: ignore[attr-defined]


def writes_in_a_shared_handler(
    shared: ObjectSharedContext, of_a_workflow: WorkflowSharedContext
) -> None:
    shared.set("total", 1)  # type: ignore[attr-defined]
    shared.clear("total")  # type: ignore[attr-defined]
    of_a_workflow.clear_all()  # type: ignore[attr-defined]


def promises_of_an_object(exclusive: ObjectContext) -> None:
    exclusive.promise("approval")  # type: ignore[attr-defined]
