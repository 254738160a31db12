"""The ``agentmesh`` command."""

import sys


def main() -> None:
    """Run the command. ``agentmesh wire`` goes its own way: each peer waits for it, and Typer takes long to import."""
    match sys.argv[1:]:
        case ["wire"]:
            pinned: str | None = ""
        case ["wire", "--peer", pinned]:
            pass
        case _:
            pinned = None
    if pinned is not None:
        from agentmesh.cli.wire import serve  # noqa: PLC0415 (as above)

        sys.exit(serve(pinned))
    from agentmesh.cli.app import app  # noqa: PLC0415 (as above)

    app()


if __name__ == "__main__":
    main()
