"""Rows in: a mapping that says what is where, bad rows that are counted, pictures that cannot harm, golds that hold."""

import base64
import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from perception_r1 import sections
from perception_r1.annotate.golds import normalised, unproven
from perception_r1.annotate.problems import Given, Refusal, Taken, load_problems, taken
from perception_r1.annotate.sources import content_of
from perception_r1.errors import BadProblem, ConfigError
from perception_r1.records import Problem
from perception_r1.table import rows_in


def picture(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (4, 4), **said: Any) -> bytes:
    data = io.BytesIO()
    Image.new(mode, size).save(data, kind, **said)
    return data.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing of it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


PNG = picture()
ROW = {"images": [{"bytes": PNG, "path": None}], "problem": "<image>How long is AB?", "answer": "5"}


def parquet(folder: Path, *rows: dict[str, Any], **said: Any) -> sections.Problems:
    path = folder / "data.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return sections.Problems(source="parquet", path=str(path), **said)


def jsonl(folder: Path, *lines: dict[str, Any] | str, **said: Any) -> sections.Problems:
    (folder / "a.png").write_bytes(PNG)
    path = folder / "data.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return sections.Problems(source="jsonl", path=str(path), **said)


LINE = {"images": "a.png", "problem": "How long is AB?", "answer": "5"}


# ---------------------------------------------------------------- sources and mappings


def test_json_lines_name_pictures_beside_them(tmp_path: Path) -> None:
    uri = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    first, second = load_problems(jsonl(tmp_path, LINE, {**LINE, "images": ["a.png", uri], "id": 7}))
    assert (first.id, first.images, first.question) == ("data-000000", (PNG,), "<image>How long is AB?")
    assert (second.id, second.images) == ("7", (PNG, PNG))


def test_a_picture_that_is_marked_as_turned_is_turned(tmp_path: Path) -> None:
    marks = Image.Exif()
    marks[0x0112] = 6
    for kind in ("JPEG", "PNG"):
        turned = picture(kind, size=(40, 10), exif=marks)
        (only,) = load_problems(parquet(tmp_path, {**ROW, "images": [{"bytes": turned, "path": None}]}))
        assert Image.open(io.BytesIO(only.images[0])).size == (10, 40)
        assert not Image.open(io.BytesIO(only.images[0])).getexif()


def test_what_is_see_through_lies_on_white_and_what_is_not_stays_as_it_is(tmp_path: Path) -> None:
    clear, solid = io.BytesIO(), picture(mode="RGBA")
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(clear, "PNG")
    opaque = io.BytesIO()
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(opaque, "PNG")
    for data in (clear.getvalue(), solid):
        (only,) = load_problems(parquet(tmp_path, {**ROW, "images": [{"bytes": data, "path": None}]}))
        assert Image.open(io.BytesIO(only.images[0])).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    (only,) = load_problems(parquet(tmp_path, {**ROW, "images": [{"bytes": opaque.getvalue(), "path": None}]}))
    assert only.images[0] == opaque.getvalue()


def test_sixteen_bits_a_colour_are_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head, rows = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0), (b"\0" + b"\x12\x34" * 6) * 2
    deep = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    refusals: list[Refusal] = []
    assert not list(load_problems(parquet(tmp_path, {**ROW, "images": [{"bytes": deep, "path": None}]}), refusals))
    assert "16 bits a colour" in refusals[0].reason


def test_the_id_0_is_an_id_and_nan_is_nothing(tmp_path: Path) -> None:
    nan = float("nan")
    first, second = load_problems(jsonl(tmp_path, {**LINE, "id": 0}, {**LINE, "id": nan, "source": nan, "group": nan}))
    assert (first.id, second.id, second.source, second.group) == ("0", "data-000001", "data", first.group)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (float("nan"), "no answer"),
        (float("inf"), "its answer 'inf' (float) is neither a text nor a number"),
        ({"a": 5}, "is neither a text nor a number"),
        ([5], "its answer '[5]' (list) is neither a text nor a number"),
        (True, "its answer 'True' (bool) is neither a text nor a number"),
    ],
    ids=["nan", "inf", "dict", "list", "bool"],
)
def test_what_is_no_answer_is_no_gold(tmp_path: Path, answer: Any, told: str) -> None:
    refusals: list[Refusal] = []
    assert list(load_problems(jsonl(tmp_path, {**LINE, "answer": answer}), refusals)) == []
    assert told in refusals[0].reason


