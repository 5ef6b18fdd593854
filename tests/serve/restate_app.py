"""Handlers that are at work or asleep when their endpoint is stopped."""

from __future__ import annotations

from pathlib import Path

import anyio

import durable_trio as dt

FOLDER = Path.cwd()
sleepy = dt.Service("Sleepy")


async def effect(name: str) -> str:
    with (FOLDER / "effects").open("a") as file:
        file.write(f"{name}\n")
    await anyio.sleep(0.3)
    return name


@sleepy.handler
async def work(ctx: dt.Context, name: str) -> str:
    """A step that takes its time, and a sleep, in two branches."""
    done: list[str] = []
    async with dt.open_nursery() as nursery:
        step = nursery.start_soon(ctx.run, effect, name)
        nursery.start_soon(dt.sleep, 3)
        done.append(await step)
    return done[0]


@sleepy.handler
async def echo(_ctx: dt.Context, name: str) -> str:
    """Nothing."""
    return name


services = [sleepy]
