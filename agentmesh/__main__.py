"""The ``agentmesh`` command."""

import sys


def main() -> None:
    """Run the command. ``agentmesh wire`` goes its own way: each peer waits for it, and Typer takes long to import."""
    if sys.argv[1:2] == ["wire"] and len(sys.argv) == 2:  # noqa: PLR2004 (with options, Typer reads them)
        from agentmesh.cli.wire import serve  # noqa: PLC0415 (as above)

        sys.exit(serve())
    from agentmesh.cli.app import app  # noqa: PLC0415 (as above)

    app()


if __name__ == "__main__":
    main()
