"""Plots as part of the page: valid, themed, labelled, and the same each time."""

from xml.etree import ElementTree

import pytest

from dsfactory.report.plots import draw_plots
from dsfactory.report.sample import Sample
from dsfactory.report.statistics import Histogram, Statistics, source_kind

SVG = "{http://www.w3.org/2000/svg}"


def statistics(total=20, classes=("rock & roll", "d'or"), **changes):
    found = Statistics(classes)
    for number in range(total):
        fields = dict(
            key=f"{number:08d}", number=number, class_name=classes[number % len(classes)],
            classes=(classes[number % len(classes)],), prompt="", source="<i>file</i>:3", seed=1, status="ok",
            threshold=(0.35 + 0.01 * (number % 20),), agreement=(number / total,), area=(0.2,), components=(1,),
        )  # fmt: skip
        found.add(Sample(**{**fields, **changes}))
    return found


def test_every_plot_is_xml_without_styles_and_with_a_label():
    plots = draw_plots(statistics())
    assert [plot.name for plot in plots] == ["classes", "keep", "threshold", "agreement", "area", "sources"]
    identifiers = []
    for plot in plots:
        root = ElementTree.fromstring(str(plot.svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        assert root.attrib["role"] == "img" and plot.title in root.attrib["aria-label"]
        classes = set()
        for item in root.iter():
            assert "style" not in item.attrib
            classes |= set(item.attrib.get("class", "").split())
            identifiers += [item.attrib["id"]] if "id" in item.attrib else []
        assert classes - {"plot"} == {rule.split("{")[0].strip(".") for rule in plot.css.split("}") if rule}
        assert "#0d51" not in plot.css and "var(--" in plot.css
    assert len(identifiers) == len(set(identifiers))  # they share one document


def test_names_are_text_and_bars_say_their_numbers():
    bars = draw_plots(statistics())[0]
    root = ElementTree.fromstring(str(bars.svg))
    assert {"rock & roll", "d'or"} <= {item.text for item in root.iter("text")}
    assert {"rock & roll, kept: 10", "d'or, kept: 10"} == {item.text for item in root.iter("title")}
    assert "<i>" not in draw_plots(statistics())[-1].svg


def test_equal_numbers_give_equal_plots():
    assert [plot.svg for plot in draw_plots(statistics())] == [plot.svg for plot in draw_plots(statistics())]


def test_a_run_with_many_classes_says_what_is_left_out():
    plot = draw_plots(statistics(120, tuple(f"class {number}" for number in range(60))))[0]
    assert "The first 24 of 60 are plotted." in plot.caption
    assert len(list(ElementTree.fromstring(str(plot.svg)).iter("title"))) == 24


def test_before_there_are_masks_there_are_no_plots_of_masks():
    found = statistics(reached="planned", status=None, threshold=None, agreement=None, area=None, components=None)
    assert [plot.name for plot in draw_plots(found)] == ["classes", "sources"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_are_right_to_a_bin(share):
    histogram = Histogram()
    for value in range(1001):
        histogram.add(0.2 + 0.5 * value / 1000)
    histogram.add(None)
    assert histogram.total == 1001
    assert histogram.quantile(share) == pytest.approx(0.2 + 0.5 * share, abs=0.006)
    assert histogram.mean == pytest.approx(0.45)
    assert histogram.share_below(0.45) == pytest.approx(0.5, abs=0.01)
    assert Histogram().median is None


def test_counts():
    found = statistics(10)
    assert found.total == found.states["kept"] == 10
    assert found.classes["d'or"].objects == 5 and found.classes["d'or"].keep_share == 1.0
    rejected = statistics(10, status="rejected", reason="no mask", area=(0.0,))
    assert rejected.reasons == {("rejected", "no mask"): 10}
    assert rejected.area.total == 0 and rejected.classes["d'or"].keep_share == 0.0


def test_sources_are_told_by_their_kind():
    kinds = [source_kind(source) for source in ("coco-val2017:42#2", "template", "template#3", "subclass:beagle")]
    assert kinds == ["coco-val2017", "template", "template", "subclass"]
