"""For the page on serialization: values that only those who have the key can read."""

import os
from tempfile import TemporaryDirectory
from typing import Annotated

import trio
from cryptography.fernet import Fernet, InvalidToken

from durable_trio import Context, ObjectContext, SerializationError, Service, VirtualObject
from durable_trio.abc import Serde
from durable_trio.local import LocalRuntime
from durable_trio.serde import serde_for
from durable_trio_file import FileJournal

# A key of your own, for good: what was encrypted with another one can be read by nobody.
vault = Fernet(os.environ.get("VAULT_KEY") or Fernet.generate_key())


class Sealed:
    """What another serde writes, encrypted."""

    content_type = "application/octet-stream"

    def __init__(self, inner: Serde[str]) -> None:
        self._inner = inner

    def serialize(self, value: str) -> bytes:
        return vault.encrypt(self._inner.serialize(value))

    def deserialize(self, data: bytes) -> str:
        try:
            return self._inner.deserialize(vault.decrypt(data))
        except InvalidToken:
            raise SerializationError("expected what was encrypted with VAULT_KEY") from None


Secret = Annotated[str, Sealed(serde_for(str))]

files = VirtualObject("File", check_payloads=False)
clinic = Service("Clinic", check_payloads=False)
services = [files, clinic]


@files.handler
async def note(ctx: ObjectContext, text: Secret) -> Secret:
    notes = f"{await ctx.get('notes', Secret, default='')}{text}. "
    ctx.set("notes", notes, type=Secret)
    return notes


def examine(patient: str) -> Secret:
    return f"{patient} is well"


@clinic.handler
async def visit(ctx: Context, patient: Secret) -> Secret:
    found = await ctx.run(examine, patient)
    return await ctx.call(note, found, key="17")


async def main() -> None:
    with TemporaryDirectory() as folder:
        journal = f"{folder}/clinic.journal"
        async with LocalRuntime(services, FileJournal(journal)) as runtime:
            print(await runtime.call(visit, "Ada"))
        print(b"Ada" in await trio.Path(journal).read_bytes())


if __name__ == "__main__":
    trio.run(main)
