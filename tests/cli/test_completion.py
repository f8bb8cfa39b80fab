"""What the shell offers."""

import pytest
from typer.main import get_command

from dsfactory.cli.app import app


def offered(monkeypatch, capsys, line: str) -> list[str]:
    """What bash is told for a line, whose last word is not finished."""
    words = line.split(" ")
    monkeypatch.setenv("_DSFACTORY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit):
        get_command(app).main([], prog_name="dsfactory")
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dsfactory re", {"refine", "report"}),
        ("dsfactory generate --model sd", {"sd15", "sd21"}),
        ("dsfactory refine --crf ", {"lattice", "pydensecrf", "off"}),
        ("dsfactory filter --segmenter ", {"efficientnet-lite0"}),
        ("dsfactory export a --format co", {"coco"}),
        ("dsfactory run --format coco,v", {"coco,voc"}),
        ("dsfactory export a --without fi", {"filter"}),
        ("dsfactory refine --set refine.cert", {"refine.certainty="}),
        ("dsfactory refine --set see", {"seed="}),
        ("dsfactory run --spl", {"--splice"}),
    ],
)
def test_values_are_offered(monkeypatch, capsys, line, expected):
    assert {*offered(monkeypatch, capsys, line)} >= expected
