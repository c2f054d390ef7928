"""Every benchmark proves itself on rows of its exact schema, and data that are not the pinned ones are refused."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from perception_r1.benchmarks import emma, geometry3k, mathverse, mathvision, mathvista, mmmu, visfactor, wemath
from perception_r1.benchmarks.dataset import TABLES, Dataset, Part, check_data
from perception_r1.benchmarks.fixtures import HERE, laid_out
from perception_r1.benchmarks.item import Item
from perception_r1.benchmarks.listed import choices_in
from perception_r1.benchmarks.pictures import picture
from perception_r1.benchmarks.proof import prove
from perception_r1.benchmarks.table import BENCHMARKS
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.prompt import MARK
from perception_r1.sections import PINNED, Data

OF_ROWS = {name: module for name, module in BENCHMARKS.items() if module.DATA}


def by_id(name: str, folder: Path) -> dict[str, Item]:
    module = BENCHMARKS[name]
    return {item.problem.id: item for item in module.items(0, 0, laid_out(module.DATA, folder))}


@pytest.mark.parametrize("name", OF_ROWS)
def test_gold_is_right_empty_is_wrong_and_so_is_every_other_choice(name: str, tmp_path: Path) -> None:
    told = (HERE / f"{name}.jsonl").read_text().splitlines()
    assert prove(BENCHMARKS[name], 0, 0, laid_out(BENCHMARKS[name].DATA, tmp_path)) == len(told) > 1


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_mark_stands_for_each_picture_and_whoever_has_none_says_so(name: str, tmp_path: Path) -> None:
    for item in by_id(name, tmp_path).values():
        assert item.problem.question.count(MARK) == len(item.problem.images)
        assert item.imageless is not bool(item.problem.images)


@pytest.mark.parametrize("name", OF_ROWS)
def test_counts_that_are_not_the_pinned_ones_are_refused_by_part(name: str, tmp_path: Path) -> None:
    module = BENCHMARKS[name]
    data = laid_out(module.DATA, tmp_path, rows=0)
    if name == "text_only":  # your own rows: nobody knows how many
        assert len(list(module.items(0, 0, data))) == 5
        return
    with pytest.raises(BadProblem, match=rf"{name} .*has \d+ rows, and [\d,]+ are pinned"):
        list(module.items(0, 0, data))


def test_pinned_counts_are_those_of_the_papers() -> None:
    counts = {name: sum(part.rows for part in module.DATA.parts) for name, module in OF_ROWS.items()}
    assert counts == {
        "dynamath": 5010,
        "emma": 2788,
        "emma_mini": 400,
        "geometry3k": 601,
        "hallusionbench": 1129,
        "logicvista": 448,
        "mathverse": 3940,
        "mathvision": 3040,
        "mathvista": 1000,
        "mmmu": 900,
        "mmmu_pro_standard_10": 1730,
        "mmmu_pro_standard_4": 1730,
        "mmmu_pro_vision": 1730,
        "mmstar": 1500,
        "text_only": 0,
        "visfactor": 3046,
        "wemath": 1740,
    }


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_missing_column_is_named_with_those_that_there_are(name: str, tmp_path: Path) -> None:
    module = BENCHMARKS[name]
    data = laid_out(module.DATA, tmp_path)
    gone = next(iter(module.DATA.columns))
    for file in tmp_path.rglob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.drop_columns([gone]), file)
    with pytest.raises(ConfigError, match=rf"has no column '{gone}'; it has {list(module.DATA.columns)[1]}"):
        list(module.items(0, 0, data))


def changed(folder: Path, dataset: Dataset, change: Any) -> Data:
    """The fixture with a change made to the first row of its first file."""
    data = laid_out(dataset, folder)
    file = next(file for file in sorted(folder.rglob("*.parquet")) if pq.read_metadata(file).num_rows)
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    return data


def test_a_missing_picture_is_named_by_its_row(tmp_path: Path) -> None:
    data = changed(tmp_path, mathvista.DATA, lambda rows: rows[0].update(decoded_image=None))
    with pytest.raises(BadProblem, match="mathvista testmini, row 0: the image is missing"):
        list(mathvista.items(0, 0, data))


def test_a_mentioned_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = laid_out(emma.DATA, tmp_path)
    file = next(tmp_path.glob("Math/*.parquet"))
    table = pq.read_table(file)
    rows = [{**row, "image_4": None} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    with pytest.raises(
        BadProblem, match="<image_4> is mentioned and there is no image 4; the row has image 1, image 2"
    ):
        list(emma.items(0, 0, data))


def test_a_picture_that_does_not_open_is_named(tmp_path: Path) -> None:
    broken = {"bytes": b"no picture", "path": None}
    data = changed(tmp_path, geometry3k.DATA, lambda rows: rows[0].update(images=[broken]))
    with pytest.raises(BadProblem, match="geometry3k test, row 0, image 0: the image does not open"):
        list(geometry3k.items(0, 0, data))


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    data = changed(tmp_path, mathvista.DATA, lambda rows: rows[1].update(pid=rows[0]["pid"]))
    with pytest.raises(BadProblem, match="row 1: the id 'mathvista-1' was there before"):
        list(mathvista.items(0, 0, data))


def test_a_letter_beyond_the_choices_is_no_gold(tmp_path: Path) -> None:
    data = changed(tmp_path, wemath.DATA, lambda rows: rows[0].update(answer="F"))
    with pytest.raises(BadProblem, match="row 0: the answer F is none of its 4 choices"):
        list(wemath.items(0, 0, data))


def test_an_unknown_subtest_is_an_error_and_not_a_zero(tmp_path: Path) -> None:
    data = changed(tmp_path, visfactor.DATA, lambda rows: rows[0].update(category_id="XX1"))
    with pytest.raises(BadProblem, match="the subtest 'XX1' is unknown; known: CF1"):
        list(visfactor.items(0, 0, data))


def test_a_row_without_its_published_answer_is_an_error_and_no_secret(tmp_path: Path) -> None:
    data = changed(tmp_path, mathvista.DATA, lambda rows: rows[1].update(answer=None))
    with pytest.raises(BadProblem, match="row 1: it has no answer, and the answers of testmini are published"):
        list(mathvista.items(0, 0, data))


def test_choices_that_there_are_no_letters_for_are_an_error(tmp_path: Path) -> None:
    many = [str(number) for number in range(27)]
    data = changed(tmp_path, mathvista.DATA, lambda rows: rows[1].update(choices=many, answer=many[3]))
    with pytest.raises(BadProblem, match="row 1: it has 27 choices, more than there are letters"):
        list(mathvista.items(0, 0, data))


def test_a_folder_without_the_part_says_what_it_has(tmp_path: Path) -> None:
    data = laid_out(mathvista.DATA, tmp_path)
    with pytest.raises(ConfigError, match=r"no Parquet file of val; it has data/testmini-00000-of-00001\.parquet"):
        list(BENCHMARKS["mmstar"].items(0, 0, data))


def test_the_hub_is_read_as_a_local_copy_is(tmp_path: Path) -> None:
    data = laid_out(geometry3k.DATA, tmp_path)
    streamed = Data(repo=str(tmp_path), revision="0123456789abcdef", rows=data.rows)
    assert list(geometry3k.items(0, 0, streamed)) == list(geometry3k.items(0, 0, data))


def test_a_revision_that_we_do_not_know_must_be_said() -> None:
    with pytest.raises(ConfigError, match=r"evaluate.data.mathvision: no commit of MathLLMs/MathVision is known to us"):
        check_data(mathvision.DATA, PINNED)
    with pytest.raises(ConfigError, match=r"datasets/MathLLMs/MathVision HEAD` .* --set evaluate.data.mathvision.rev"):
        check_data(mathvision.DATA, PINNED)
    check_data(mathvision.DATA, Data(revision="0123456789abcdef"))
    check_data(mathvista.DATA, PINNED)


def test_a_branch_is_no_revision_since_its_rows_may_change() -> None:
    with pytest.raises(ConfigError, match="me/mirror may change under 'main'"):
        check_data(mathvista.DATA, Data(repo="me/mirror", revision="main"))


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_revision_is_a_whole_commit_or_none(name: str) -> None:
    revision = OF_ROWS[name].DATA.revision
    assert revision == "" or (len(revision) == 40 and int(revision, 16) > 0)


def test_a_drawn_part_holds_whole_groups_and_follows_from_the_seed(tmp_path: Path) -> None:
    data = laid_out(mathverse.DATA, tmp_path)
    draws = {seed: [item.problem.group for item in mathverse.items(5, seed, data)] for seed in range(20)}
    assert {len(groups) for groups in draws.values()} <= {0, 5, 10}
    assert len({tuple(groups) for groups in draws.values()}) > 2
    assert draws[3] == [item.problem.group for item in mathverse.items(5, 3, data)]


def test_answers_that_are_kept_secret_are_never_graded_right(tmp_path: Path) -> None:
    hidden = Dataset(
        name="mathvista",
        repo="",
        parts=mathvista.DATA.parts,
        columns=mathvista.DATA.columns,
        others={"test": (Part("", "test", 8),)},
    )
    laid_out(hidden, tmp_path)
    file = next(tmp_path.rglob("testmini*.parquet"))
    table = pq.read_table(file)
    place = table.column_names.index("answer")
    table = table.set_column(place, "answer", pa.array([""] * table.num_rows))
    pq.write_table(table, file.with_name("test-00000-of-00001.parquet"))
    data = Data(path=str(tmp_path), split="test", rows=8)
    assert prove(mathvista, 0, 0, data) == 8
    with pytest.raises(ConfigError, match="'tset' is unknown; known: testmini, test"):
        list(mathvista.items(0, 0, Data(path=str(tmp_path), split="tset")))


def shade(data: bytes) -> tuple[int, ...]:
    return tuple(Image.open(io.BytesIO(data)).convert("RGB").getpixel((0, 0)))  # type: ignore[arg-type]


def told_pictures(name: str, row: int, columns: list[str]) -> list[tuple[int, ...]]:
    import base64

    values = json.loads((HERE / f"{name}.jsonl").read_text().splitlines()[row])["row"]
    return [shade(base64.b64decode(values[column]["bytes"])) for column in columns]


def test_pictures_stand_in_the_order_of_their_first_mention(tmp_path: Path) -> None:
    items = by_id("mmmu", tmp_path)
    asked = items["validation_Art_1"].problem
    assert [shade(image) for image in asked.images] == told_pictures("mmmu", 4, ["image_2", "image_1"])
    assert asked.question == f"Who painted {MARK}, shown after {MARK}? Look at (image 2) again."
    graph = items["validation_Math_1"].problem
    assert [shade(image) for image in graph.images] == told_pictures(
        "mmmu", 1, ["image_1", "image_2", "image_3", "image_4"]
    )
    assert graph.question.splitlines()[1:] == [f"A. {MARK}", f"B. {MARK}", f"C. {MARK}", "D. None of the above"]
    assert graph.choices == ("A", "B", "C", "D")


def test_visfactors_tags_are_filled_by_number_and_an_unknown_one_stays(tmp_path: Path) -> None:
    items = by_id("visfactor", tmp_path)
    assert "figure A belong to, not B or <ADDITIONAL_9>" in items["visfactor-00005"].problem.question
    swapped = items["visfactor-00006"].problem
    values = json.loads((HERE / "visfactor.jsonl").read_text().splitlines()[6])["row"]["image"]
    assert len(swapped.images) == len(values) == 2
    assert swapped.question.startswith(f"{MARK} was shown with which number in {MARK}?")


def test_vision_only_asks_what_the_picture_shows_and_is_graded_by_the_whole_question(tmp_path: Path) -> None:
    item = by_id("mathverse", tmp_path)["mathverse-5"]
    assert item.problem.question == f"{MARK}{mathverse.IN_THE_PICTURE}"
    assert item.choices == ("40°", "50°", "60°", "70°")


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        pytest.param("Choices:\nA:40°\nB:50°", ("40°", "50°"), id="mathverse"),
        pytest.param("A. 3 cm; B. 4 cm; C. No correct answer", ("3 cm", "4 cm", "No correct answer"), id="wemath"),
        pytest.param("A. 6；B. 7；C. 8", ("6", "7", "8"), id="full-width"),
        pytest.param(" A: On a book., B: In a bed., C: Here.", ("On a book.", "In a bed.", "Here."), id="mmstar"),
        pytest.param("(A) red (B) blue", (), id="not-parted"),
        pytest.param("A. (1; 2); B. (2; 3)", ("(1; 2)", "(2; 3)"), id="separators-inside"),
        pytest.param("A: x, B: y, A: z", ("x", "y, A: z"), id="a-letter-again-is-text"),
        pytest.param("no choices", (), id="none"),
    ],
)
def test_choices_are_read_from_the_question(text: str, choices: tuple[str, ...]) -> None:
    assert choices_in(text) == choices


def test_what_is_see_through_lies_on_white_as_in_training() -> None:
    def png(alpha: int) -> bytes:
        drawn, data = Image.new("RGBA", (4, 4), (0, 0, 0, alpha)), io.BytesIO()
        drawn.putpixel((1, 1), (0, 0, 0, 255))
        drawn.save(data, "PNG")
        return data.getvalue()

    seen = Image.open(io.BytesIO(picture(png(0), "here"))).convert("RGB")
    assert (seen.getpixel((0, 0)), seen.getpixel((1, 1))) == ((255, 255, 255), (0, 0, 0))
    assert picture(png(255), "here") == png(255)


def test_a_picture_that_a_mark_only_tells_to_turn_is_turned() -> None:
    marks, data = Image.Exif(), io.BytesIO()
    marks[0x0112] = 6
    Image.new("RGB", (40, 10)).save(data, "JPEG", exif=marks)
    assert Image.open(io.BytesIO(picture(data.getvalue(), "here"))).size == (10, 40)


def test_a_table_of_base64_pictures_is_read(tmp_path: Path) -> None:
    row = json.loads((HERE / "logicvista.jsonl").read_text().splitlines()[0])["row"]
    table = tmp_path / "LogicVista.tsv"
    table.write_text(
        "index\tquestion\tanswer\tskill\timage\n0\t"
        + "\t".join([row["question"], "B", "inductive", row["image"]["bytes"]])
    )
    (item,) = BENCHMARKS["logicvista"].items(0, 0, Data(path=str(table), rows=1))
    assert item.problem.answer == "B" and shade(item.problem.images[0]) == told_pictures("logicvista", 0, ["image"])[0]


def test_of_a_local_copy_one_row_group_is_in_memory_at_a_time(tmp_path: Path) -> None:
    path, one = tmp_path / "test.parquet", 1 << 20
    schema = pa.schema([("image", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for _ in range(40):
            file.write_table(pa.table({"image": [b"x" * one]}, schema=schema))
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in TABLES[".parquet"](path)]
    assert len(held) == 40
    assert max(held) < 8 * one


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("[1, 2]", "a line that is no object", id="a-list"),
        pytest.param('{"id": "1", "question": null, "answer": "4"}', "row 0: it asks nothing", id="no-question"),
        pytest.param('{"id": "1", "question": "?", "answer": "4", "choices": "3 4"}', "choices is '3 4'", id="text"),
    ],
)
def test_a_row_that_is_not_as_it_should_be_is_refused_by_name(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(line + "\n")
    with pytest.raises((BadProblem, ConfigError), match=told):
        list(BENCHMARKS["text_only"].items(0, 0, Data(path=str(tmp_path / "mine.jsonl"), rows=1)))


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("metadata", "x", "row 0: the row is not laid out"),
        ("answer_type", "flot", "row 0: the answer type 'flot' is unknown"),
    ],
)
def test_a_column_of_another_type_is_told_by_its_row(column: str, value: str, told: str, tmp_path: Path) -> None:
    data = laid_out(mathvista.DATA, tmp_path)
    (file,) = tmp_path.rglob("*.parquet")
    rows = [{**row, column: value} for row in pq.read_table(file).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), file)
    with pytest.raises(BadProblem, match=told):
        list(mathvista.items(0, 0, data))


def test_mmmu_has_thirty_subjects_in_six_disciplines() -> None:
    assert len(mmmu.DISCIPLINE_OF) == 30 and len(mmmu.DISCIPLINES) == 6


def test_text_only_takes_your_own_lines_and_no_picture(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"id": "a", "question": "2 + 2?", "answer": "4"}\n{"id": "b", "question": "<image>?", "answer": "4"}\n'
    )
    asked = BENCHMARKS["text_only"].items(0, 0, Data(path=str(file)))
    assert next(asked).problem.images == ()
    with pytest.raises(BadProblem, match="row 1: it has a picture"):
        next(asked)
    with pytest.raises(ConfigError, match="its rows are your own; name their file as path"):
        check_data(BENCHMARKS["text_only"].DATA, PINNED)
