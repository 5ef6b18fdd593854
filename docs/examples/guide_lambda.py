"""For the guide: handlers as a function of AWS Lambda. Run as a script it answers one event."""

from durable_trio import Context, Service, sleep
from durable_trio_restate import endpoint, lambda_handler

thumbnails = Service("Thumbnails")
services = [thumbnails]


def shrink(picture: str) -> str:
    return f"a small {picture}"


@thumbnails.handler
async def make(ctx: Context, picture: str) -> str:
    small = await ctx.run(shrink, picture)
    await sleep(0.01)  # no function runs meanwhile
    return small


handler = lambda_handler(endpoint(services))


def main() -> None:
    print(handler({"path": "/health", "httpMethod": "GET"})["statusCode"])


if __name__ == "__main__":
    main()
