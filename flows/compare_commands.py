"""The commands that answer questions of statistics at the prompt. Thin: each asks the library and shows the answer."""

import csv
import glob
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.screen import print_json, print_table

if TYPE_CHECKING:
    from perception_r1.compare import PairedCells, PairwiseTest

LEAST_P = 1e-300  # doubles end near 1e-308
LONGEST = 2**31 - 1  # a value of a CSV file: responses that reason, and pictures in base64, exceed Python's 128 KiB
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table for people.")
alpha_option = click.option("--alpha", default=0.05, show_default=True, help="The level of the test.")
power_option = click.option("--power", default=0.8, show_default=True, help="The power to plan for.")


@click.command()
@click.option("--b", type=int, help="Items that only the first model has right.")
@click.option("--c", type=int, help="Items that only the second model has right.")
@click.option("--a", type=int, help="Items that both have right; with --d it gives the difference, too.")
@click.option("--d", type=int, help="Items that neither has right.")
@click.option(
    "--csv",
    "files",
    nargs=2,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Two files with a row an item, before and after.",
)
@click.option(
    "--parquet",
    "pattern",
    metavar="FILES",
    help="All pairs of any number of models: Parquet files of one model and benchmark each, as 'folder/*.parquet'.",
)
@click.option("--id", "item", default="id", show_default=True, help="The column of the files that names the item.")
@click.option(
    "--correct", default="correct", show_default=True, help="The column of the files with 0, 1, true or false."
)
@click.option("--paper", is_flag=True, help="Check the three tests that the Perception-R1 paper reports.")
@alpha_option
@as_json
def mcnemar(
    b: int | None,
    c: int | None,
    a: int | None,
    d: int | None,
    files: tuple[Path, Path] | None,
    pattern: str | None,
    item: str,
    correct: str,
    paper: bool,
    alpha: float,
    as_json: bool,
) -> None:
    """Compare two models on the same items: is one of them right more often where they differ?

    \b
    perception-r1 mcnemar --b 2 --c 10
    perception-r1 mcnemar --b 2 --c 10 --a 20 --d 18
    perception-r1 mcnemar --csv before.csv after.csv
    perception-r1 mcnemar --parquet 'results/*.parquet' --id item
    perception-r1 mcnemar --paper
    """
    ways = [b is not None or c is not None or a is not None or d is not None, bool(files), bool(pattern), paper]
    if sum(ways) != 1:
        raise click.UsageError("say one of: --b and --c, --csv with two files, --parquet, --paper")
    with usage_errors():
        if paper:
            _paper(alpha, as_json)
        elif pattern:
            _all_pairs(pattern, item, correct, alpha, as_json)
        elif files:
            _show(_from_files(files, item, correct), alpha, as_json)
        else:
            _counts(a, b, c, d, alpha, as_json)


@click.command()
@click.option("--p10", type=float, required=True, help="The share of items that only the first model has right.")
@click.option("--p01", type=float, required=True, help="The share that only the second has right.")
@click.option("--n", type=int, help="Also: the power that this number of items has.")
@alpha_option
@power_option
@as_json
def power(p10: float, p01: float, n: int | None, alpha: float, power: float, as_json: bool) -> None:
    """Plan a study: how many items does it take to find a difference, and what would N items find?"""
    from perception_r1.compare import mcnemar_power, mcnemar_sample_size

    with usage_errors():
        needed = mcnemar_sample_size(p10, p01, alpha, power)
        found = mcnemar_power(n, p10, p01, alpha) if n is not None else None
    if as_json:
        asked = {"p10": p10, "p01": p01, "n": n, "alpha": alpha, "power": power}
        print_json(asked | {"sample_size": asdict(needed), "power_at_n": asdict(found) if found else None})
        return
    click.echo(
        f"If the first model alone is right on {p10:.4g} of the items and the second alone on {p01:.4g}, a test at "
        f"{alpha:g} finds it with probability {power:g} on {needed.exact_test:,} items (exact test, by enumeration; "
        f"{needed.connor:,} by Connor's approximation)."
    )
    if found:
        rows = [["exact", found.exact_test], ["mid-p", found.midp_test], ["Connor's approximation", found.connor]]
        print_table(["test", f"power at n = {n:,}"], ([name, f"{value:.3f}"] for name, value in rows))


COMPARE_COMMANDS = (mcnemar, power)