def test_a_reason_quotes_no_more_of_a_row_than_one_can_read(tmp_path: Path) -> None:
    refusals: list[Refusal] = []
    assert not list(load_problems(jsonl(tmp_path, {**LINE, "answer": "x" * 100_000}), refusals))
    assert len(refusals[0].reason) == 500


def test_a_list_is_the_answer_where_a_list_is_asked_for(tmp_path: Path) -> None:
    (only,) = load_problems(jsonl(tmp_path, {**LINE, "answer": [5, 6], "answer_type": "list"}))
    assert only.answer_type == "list"


@pytest.mark.parametrize("listed", ["metadata.jsonl", "metadata.csv"])
def test_a_folder_of_pictures_has_a_list_beside_them(tmp_path: Path, listed: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    row = {"file_name": "in/a.png", "problem": "How long is AB, in cm?", "answer": "5"}
    text = json.dumps(row) if listed.endswith("l") else ",".join(row) + "\n" + ",".join(f'"{v}"' for v in row.values())
    (tmp_path / listed).write_text(text + "\n")
    (only,) = load_problems(sections.Problems(source="folder", path=str(tmp_path)))
    assert (only.images, only.question, only.source) == ((PNG,), "<image>How long is AB, in cm?", tmp_path.name)


def released(folder: Path, number: int, split: str = "train", **said: Any) -> None:
    """A problem as Inter-GPS released Geometry3K."""
    place = folder / split / str(number)
    place.mkdir(parents=True)
    problem = {"compact_text": "Find AB.", "problem_text": "Find A B.", "choices": ["30", "40"], "answer": "B"}
    more = {"id": number, "data_type": split, "source": "textbook1_chapter_7.pdf", "precise_value": [30.0, 40.0]}
    (place / "data.json").write_text(json.dumps(problem | more | said))
    forms = {"diagram_logic_form": ["Equals(LengthOf(Line(A, B)), x+5)", ""], "circle_instances": [""]}
    (place / "logic_form.json").write_text(json.dumps(forms))
    (place / "img_diagram.png").write_bytes(PNG)
    (place / "img_diagram_point.png").write_bytes(picture(size=(5, 5)))


def test_geometry3k_is_read_as_inter_gps_released_it(tmp_path: Path) -> None:
    for number in (10, 9):
        released(tmp_path, number)
    released(tmp_path, 2401, "test")
    settings = sections.Problems(source="inter_gps", path=str(tmp_path))
    first, second = taken(settings, ("logic_form",))
    assert isinstance(first, Taken) and isinstance(second, Taken)
    assert (first.problem.id, second.problem.id) == ("9", "10")
    assert (first.problem.question, first.problem.choices) == ("<image>Find AB.", ("30", "40"))
    assert (first.problem.answer, first.problem.answer_type, first.problem.images) == ("B", "letter", (PNG,))
    assert first.given == (Given("9", "logic_form", 0, "Equals(LengthOf(Line(A, B)), x+5)"),)
    (named, _) = load_problems(replace(settings, columns=sections.Columns(images="img_diagram_point")))
    assert named.images == (picture(size=(5, 5)),)
    assert [one.split for one in load_problems(replace(settings, split=""))] == ["heldout", "train", "train"]


def test_a_damaged_release_is_refused_by_its_place(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        released(tmp_path, number)
    (tmp_path / "train" / "1" / "data.json").write_text("{")
    (tmp_path / "train" / "2" / "img_diagram.png").unlink()
    (tmp_path / "train" / "3" / "logic_form.json").write_text("[]")
    refusals: list[Refusal] = []
    assert [one.id for one in load_problems(sections.Problems(source="inter_gps", path=str(tmp_path)), refusals)] == [
        "4"
    ]
    reasons = [one.reason for one in refusals]
    assert reasons[0].startswith("1/data.json: no JSON: ")
    assert "there is no file 'train/2/img_diagram.png'" in reasons[1]
    assert reasons[2] == "3/logic_form.json: no JSON object but list"
    with pytest.raises(ConfigError, match=r"expected train/NUMBER/data\.json"):
        list(load_problems(sections.Problems(source="inter_gps", path=str(tmp_path / "nowhere"))))


@pytest.mark.parametrize("name", ["a" * 5_000, "a\0b", "loop"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refusals: list[Refusal] = []
    settings = jsonl(tmp_path, LINE, {**LINE, "images": name})
    assert len(list(load_problems(settings, refusals))) == 1
    assert len(refusals) == 1
    assert len(content_of(settings)) == 64


@pytest.mark.parametrize("field", ["problem", "id", "source", "diagram_logic_form"])
def test_half_a_character_refuses_its_row(tmp_path: Path, field: str) -> None:
    settings = jsonl(tmp_path, {**LINE, "diagram_logic_form": ["A"]}, {**LINE, field: "x \ud800"})
    refusals = [one for one in taken(settings, (), ("logic_form",)) if isinstance(one, Refusal)]
    assert len(refusals) == 1
    assert refusals[0].reason.startswith("half a character")
    assert f"{refusals[0].problem} {refusals[0].reason}".encode()


def test_a_line_of_too_many_brackets_is_refused_like_any_other_that_is_no_json(tmp_path: Path) -> None:
    refusals: list[Refusal] = []
    assert len(list(load_problems(jsonl(tmp_path, LINE, "[" * 100_000), refusals))) == 1
    assert [one.reason.partition(":")[0] for one in refusals] == ["no JSON"]


def test_the_digest_of_ones_own_files_is_of_all_that_they_hold(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    settings = jsonl(tmp_path, LINE)
    before = content_of(settings)
    assert content_of(jsonl(tmp_path / "other", LINE)) == before, "wherever they lie"
    (tmp_path / "a.png").write_bytes(picture(size=(5, 5)))
    assert content_of(settings) != before, "a picture that a row names"
    assert content_of(jsonl(tmp_path, {**LINE, "answer": "6"})) != before
    assert content_of(parquet(tmp_path, ROW)) != content_of(parquet(tmp_path, ROW, ROW))
    released(tmp_path, 1)
    release = sections.Problems(source="inter_gps", path=str(tmp_path))
    before = content_of(release)
    (tmp_path / "train" / "1" / "logic_form.json").write_text("{}")
    assert content_of(release) != before
    assert content_of(sections.Problems(source="hub", repo="a/b", revision="c")) == ""


def test_a_folder_without_a_list_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metadata.jsonl or metadata.csv in .*file_name, problem, answer"):
        list(load_problems(sections.Problems(source="folder", path=str(tmp_path))))


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    columns = sections.Columns(images="image", question="query", answer="gt", group="pair", id="pid")
    row = {"image": {"bytes": PNG, "path": None}, "query": "How long?", "gt": 5, "pair": "g1", "pid": 9}
    (only,) = load_problems(parquet(tmp_path, row, columns=columns))
    assert (only.id, only.group, only.answer, only.images) == ("9", "g1", "5", (PNG,))


def test_a_missing_column_is_told_with_the_ones_there_are_and_the_mapping_to_write(tmp_path: Path) -> None:
    row = {"images": [{"bytes": PNG}], "problems": "x", "answer": "5"}
    with pytest.raises(ConfigError) as error:
        list(load_problems(parquet(tmp_path, row)))
    assert "has no column 'problem'; it has images, problems, answer" in str(error.value)
    assert "--set annotate.problems.columns.question=problems" in str(error.value)


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [("train", ["a"]), ("test", ["b"]), ("", ["a", "b", "c"]), ("validation", ["c"])],
)
def test_a_row_that_says_its_split_keeps_it(tmp_path: Path, wanted: str, kept: list[str]) -> None:
    said = dict(zip("abc", ["train", "test", "val"], strict=True))
    rows = [{**ROW, "id": name, "split": split} for name, split in said.items()]
    problems = list(load_problems(parquet(tmp_path, *rows, split=wanted)))
    assert [problem.id for problem in problems] == kept
    of = {"a": "train", "b": "heldout", "c": "validation"}
    assert [problem.split for problem in problems] == [of[name] for name in kept]


def test_rows_that_say_no_split_are_of_the_one_that_is_asked_for(tmp_path: Path) -> None:
    (only,) = load_problems(parquet(tmp_path, ROW, split="test"))
    assert only.split == "heldout"


def test_what_a_data_set_has_beside_the_problem_comes_with_it(tmp_path: Path) -> None:
    info = "<info1>AB is 5.</info1><info2>Angle A is 30 degrees.</info2>"
    rows = [{**ROW, "id": "a", "visual_key_info": info}, {**ROW, "id": "b", "visual_key_info": None}]
    first, second = taken(parquet(tmp_path, *rows), ("annotation",))
    assert isinstance(first, Taken) and isinstance(second, Taken)
    assert first.given == (
        Given("a", "annotation", 0, "AB is 5."),
        Given("a", "annotation", 1, "Angle A is 30 degrees."),
    )
    assert second.given == ()


def test_the_column_that_is_annotated_from_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column 'diagram_logic_form'.*columns.logic_forms="):
        list(taken(parquet(tmp_path, ROW), ("logic_form",)))


# ---------------------------------------------------------------- rows of no use


BAD = [{**LINE, "images": "b.png"}, "{no json", "[1]", {**LINE, "answer": ""}, {"problem": "x"}]


def test_bad_rows_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    refusals: list[Refusal] = []
    problems = list(load_problems(jsonl(tmp_path, LINE, *BAD, {**LINE, "id": "last"}), refusals))
    assert [problem.id for problem in problems] == ["data-000000", "last"]
    assert [refusal.row for refusal in refusals] == [f"data, row {number}" for number in range(1, 6)]
    reasons = [refusal.reason for refusal in refusals]
    assert reasons[0].startswith("image 0: there is no file 'b.png'")
    assert reasons[1].startswith("no JSON")
    assert reasons[2:] == ["no JSON object but list", "no answer", "no 'images'"]


def test_strict_ends_at_the_first_bad_row(tmp_path: Path) -> None:
    rows = load_problems(jsonl(tmp_path, LINE, *BAD, strict=True), [])
    assert next(rows).id == "data-000000"
    with pytest.raises(BadProblem, match=r"data, row 1: image 0: there is no file"):
        next(rows)


def test_strict_is_no_part_of_what_comes_out() -> None:
    assert sections.identity(sections.Problems(strict=True)) == sections.identity(sections.Problems())


# ---------------------------------------------------------------- pictures


def animated(kind: str) -> bytes:
    return picture(kind, save_all=True, append_images=[Image.new("RGB", (4, 4), "red")])


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        pytest.param(b"", "x.png", "no bytes", id="zero-bytes"),
        pytest.param(png_header(0, 5), "x.png", "does not open|pixels are none", id="zero-wide"),
        pytest.param(png_header(60_000, 60_000), "x.png", "does not open|are more than", id="bomb-by-its-header"),
        pytest.param(picture("PNG", "1", (8000, 8000)), "x.png", "8000 x 8000 pixels are more", id="large"),
        pytest.param(PNG[:44], "x.png", "does not open", id="corrupt"),
        pytest.param(b"<svg/>", "x.png", "does not open", id="no-picture"),
        pytest.param(picture("JPEG"), "x.png", "'x.png' is no .png but JPEG; rename it", id="wrong-extension"),
        pytest.param(picture("JPEG", "CMYK"), "x.jpg", "mode CMYK", id="cmyk"),
        pytest.param(picture("PNG", "I;16"), "x.png", "mode I;16", id="16-bit"),
        pytest.param(animated("GIF"), "x.gif", "an animation of 2", id="gif"),
        pytest.param(animated("PNG"), "x.png", "an animation of 2", id="apng"),
        pytest.param(animated("WEBP"), "x.webp", "an animation of 2", id="webp"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_by_its_row(tmp_path: Path, data: bytes, name: str, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    refusals: list[Refusal] = []
    problems = list(load_problems(jsonl(tmp_path, {**LINE, "images": name, "id": "bad"}, LINE), refusals))
    assert len(problems) == 1
    (refusal,) = refusals
    assert refusal.problem == "bad"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(refusal.reason)


@pytest.mark.parametrize(
    "way", ["../outside.png", "in/../../outside.png", "link.png", "linked/outside.png", "absolute"]
)
def test_a_path_does_not_lead_out_of_the_folder(tmp_path: Path, way: str) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside.png"
    (home / "in").mkdir(parents=True)
    outside.write_bytes(PNG)
    (home / "link.png").symlink_to(outside)
    (home / "linked").symlink_to(tmp_path)
    refusals: list[Refusal] = []
    settings = jsonl(home, {**LINE, "images": str(outside) if way == "absolute" else way})
    assert list(load_problems(settings, refusals)) == []
    assert "leads out of" in refusals[0].reason


# ---------------------------------------------------------------- golds


@pytest.mark.parametrize(
    ("answer", "choices", "normal"),
    [
        (r"2 \sqrt { 221 }", (), r"2 \sqrt{221}"),
        (r"$\frac { 20 } { 3 }$", (), r"\frac{20}{3}"),
        (r"\boxed{12}", (), "12"),
        ("12 cm.", (), "12 cm"),
        ("(B)", ("12", "24"), "B"),
        ("B) 24", ("12", "24"), "B"),
        ("24", ("12", "24"), "B"),
        ("24.0", ("12", "24"), "B"),
        ("blue", ("red", "Blue"), "B"),
    ],
)
def test_a_gold_has_one_spelling(answer: str, choices: tuple[str, ...], normal: str) -> None:
    assert normalised(answer, choices) == normal


def test_an_answer_that_is_none_of_the_choices_is_refused() -> None:
    with pytest.raises(BadProblem, match="'7' is none of its 2 choices"):
        normalised("7", ("12", "24"))


def problem(answer: str, kind: Any) -> Problem:
    return Problem("p", (PNG,), "<image>?", answer, kind, "s", "g", "train")


@pytest.mark.parametrize(
    ("answer", "kind", "holds"),
    [
        (r"2 \sqrt{221}", "math", True),
        ("12", "integer", True),
        ("0.5", "float", True),
        ("yes", "yes_no", True),
        ("B", "letter", True),
        ("see the figure", "integer", False),
        ("maybe", "yes_no", False),
        ("x = 3 or x = 4 or what you like", "float", False),
    ],
)
def test_a_gold_is_proved_against_the_grader_that_will_use_it(answer: str, kind: str, holds: bool) -> None:
    assert (unproven(problem(answer, kind)) == "") is holds


def test_a_row_whose_gold_does_not_hold_is_listed(tmp_path: Path) -> None:
    refusals: list[Refusal] = []
    rows = [{**ROW, "answer_type": "integer", "answer": "see the figure"}, {**ROW, "answer_type": None}]
    assert len(list(load_problems(parquet(tmp_path, *rows), refusals))) == 1
    assert "its answer 'see the figure' is no integer" in refusals[0].reason


def test_of_a_parquet_file_one_row_group_is_in_memory_at_a_time(tmp_path: Path) -> None:
    path, one = tmp_path / "rows.parquet", 1 << 20
    schema = pa.schema([("images", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for _ in range(40):
            file.write_table(pa.table({"images": [b"x" * one]}, schema=schema))
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in rows_in(path)]
    assert len(held) == 40
    assert max(held) < 8 * one
