"""What the command line says when it is ended, or when something happens that nobody foresaw."""

from pathlib import Path

import click
import pytest

from flows import cli


def ended_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The exit code of a command that raises the error."""

    def fails() -> None:
        raise error

    monkeypatch.setitem(cli.cli.commands, "fails", click.Command("fails", callback=fails))
    monkeypatch.setattr("sys.argv", ["perception-r1", "fails", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_an_interrupted_command_says_that_it_can_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(KeyboardInterrupt(), monkeypatch) == 1
    assert "interrupted; what is finished is kept" in capsys.readouterr().err


def test_what_nobody_foresaw_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(OSError(28, "No space left on device"), monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith("perception-r1: OSError: [Errno 28] No space left on device; ")
    assert said.count("\n") == 1
    assert ended_with(OSError(28, "No space left on device"), monkeypatch, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_store_without_a_name_is_the_usual_one_and_not_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERCEPTION_R1_STORE", raising=False)
    cli.cli.main(["--store", "", "artifacts"], standalone_mode=False)
    assert f"The store at {tmp_path / '.perception-r1'} has nothing yet" in " ".join(capsys.readouterr().out.split())