def with_paper(command: click.Command) -> click.Command:
    """The stage's command with --paper, which checks the paper's tests instead: it needs no configuration, no store."""
    stage = command.callback
    assert stage is not None

    def chosen(paper: bool, **given: Any) -> Any:
        return _paper(0.05, given["as_json"]) if paper else stage(**given)

    says = "Check the three tests that the Perception-R1 paper reports, and do nothing else."
    command.params.append(click.Option(["--paper"], is_flag=True, help=says))
    command.callback = chosen
    return command


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turns the library's refusal of its arguments into a usage error (exit code 2)."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _from_files(files: tuple[Path, Path], item: str, correct: str) -> "PairedCells":
    from perception_r1.compare import pair_outcomes

    first, second = (_read(path, item, correct) for path in files)
    return pair_outcomes(first, second)


def _read(path: Path, item: str, correct: str) -> dict[Any, bool]:
    from perception_r1.compare import read_outcomes
    from perception_r1.compare.pairing import csv_records

    csv.field_size_limit(LONGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return read_outcomes(csv_records(lines), item, correct)
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        raise click.UsageError(f"{path}: {error}") from None


def _all_pairs(pattern: str, item: str, correct: str, alpha: float, as_json: bool) -> None:
    """Every pair of models on every benchmark, adjusted as one family."""
    from perception_r1.compare import pairwise_mcnemar
    from perception_r1.compare.checks import between

    level = between(alpha, "alpha")
    found = pairwise_mcnemar(counted(pattern, item, correct))
    if as_json:
        print_json([asdict(test) for test in found])
        return
    held = sum(test.p_holm <= level for test in found)
    click.echo(f"{len(found):,} exact tests, Holm as one family: {held:,} hold at {alpha:g}.\n")
    counts = ["both", "only first", "only second", "neither", "left out"]  # out is what one of the two has no answer to
    columns = ["benchmark", "first", "second", *counts, "exact p", "Holm"]
    rows = (
        [t.benchmark, t.first, t.second, *(f"{n:,}" for n in (t.a, t.b, t.c, t.d, t.items_left_out)), *_ps(t)]
        for t in found
    )
    print_table(columns, rows, right=tuple(columns[3:]))


def counted(pattern: str, item: str, correct: str) -> dict[str, tuple[list[str], Any]]:
    """The models of each benchmark and how often each combination of them is right, counted in the files."""
    import storage

    benchmarks: dict[str, dict[str, Path]] = {}
    for file in sorted(Path(name) for name in glob.glob(pattern)):  # noqa: PTH207, as pathlib takes no absolute patterns
        said = storage.constants(file, ("benchmark", "condition", "model", "seed"))
        benchmark = " ".join(str(said[name]) for name in ("benchmark", "condition") if name in said)
        model = " ".join(str(said[name]) for name in ("model", "seed") if name in said) or file.stem
        if other := benchmarks.setdefault(benchmark, {}).get(model):
            raise ValueError(f"{file} and {other} are both of {model} on {benchmark or 'the same items'}")
        benchmarks[benchmark][model] = file
    if not any(len(files) > 1 for files in benchmarks.values()):
        raise ValueError(f"{pattern!r} names no two files of different models on the same benchmark")
    with ThreadPoolExecutor(2) as pool:  # each benchmark is a query of its own, which alone is not on every core
        found = pool.map(lambda files: storage.joint(list(files.values()), item, correct), benchmarks.values())
        return {name: (list(files), rows) for (name, files), rows in zip(benchmarks.items(), found, strict=True)}


def _counts(a: int | None, b: int | None, c: int | None, d: int | None, alpha: float, as_json: bool) -> None:
    from perception_r1.compare import PairedCells

    if b is None or c is None:
        raise click.UsageError("--b and --c belong together: both discordant counts are needed")
    if (a is None) != (d is None):
        raise click.UsageError("--a and --d belong together: the difference needs all four counts")
    if a is None or d is None:
        _show_discordant(b, c, alpha, as_json)
    else:
        _show(PairedCells(a, b, c, d), alpha, as_json)


def _show(cells: "PairedCells", alpha: float, as_json: bool) -> None:
    """All that four counts tell."""
    from perception_r1.compare import paired_difference_ci

    difference = paired_difference_ci(cells.a, cells.b, cells.c, cells.d, alpha)
    if as_json:
        print_json({"cells": asdict(cells), **_tests(cells.b, cells.c, alpha), "difference": asdict(difference)})
        return
    n = cells.a + cells.b + cells.c + cells.d
    click.echo(
        f"{n:,} items: both right {cells.a:,}, only the first {cells.b:,}, only the second {cells.c:,}, "
        f"neither {cells.d:,}. The first is right on {(cells.a + cells.b) / n:.1%}, the second on "
        f"{(cells.a + cells.c) / n:.1%}."
    )
    _print_tests(cells.b, cells.c, alpha)
    click.echo(f"First less second: {difference.difference:+.4f}")
    kinds = {"Newcombe": difference.newcombe, "Tango (score)": difference.tango}
    kinds |= {"Bonett-Price": difference.bonett_price, "Wald": difference.wald}
    rows = ([name, f"{interval.low:+.4f}", f"{interval.high:+.4f}"] for name, interval in kinds.items())
    print_table([f"{1 - alpha:.4g} interval", "low", "high"], rows)


def _show_discordant(b: int, c: int, alpha: float, as_json: bool) -> None:
    """What the two discordant counts tell alone."""
    if as_json:
        print_json({"cells": {"b": b, "c": c}, **_tests(b, c, alpha)})
    else:
        _print_tests(b, c, alpha)


def _tests(b: int, c: int, alpha: float) -> dict[str, Any]:
    from perception_r1 import compare

    exact = compare.mcnemar_exact(b, c)  # first, as it names the count that cannot be
    share = compare.proportion_ci(b, b + c, alpha).clopper_pearson if b + c else None
    return {
        "alpha": alpha,
        "exact": asdict(exact) | {"logp": compare.mcnemar_exact_logp(b, c)},
        "midp": asdict(compare.mcnemar_midp(b, c)) | {"logp": compare.mcnemar_midp_logp(b, c)},
        "chi2": asdict(compare.mcnemar_chi2(b, c)),
        "min_attainable": asdict(compare.mcnemar_min_attainable_p(b + c)),
        "first_share": share,
        "odds_ratio": asdict(compare.conditional_odds_ratio(b, c, alpha)) if b and c else None,  # else infinite
        "prob_first_better": compare.bayes_beta_superiority(b, c).prob_b_gt_half,
    }


def _print_tests(b: int, c: int, alpha: float) -> None:
    found = _tests(b, c, alpha)
    click.echo(f"The models differ on {b + c:,} items: {b:,} go to the first, {c:,} to the second.")
    rows = [["exact", found["exact"]], ["mid-p", found["midp"]], ["chi squared", found["chi2"]]]
    print_table(["test", "p"], ([name, _p(result)] for name, result in rows))
    least = found["min_attainable"]["exact"]
    if least > alpha:
        click.echo(f"So few items cannot give an exact p below {least:.3g}: this is no evidence of equality.")
    if share := found["first_share"]:
        click.echo(
            f"Of the items on which they differ the first wins {b / (b + c):.1%}, "
            f"exact {1 - alpha:.4g} interval {share.low:.1%} to {share.high:.1%}."
        )
    if odds := found["odds_ratio"]:
        click.echo(
            f"Odds for the first {odds['odds_ratio']:.3g}, exact {1 - alpha:.4g} interval "
            f"{odds['exact_low']:.3g} to {odds['exact_high']:.3g}."
        )


def _ps(test: "PairwiseTest") -> list[str]:
    return [_p({"pvalue": p}) for p in (test.p_exact, test.p_holm)]


def _p(result: dict[str, Any]) -> str:
    """A p value, also where it is too small for a double."""
    if result["pvalue"] >= LEAST_P:
        return f"{result['pvalue']:.4g}"
    if "logp" not in result:
        return f"< {LEAST_P:g}"
    power = result["logp"] / math.log(10)
    return f"{10 ** (power - math.floor(power)):.3f}e{math.floor(power):d}"


def _paper(alpha: float, as_json: bool) -> None:
    from perception_r1.compare import PAPER_ITEMS, paper_check

    rows = paper_check(alpha)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    click.echo(
        f"Perception-R1 (arXiv 2506.07218) reports three tests on {PAPER_ITEMS} items. Recomputed from its counts, "
        "adjusted as one family, with the power to find a true effect as large as the one seen:\n"
    )
    columns = ["contrast", "b, c", "reported", "exact p", "Holm", "mid-p", "Holm mid-p"]
    columns += [f"power at {PAPER_ITEMS}", "items for 80 %"]
    print_table(
        columns,
        (
            [
                row.contrast,
                f"{row.b}, {row.c}",
                f"{row.reported:.2f}",
                *(f"{p:.4f}" for p in (row.exact_p, row.holm_exact, row.midp, row.holm_midp)),
                f"{row.power_exact:.3f}",
                f"{row.needed_exact:,}",
            ]
            for row in rows
        ),
        right=tuple(columns[2:]),
    )
    kept = [row.contrast for row in rows if row.holm_exact <= alpha]
    click.echo(
        f"After Holm, {len(kept) or 'none'} of the three holds at {alpha:g}. A p above it at such power is no evidence "
        "that nothing changed; the models after training were not compared with each other."
    )
