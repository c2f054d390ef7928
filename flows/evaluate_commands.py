"""The commands around an evaluation: prove a benchmark, grade stored responses again, write what others read. Thin."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from flows.screen import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perception_r1.benchmarks.item import Item
    from perception_r1.errors import EndpointError
    from perception_r1.sections import Data, Endpoint
    from storage import Artifact

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table for people.")


def _in_a_folder(context: click.Context, parameter: click.Parameter, file: Path) -> Path:
    """A file to be written, once its folder is there."""
    if not file.parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}; make it, or name another place")
    return file


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
    from perception_r1.benchmarks.table import BENCHMARKS
    from perception_r1.errors import ConfigError
    from perception_r1.evaluate.rescore import rescored

    rows = [row for row in _rows(path, ref) if not row["sample"] and row["condition"] == "full"]
    if not any(row["correct"] is not None for row in rows):
        raise ConfigError(f"{ref} holds no response to an untouched item whose right answer is known")
    if (name := rows[0]["benchmark"]) not in BENCHMARKS:
        raise ConfigError(f"benchmark {name!r} is unknown; known: {', '.join(BENCHMARKS)}")
    found = rescored(rows, BENCHMARKS[name])
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
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), callback=_in_a_folder)
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


@click.command()
@click.argument("ref")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), callback=_in_a_folder)
@click.option(
    "--config",
    type=click.Path(exists=True, path_type=Path),
    help="Take the data of this configuration, if they were a local copy.",
)
@click.pass_obj
def bank(path: Path | None, ref: str, file: Path, config: Path | None) -> None:
    """Write what a model said to a benchmark as worked examples, for evaluate.demonstrations.

    REF names predictions of the very model that will be shown them, to another benchmark, split or seed than it will
    be asked: an example that is the question itself is never shown.
    """
    from perception_r1.benchmarks.table import BENCHMARKS
    from perception_r1.errors import ConfigError
    from perception_r1.evaluate.demonstrations import lines

    rows, asked = _rows(path, ref), _version(path, ref).config
    if not rows:
        raise ConfigError(f"{ref} has no rows; there is nothing to show")
    name = rows[0]["benchmark"]
    data = _data(name, config, asked.get("data", {}))
    items = BENCHMARKS[name].items(asked.get("items", 0), asked.get("seed", 0), data)
    partial, count, right = file.with_name(f"{file.name}.partial"), 0, 0
    with partial.open("w", encoding="utf-8") as written:
        for line in lines(rows, items):
            written.write(json.dumps(line, ensure_ascii=False) + "\n")
            count, right = count + 1, right + line["correct"]
    if not count:
        partial.unlink()
        raise ConfigError(
            f"{ref}: {rows[0]['model']} answered none of its questions to {name}; there is nothing to show"
        )
    partial.replace(file)
    click.echo(f"{file}: {count:,} examples, {right:,} of them right, of {rows[0]['model']} on {name}; then: --set")
    click.echo(f"  \"evaluate.demonstrations={{shots=2, bank='{file}'}}\"")


def _data(name: str, config: Path | None, asked: dict[str, Any]) -> "Data":
    """Where the rows of stored predictions come from."""
    from perception_r1.config import load
    from perception_r1.errors import ConfigError
    from perception_r1.sections import PINNED, Data

    if config:
        return load(config).evaluate.data.get(name, PINNED)
    if asked.get("path"):
        raise ConfigError(f"{name} was a local copy; name the configuration that says where it is with --config")
    return Data(**asked)


@click.command()
@click.argument("benchmark")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), callback=_in_a_folder)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="configs/embedded.toml",
    show_default=True,
    help="Data, models.",
)
@click.option("--endpoint", default="", help="The model of the configuration that describes the pictures.")
@click.option("--set", "overrides", multiple=True, metavar="STAGE.FIELD=VALUE", help="Override one value.")
def captions(benchmark: str, file: Path, config: Path, endpoint: str, overrides: tuple[str, ...]) -> None:
    """Write the pictures of a benchmark in words, for evaluate.conditions=['full','caption'].

    A model describes them, without the questions; without --endpoint the words are the benchmark's own (world). What
    is in FILE already is not asked again.
    """
    from perception_r1.benchmarks.table import BENCHMARKS
    from perception_r1.config import load
    from perception_r1.errors import ConfigError, EvaluationFailed
    from perception_r1.evaluate.conditions import captions_of
    from perception_r1.sections import PINNED

    if benchmark not in BENCHMARKS:
        raise ConfigError(f"benchmark {benchmark!r} is unknown; known: {', '.join(BENCHMARKS)}")
    loaded = load(config, overrides=overrides)
    settings = loaded.evaluate
    if endpoint and endpoint not in loaded.endpoints:
        raise ConfigError(f"there is no [endpoints.{endpoint}] in {config}; known: {', '.join(loaded.endpoints)}")
    items = BENCHMARKS[benchmark].items(settings.items, settings.seed, settings.data.get(benchmark, PINNED))
    _mend(file)
    known = captions_of(str(file)) if file.exists() else {}
    count, failed = _written(file, _described(loaded.endpoints.get(endpoint), benchmark, items, known))
    if failed:
        raise EvaluationFailed(
            f"{len(failed):,} items got no description ({failed[-1]}); what there is stays in {file}, and the same "
            "command asks the rest"
        )
    click.echo(f"{file}: {len(known) + count:,} captions; then: --set evaluate.data.{benchmark}.captions={file}")


def _written(file: Path, captions: "Iterable[tuple[str, str | EndpointError]]") -> "tuple[int, list[EndpointError]]":
    """How many captions were added to the file, as they came, and what failed."""
    failed, count = [], 0
    with file.open("a", encoding="utf-8") as lines:
        for name, said in captions:
            if not isinstance(said, str):
                failed.append(said)
                continue
            lines.write(json.dumps({"item": name, "caption": said}, ensure_ascii=False) + "\n")
            lines.flush()
            count += 1
    return count, failed


def _described(
    settings: "Endpoint | None", benchmark: str, items: "Iterable[Item]", known: "Mapping[str, str]"
) -> "Iterator[tuple[str, str | EndpointError]]":
    """The captions by a model, or the benchmark's own."""
    from perception_r1.endpoints import Speaking, open_endpoint
    from perception_r1.errors import ConfigError
    from perception_r1.evaluate.captions import described

    if settings:
        endpoint = Speaking(open_endpoint(settings), spoke=bool(known))
        try:
            yield from described(endpoint, items, known, settings.max_tokens)
        finally:
            endpoint.close()
        return
    for item in items:
        if not item.caption:
            raise ConfigError(
                f"{benchmark} has no captions of its own; name a model that describes its pictures: --endpoint"
            )
        if item.problem.id not in known:
            yield item.problem.id, item.caption


def _mend(file: Path) -> None:
    """Takes away the line that a kill left half written."""
    if file.exists() and not (said := file.read_bytes()).endswith(b"\n"):
        file.write_bytes(said[: said.rfind(b"\n") + 1])


def _version(path: Path | None, ref: str) -> "Artifact":
    from storage import open_store

    return open_store(path).at(ref)


def _rows(path: Path | None, ref: str) -> list[dict[str, Any]]:
    from perception_r1.errors import ConfigError
    from storage import open_store

    store = open_store(path)
    version = store.at(ref)
    if version.kind != "predictions":
        raise ConfigError(f"{ref} holds {version.kind}; expected predictions (perception-r1 artifacts predictions)")
    rows: list[dict[str, Any]] = store.get(version).to_pylist()
    return rows


EVALUATE_COMMANDS = (prove, rescore, submission, bank, captions)
