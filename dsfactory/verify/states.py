"""What each stage of a run was made with, however damaged some of it may be."""

from collections.abc import Sequence

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.lineage import Member, members_of
from dsfactory.core.registry import Begun
from dsfactory.core.run import STATE, Run
from dsfactory.core.space import LAYOUT, space_of
from dsfactory.core.stage import Stage, fingerprint
from dsfactory.errors import UserError
from dsfactory.stages import STAGES


def kinds_in(folder: str) -> list[type[Stage]]:
    """The stages that may have a folder of a run. All or none of them have a sample space of their own."""
    return [kind for kind in STAGES if kind.folder == folder]


def examine_states(run: Run, found: Findings) -> list[Member]:
    """The stages of a run whose shards can be examined, in order; what is wrong with them goes to ``found``."""
    members = members_of(run, begun_stages(run, found))
    broken = {fault.stage for fault in found.faults}
    for member in members:
        name, state = member.kind.name, member.state
        before = STAGES.folders[: STAGES.folders.index(member.folder)]
        if not member.current and broken.isdisjoint(before):
            text = f"what it was made of was made again with other settings since: 'dsfactory {name} --redo' follows"
            found.faults.append(Fault(f"{member.folder}/{STATE}", text, member.folder))
        if state.version != member.kind.version:
            found.notes.append(f"{name} was made by version {state.version} of its algorithm and is not examined")
    return [member for member in members if member.state.version == member.kind.version]


def begun_stages(run: Run, found: Findings) -> list[Begun]:
    """The stages that a run has begun, in order, leaving out those whose ``stage.json`` cannot be used."""
    begun: list[Begun] = []
    for folder in STAGES.folders:
        place, kinds = f"{folder}/{STATE}", kinds_in(folder)
        try:
            state = run.stage_state(folder)
        except UserError as error:
            found.faults.append(Fault(place, str(error), folder))
            continue
        if state is None:
            if any((run.stage_folder(folder)).glob("[0-9]*.parquet")):
                found.faults.append(Fault(place, "is missing, though there are shards", folder))
            continue
        kind = next((kind for kind in kinds if kind.made(state)), None)
        if kind is None or fingerprint(folder, state.version, state.identity, state.upstream) != state.fingerprint:
            found.faults.append(Fault(place, "its fingerprint does not fit its settings", folder))
        if kind is not None:
            begun.append(Begun(kind, state))
    return begun


def spaces_of(run: Run, members: Sequence[Member], found: Findings) -> list[tuple[Run, list[Member]]]:
    """The sample spaces of a run, each with the stages whose shards stand in it; unreadable ones go to ``found``."""
    spaces = [(run, [member for member in members if not member.kind.own_space])]
    for member in members:
        if member.kind.own_space:
            try:
                spaces.append((space_of(run, member.kind), [member]))
            except UserError as error:
                found.faults.append(Fault(f"{member.folder}/{LAYOUT}", str(error)))
    return spaces
