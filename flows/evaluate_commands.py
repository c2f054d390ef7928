"""The commands around an evaluation: prove a benchmark, grade stored responses again, write a submission. Thin."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from flows.screen import print_json, print_table

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table for people.")


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--config",
    type=click.Path(exists=True, path_type=Path),
    help="Take the data of this configuration, not the fixtures.",
)
@as_json
def prove(names: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Prove benchmarks without a model: on every row the gold answer is right, and what is not is wrong.

    Without --config the rows are those that ship with each benchmark.
    """
    from perception_r1.benchmarks.table import BENCHMARKS
    from perception_r1.config import load
    from perception_r1.errors import ConfigError

    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise ConfigError(f"benchmark {unknown[0]!r} is unknown; known: {', '.join(BENCHMARKS)}")
    data = load(config).evaluate.data if config else None
    rows = [{"benchmark": name, "rows": _proved(name, data)} for name in names or BENCHMARKS]
    if as_json:
        print_json(rows)
        return
    print_table(["benchmark", "rows proved"], ([row["benchmark"], row["rows"]] for row in rows), right=("rows proved",))


def _proved(name: str, data: Any) -> int:
    """How many rows of a benchmark were proved: of its data, or of its fixture."""
    from perception_r1.benchmarks.fixtures import laid_out
    from perception_r1.benchmarks.proof import prove as proved
    from perception_r1.benchmarks.table import BENCHMARKS
    from perception_r1.sections import PINNED

    benchmark = BENCHMARKS[name]
    if data is not None or benchmark.DATA is None:
        return proved(benchmark, 0, 0, (data or {}).get(name, PINNED))
    with TemporaryDirectory() as folder:
        return proved(benchmark, 0, 0, laid_out(benchmark.DATA, Path(folder)))


@click.command()
@click.argument("ref")
@as_json
@click.pass_obj
def rescore(path: Path | None, ref: str, as_json: bool) -> None:
    """Grade stored responses again, by our rules of today and by those of other harnesses; no model is asked.

    REF names predictions, such as predictions/embedded-base-seed0-world.
    """
    from perception_r1.evaluate.rescore import rescored

    found = rescored([row for row in _rows(path, ref) if not row["sample"] and row["condition"] == "full"])
    if as_json:
        print_json(found)
        return
    columns = ["graded by", "items", "accuracy, %", "now right", "now wrong", "such as"]
    lines = (
        [row.harness, row.items, f"{100 * row.accuracy:.1f}", row.now_right, row.now_wrong, ", ".join(row.examples)]
        for row in found
    )
    print_table(columns, lines, right=tuple(columns[1:5]))


@click.command()
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def submission(path: Path | None, ref: str, file: Path) -> None:
    """Write responses as the official evaluation takes them, for splits whose answers are secret."""
    from perception_r1.errors import ConfigError
    from perception_r1.evaluate.submission import submission as written

    rows = _rows(path, ref)
    if not rows:
        raise ConfigError(f"{ref} has no rows; there is nothing to submit")
    told = written(rows[0]["benchmark"], rows)
    file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    click.echo(f"{file}: {len(told):,} responses of {rows[0]['model']} to {rows[0]['benchmark']}")


def _rows(path: Path | None, ref: str) -> list[dict[str, Any]]:
    from perception_r1.errors import ConfigError
    from storage import open_store

    store = open_store(path)
    version = store.at(ref)
    if version.kind != "predictions":
        raise ConfigError(f"{ref} holds {version.kind}; expected predictions (perception-r1 artifacts predictions)")
    rows: list[dict[str, Any]] = store.get(version).to_pylist()
    return rows


EVALUATE_COMMANDS = (prove, rescore, submission)
