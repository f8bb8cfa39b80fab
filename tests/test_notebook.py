"""The quickstart notebook runs from top to bottom, and runs and samples show themselves."""

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

import dsfactory as ds

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def test_a_run_and_a_sample_show_themselves(tiny_run):
    run = ds.open_run(tiny_run)
    sample = next(run.samples())
    assert sample._repr_html_().count("data:image/png;base64,") == 2 and sample.key in sample._repr_html_()
    page = run._repr_html_()
    assert "refine" in page and "dog, bird" in page and page.count(" · ") >= 1 and page.count("<img") >= 2


def test_a_prompt_is_shown_as_text(tiny_run):
    sample = next(ds.open_run(tiny_run).samples())
    sample.row["prompt"] = "<script>"
    assert "<script>" not in sample._repr_html_() and "&lt;script&gt;" in sample._repr_html_()


def test_the_notebook_is_clean_and_its_cells_are_python():
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile("".join(cell["source"]), "cell", "exec")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    """By nbclient where it is installed, else its cells one after the other."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError:
        cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
        names: dict[str, object] = {}
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(tmp_path):
            patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
            for cell in cells:
                if cell["cell_type"] == "code":
                    exec("".join(cell["source"]), names)
        assert names["summary"].made
        return
    done = NotebookClient(nbformat.read(NOTEBOOK, 4), timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    assert "<img" in done.cells[1].outputs[-1]["data"]["text/html"]
