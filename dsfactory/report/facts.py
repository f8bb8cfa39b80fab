"""What the page says in words and tables: what was made, by what, what is missing, how to make it again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from dsfactory.core.words import counted
from dsfactory.dataset.own_files import FOREIGN
from dsfactory.jobs.naming import asks_model, standing_notes
from dsfactory.models.presets import PRESETS
from dsfactory.report.composed import Section
from dsfactory.report.evaluation import Measured, Table
from dsfactory.report.plots import percent, plain
from dsfactory.report.recipe import commands, flat, versions
from dsfactory.report.sample import STATES
from dsfactory.report.selection import Chosen
from dsfactory.report.source import Source
from dsfactory.report.statistics import Statistics
from dsfactory.trust.run import table_of


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


def about(source: Source, statistics: Statistics, measured: Measured) -> dict[str, Any]:
    """Title, what was made and by which model, and how to make it again."""
    names = list(statistics.classes)
    title = _join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"
    return {
        "title": title,
        "lede": _lede(statistics),
        "drawn_by": _drawn_by(source),
        "tiles": _tiles(statistics, measured),
        "command": "\n".join(commands(source.config, source.stages)),
        "config": source.config.to_yaml(),
        "fact_lists": _fact_lists(source),
    }


def _lede(statistics: Statistics) -> str:
    drawn, count = _drawn(statistics), len(statistics.classes)
    if not drawn:
        return f"{statistics.total:,} prompt{'' if statistics.total == 1 else 's'}, nothing drawn yet."
    text = f"{drawn:,} image{'' if drawn == 1 else 's'} of {counted(count, 'class', 'classes')}"
    masks = statistics.labelled
    return text + (f", {statistics.states['kept']:,} of them labelled." if masks else ", not labelled yet.")


def _drawn(statistics: Statistics) -> int:
    return statistics.total - statistics.states["planned"]


def _drawn_by(source: Source) -> str:
    preset = PRESETS.get(source.model)
    if not asks_model(member.kind for member in source.members):
        return "Given images with their labels."
    if source.given:
        knows = f", which knows {preset.draws}" if preset is not None and preset.classes else ""
        return f"Given pictures, labelled by {source.model}{knows}."
    text = f"Drawn by {source.model}{f': {preset.draws}' if preset else ''}." if source.model else ""
    return text + (" --model sd15 draws photographs." if source.model == "pocket" else "")


def _tiles(statistics: Statistics, measured: Measured) -> list[dict[str, str]]:
    drawn, kept = _drawn(statistics), statistics.states["kept"]
    tiles = [("images", f"{drawn:,}", "")]
    if statistics.labelled:
        tiles.append(("in the dataset", f"{kept:,}", percent(kept / (drawn - statistics.states["drawn"]))))
        tiles.append(("objects", f"{sum(item.objects for item in statistics.classes.values()):,}", ""))
    if statistics.agreement.total:
        tiles.append(("median agreement", plain(statistics.agreement.median), "IoU"))
    if measured.ratio is not None:
        tiles.append(("of real-data mIoU", f"{measured.ratio:.0%}", ""))
    return [{"label": label, "value": value, "note": note} for label, value, note in tiles]


def _fact_lists(source: Source) -> list[dict[str, Any]]:
    """What the page says of the run, of each stage (its settings, and what became of its samples) and of versions."""
    made = [("seed", str(source.config.seed))]
    if source.model:
        made.insert(0, ("model", source.model))
    if source.model in PRESETS:
        made.append(("licence", PRESETS[source.model].licence))
    lists = [{"title": "Run", "rows": made}]
    for member in source.members:
        rows = [*_settings(member.state.identity), *member.kind.describe_rows(source.rows(member))]
        lists.append({"title": member.kind.name, "rows": rows})
    if used := versions(source.run.path):
        lists.append({"title": "Versions", "rows": list(used.items())})
    marks = [(member.kind.name, member.state.fingerprint) for member in source.members]
    return [*lists, {"title": "Fingerprints", "rows": marks}]


def _settings(identity: dict[str, Any]) -> list[tuple[str, str]]:
    """What a stage's identity says in plain values; the run's seed is said once for all."""
    return [
        (name.replace("_", " ").replace(".", " "), str(value))
        for name, value in flat(identity).items()
        if isinstance(value, str | int | float) and not isinstance(value, bool) and name != "seed"
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def notices(source: Source, measured: Measured, sections: Sequence[Section]) -> list[dict[str, str]]:
    """What a person should know before the rest."""
    total, shards = source.run.total, source.run.shards()
    done = {folder: sum(len(spec) for spec in shards if spec.index in there) for folder, there in source.shards.items()}
    lines = [f"{name}: {count:,} of {total:,} samples are finished." for name, count in done.items() if count < total]
    found = [{"kind": "", "text": line} for line in lines]
    if asks_model(member.kind for member in source.members):
        found += [{"kind": "bad", "text": f"{line}."} for line in standing_notes(source.config)]
    if foreign := _foreign(source):
        text = f"{foreign:,} of {total:,} pictures are foreign: {source.model} draws nothing like them, and its labels "
        found.append({"kind": "bad", "text": f"{text}would be nonsense. They are left out."})
    if source.outdated:
        names = _join(source.outdated)
        text = f"What {names} made is left out here: what it was made from has been made again since."
        found.append({"kind": "bad", "text": text})
    if source.damaged:
        text = f"Damaged, and left out here: {'; '.join(source.damaged[:5])}. "
        text += "'dsfactory verify RUN --repair' makes them again."
        found.append({"kind": "bad", "text": text})
    if source.corrections.entries:
        words = Counter(entry.in_words for entry in source.corrections.entries.values())
        said = ", ".join(f"{count:,} {word.removesuffix(' by hand')}" for word, count in sorted(words.items()))
        text = f"By hand: {said}. The gallery shows it, the numbers are of what was before."
        found.append({"kind": "", "text": text})
    for section in sections:
        if section.problem:
            text = f"What {section.name} made is left out here: {section.problem}."
            found.append({"kind": "bad", "text": text})
    if measured.unreadable:
        found.append({"kind": "bad", "text": f"{_join(measured.unreadable)}: not what dsfactory evaluate writes."})
    return found


def score_meanings(source: Source, scores: Iterable[str]) -> list[tuple[str, str]]:
    """What each score means, as the stages of the run say it; those that no stage explains are left out."""
    said = {name: text for member in source.members for name, text in member.kind.meanings.items()}
    said["trust"] = (
        "Of the class's weakest object: the probability that its IoU with the truth is 0.8 or more. Calibrated on "
        f"{table_of(source.run.path).calibrated}."
    )
    return [(name, said[name]) for name in scores if name in said]


def _foreign(source: Source) -> int:
    """How many given pictures lie too far from what the model draws."""
    given = [member for member in source.members if member.kind.given]
    return sum(row["reason"] == FOREIGN for member in given for row in source.rows(member))


def domain_table(statistics: Statistics) -> Table | None:
    """Kept samples of all, by class and domain; None for a run without domains."""
    names = list(dict.fromkeys(domain for _, domain in statistics.domains))
    if not names:
        return None
    rows = []
    for item in statistics.classes:
        cells = [statistics.domains.get((item, name), Counter()) for name in names]
        said = [
            f"{cell['kept']:,} of {cell.total():,}" if statistics.labelled else f"{cell.total():,}" for cell in cells
        ]
        rows.append([item, *said])
    return Table("By class and domain", ["Class", *names], rows)


def class_table(statistics: Statistics) -> Table:
    used = [state for state in STATES if statistics.states[state]]
    masks = statistics.labelled
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
