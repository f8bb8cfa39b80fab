"""What the shell is offered for values of flags. Heavy modules are imported when it asks."""

from collections.abc import Callable, Iterator, Sequence


def offering(values: Sequence[str]) -> Callable[[str], list[str]]:
    """Offers a fixed choice, to which other values may come."""

    def offer(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return offer


def formats(incomplete: str) -> list[str]:
    """Export formats; several are separated by commas."""
    from dsfactory.formats import FORMATS

    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in FORMATS if name.startswith(last) and name not in taken]


def stages(incomplete: str) -> list[str]:
    """Stages whose results may be left out of an export."""
    from dsfactory.stages import STAGES

    return [name for name in STAGES.names if name.startswith(incomplete)]


def settings(incomplete: str) -> Iterator[tuple[str, str]]:
    """``section.name=`` with what it does."""
    from dsfactory.jobs.describe import settings as all_settings

    for setting in all_settings():
        name = ".".join(setting.path)
        if not setting.section and name.startswith(incomplete):
            yield f"{name}=", setting.text
