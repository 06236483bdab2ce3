"""The schema as a file."""

import difflib
import sys
from pathlib import Path

from gql_trader.schema import create_schema


def export(output: Path, *, check: bool) -> int:
    """Write the schema, or compare it with the file and print the difference; return the exit code."""
    text = create_schema().as_str().rstrip("\n") + "\n"
    if not check:
        output.write_text(text)
        return 0
    present = output.read_text() if output.exists() else ""
    sys.stdout.writelines(
        difflib.unified_diff(
            present.splitlines(keepends=True), text.splitlines(keepends=True), str(output), "the schema"
        )
    )
    if present != text:
        print(f"{output} is not up to date: run `gql-trader schema export`", file=sys.stderr)
    return int(present != text)
