"""What the page says in words and tables: what was made, by what, what is missing, how to make it again."""

from typing import Any

from dsfactory.models.presets import PRESETS
from dsfactory.report.evaluation import Measured, Table
from dsfactory.report.plots import percent, plain
from dsfactory.report.recipe import commands, versions
from dsfactory.report.sample import STATES
from dsfactory.report.selection import Chosen
from dsfactory.report.source import Source
from dsfactory.report.splices import Splices
from dsfactory.report.statistics import Statistics


def describe_choice(chosen: Chosen, statistics: Statistics) -> str:
    """Say aloud which samples the gallery shows."""
    total = f"{statistics.total:,}"
    if chosen.random is None:
        return f"All {total} samples." if statistics.total > 1 else "The one sample."
    parts = [f"the {chosen.worst:,} with the lowest agreement"] if chosen.worst else []
    if chosen.refused:
        refused = sum(statistics.states[state] for state in ("rejected", "failed", "dropped"))
        parts.append(f"{chosen.refused:,} of the {refused:,} left out")
    parts.append(f"{chosen.random:,} at random")
    return (
        f"{len(chosen):,} of {total} samples: {', '.join(parts[:-1])}{' and ' if parts[:-1] else ''}{parts[-1]}. "
        "The numbers below count all; --max-samples shows more."
    )


def about(source: Source, statistics: Statistics, measured: Measured, splices: Splices) -> dict[str, Any]:
    """Title, what was made and by which model, and how to make it again."""
    config = source.config
    drawn = statistics.total - statistics.states["planned"]
    names = list(statistics.classes)
    title = _join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"
    masks = statistics.area.total
    lede = f"{statistics.total:,} prompts, nothing drawn yet."
    if drawn:
        lede = f"{drawn:,} images of {len(names)} {'class' if len(names) == 1 else 'classes'}"
        lede += f", {statistics.states['kept']:,} of them labelled." if masks else ", not labelled yet."
    given = config.annotate is not None
    preset = PRESETS.get(config.generate.model)
    drawn_by = f"{'Given pictures, labelled' if given else 'Drawn'} by {config.generate.model}"
    drawn_by += f": {preset.draws}." if preset and not given else "."
    if config.generate.model == "pocket" and not given:
        drawn_by += " --model sd15 draws photographs."
    tiles = [{"label": "images", "value": f"{drawn:,}", "note": ""}]
    if masks:
        decided = drawn - statistics.states["drawn"]
        tiles += [
            {"label": "in the dataset", "value": f"{statistics.states['kept']:,}",
             "note": percent(statistics.states["kept"] / decided)},
            {"label": "objects", "value": f"{sum(item.objects for item in statistics.classes.values()):,}", "note": ""},
            {"label": "median agreement", "value": plain(statistics.agreement.median), "note": "IoU"},
        ]  # fmt: skip
    if measured.ratio is not None:
        tiles.append({"label": "of real-data mIoU", "value": f"{measured.ratio:.0%}", "note": ""})
    made = [("model", config.generate.model)]
    if preset is not None:
        made.append(("licence", preset.licence))
    made += _settings(source.states["generate"].identity if "generate" in source.states else {})
    made += [] if given else [("captions", config.prompts.corpus)]
    made.append(("seed", str(config.seed)))
    lists = [{"title": "Drawn with", "rows": made}]
    used = versions(source.run.path)
    if used:
        lists.append({"title": "Versions", "rows": list(used.items())})
    lists.append(
        {"title": "Fingerprints", "rows": [(stage, state.fingerprint) for stage, state in source.states.items()]}
    )
    return {
        "title": title,
        "lede": lede,
        "drawn_by": drawn_by,
        "tiles": tiles,
        "command": "\n".join(commands(config, [*source.states, *(["splice"] if splices.total else [])])),
        "config": config.to_yaml(),
        "fact_lists": lists,
    }


def _settings(identity: dict[str, Any]) -> list[tuple[str, str]]:
    """What a stage's identity says in plain values, those of the model with its name before them."""
    flat = {name: value for name, value in identity.items() if name not in ("model", "seed", "classes")}
    model = identity.get("model")
    flat |= {f"model {name}": value for name, value in (model if isinstance(model, dict) else {}).items()}
    return [
        (name.replace("_", " "), str(value))
        for name, value in flat.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool) and name != "model model"
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def notices(source: Source, measured: Measured, splices: Splices) -> list[dict[str, str]]:
    total = source.run.total
    lines = [
        f"{stage}: {done:,} of {total:,} samples are finished."
        for stage in source.states
        if (done := sum(len(spec) for spec in source.run.shards() if spec.index in source.shards[stage])) < total
    ]
    found = [{"kind": "", "text": line} for line in lines]
    if source.outdated:
        names = _join(source.outdated)
        text = f"What {names} made is left out here: what it was made from has been made again since."
        found.append({"kind": "bad", "text": text})
    if source.damaged:
        text = f"Damaged, and left out here: {'; '.join(source.damaged[:5])}. "
        text += "'dsfactory verify RUN --repair' makes them again."
        found.append({"kind": "bad", "text": text})
    if source.fixes.entries:
        text = f"{len(source.fixes.entries):,} masks were fixed by hand: the gallery shows them, "
        text += "the numbers are of those before."
        found.append({"kind": "", "text": text})
    if splices.problem:
        found.append({"kind": "bad", "text": f"Splices are left out here: {splices.problem}."})
    if measured.unreadable:
        found.append({"kind": "bad", "text": f"{_join(measured.unreadable)}: not what dsfactory evaluate writes."})
    return found


def class_table(statistics: Statistics) -> Table:
    used = [state for state in STATES if statistics.states[state]]
    masks = statistics.area.total > 0
    header = ["Class", "Images", *used]
    if masks:
        header += ["Keep share", "Objects", "Median agreement", "Median area"]
    rows = []
    for item in statistics.classes.values():
        row = [item.name, f"{item.total:,}", *[f"{item.states[state]:,}" for state in used]]
        if masks:
            share = item.keep_share
            area = item.area.median
            row += ["–" if share is None else percent(share), f"{item.objects:,}", plain(item.agreement.median),
                    "–" if area is None else percent(area)]  # fmt: skip
        rows.append(row)
    return Table("By class", header, rows)
