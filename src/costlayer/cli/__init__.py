"""The command line: `costlayer study | choose | explain | pairs | predict | bench`."""

import sys

from costlayer.errors import MissingExtra


def main() -> None:
    """The console entry. Ends with 0, with 2 on bad input, with 130 on Ctrl-C."""
    try:
        from costlayer.cli.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("costlayer"):
            raise
        print(f"costlayer: {MissingExtra(error.name or '', 'study')}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    app(prog_name="costlayer")
