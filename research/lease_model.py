"""The lock in a bucket as an explicit-state model: every order of requests, every sleep, every death.

    python -m research.lease_model --processes 2 --sleeps 2
    python -m research.lease_model --processes 3 --sleeps 1

Each process of :mod:`dsfactory.storage.lease` is a small machine whose steps are single requests to the store. Between
any two steps it may fall asleep for longer than a lease lasts, and wake up later, or die. All reachable states are
visited. What must hold in each of them:

1. *One holder*: no two processes are sure that they hold the lock. Sure is who has taken it and has not slept since it
   last looked.
2. *Nobody between*: who is sure has been the only one since it took the lock, so what it read of the run still holds.
3. *Not for ever*: a process that is awake can get the lock once all others have died.

``--rule deleted`` is the rule of before, where a lock that was let go was deleted, so that its number came again, and
a process looked at the clock after a request. The model shows how it failed.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Rule = Literal["kept", "deleted"]
Lock = tuple[int, int, int]
"""A lock object: number, owner, and which of all locks it is."""
FREE = -1


@dataclass(frozen=True)
class Process:
    """One process; ``step`` names its next request.

    Attributes:
        step: see :func:`steps`.
        number: of its lock object, or the number that it saw last.
        seen: the lock object that it saw, None for no lock.
        stirred: whether that one gave a sign of life since it was watched.
        taken: how many locks had been taken in all when it took its own; 0 without one.
        slept: whether it slept since it was last sure.
        nap: whether it slept since it last looked at the clock.
        asleep, dead: what it is.
        sleeps: how often it may still fall asleep.
    """

    step: str = "list"
    number: int = 0
    seen: Lock | None = None
    stirred: bool = False
    taken: int = 0
    slept: bool = False
    nap: bool = False
    asleep: bool = False
    dead: bool = False
    sleeps: int = 0

    @property
    def sure(self) -> bool:
        return self.holds and not self.slept and not self.dead

    @property
    def holds(self) -> bool:
        return self.step in ("hold", "beat", "sign")


@dataclass(frozen=True)
class State:
    """The store's lock objects, all processes, and how many locks were taken."""

    objects: frozenset[Lock]
    processes: tuple[Process, ...]
    taken: int = 0

    def newest(self) -> int:
        return max((item[0] for item in self.objects), default=0)


def steps(state: State, rule: Rule) -> Iterator[State]:
    """Every state that one step of one process leads to."""
    for place, process in enumerate(state.processes):
        if process.dead:
            continue
        yield _with(state, place, replace(process, dead=True))
        if process.asleep:
            yield _with(state, place, replace(process, asleep=False))
            continue
        if process.sleeps:
            yield _with(state, place, replace(process, asleep=True, slept=True, nap=True, sleeps=process.sleeps - 1))
        yield from _requests(state, place, process, rule)


def _requests(state: State, place: int, process: Process, rule: Rule) -> Iterator[State]:
    """The request that a process makes next."""
    number = state.newest()
    mine = (process.number, place, process.taken)
    if process.step == "list":
        yield _with(state, place, replace(process, step="look", number=number, slept=False))
    elif process.step == "look":  # the object may be gone by now: then nobody can be told
        found = [item for item in state.objects if item[0] == process.number]
        if process.number and not found and rule == "kept":  # gone meanwhile
            yield _with(state, place, replace(process, step="list"))
        else:
            seen = found[0] if found else None
            step = "create" if seen is None or seen[1] == FREE else "watch"
            yield _with(state, place, replace(process, step=step, seen=seen, stirred=False))
    elif process.step == "watch":
        assert process.seen is not None
        holder = state.processes[process.seen[1]]
        silent = holder.dead or holder.asleep or process.seen[1] == place
        let_go = rule == "deleted" and number < process.number
        if number <= process.number and (silent or let_go):
            yield _with(state, place, replace(process, step="create", slept=False))
        else:  # in use, or all has to be looked at again
            yield _with(state, place, replace(process, step="list"))
    elif process.step == "create":
        fresh = process.number + 1
        if any(item[0] == fresh for item in state.objects):
            yield _with(state, place, replace(process, step="list"))
        else:
            serial = state.taken + 1
            objects = state.objects | {(fresh, place, serial)}
            later = replace(process, step="recheck", number=fresh, taken=serial)
            yield replace(_with(state, place, later), objects=objects, taken=serial)
    elif process.step == "recheck":
        if process.slept or number != process.number:
            yield _let_go(state, place, "deleted")
        else:
            yield _with(state, place, replace(process, step="reread" if rule == "kept" else "purge"))
    elif process.step == "reread":  # the one that was watched may have woken up
        if process.stirred or (process.seen is not None and process.seen not in state.objects):
            yield _let_go(state, place, "deleted")
        else:
            yield _with(state, place, replace(process, step="purge"))
    elif process.step == "purge":
        objects = frozenset(item for item in state.objects if item[0] >= process.number)
        slept = process.slept and rule == "kept"
        yield replace(_with(state, place, replace(process, step="hold", slept=slept)), objects=objects)
    elif process.step == "hold":
        yield _with(state, place, replace(process, step="sign" if rule == "kept" else "beat"))
        yield _let_go(state, place, rule)
    elif process.step == "beat":
        if number > process.number:
            yield _with(state, place, replace(process, step="list", taken=0))
        elif rule == "kept":
            yield _with(state, place, replace(process, step="hold", slept=process.nap))
        else:
            yield _with(state, place, replace(process, step="sign"))
    elif process.step == "sign":  # may bring an object back
        objects = frozenset(item for item in state.objects if item[0] != process.number) | {mine}
        later = (
            replace(process, step="beat", nap=False) if rule == "kept" else replace(process, step="hold", slept=False)
        )
        watchers = tuple(replace(other, stirred=True) if other.seen == mine else other for other in state.processes)
        yield replace(_with(replace(state, processes=watchers), place, later), objects=objects)


def _let_go(state: State, place: int, rule: Rule) -> State:
    """A process marks its lock as free, or deletes it."""
    process = state.processes[place]
    objects = frozenset(item for item in state.objects if item[0] != process.number)
    if rule == "kept":
        objects |= {(process.number, FREE, 0)}
    return replace(_with(state, place, replace(process, step="list", taken=0)), objects=objects)


def _with(state: State, place: int, process: Process) -> State:
    processes = (*state.processes[:place], process, *state.processes[place + 1 :])
    return replace(state, processes=processes)


def fault(state: State) -> str | None:
    """The promise that a state breaks."""
    sure = [process for process in state.processes if process.sure]
    if len(sure) > 1:
        return "two processes are sure that they hold the lock"
    held = [process.taken for process in state.processes if process.holds]
    if sure and max(held) > sure[0].taken:
        return "who is sure was not the only one since it took the lock"
    return None


def gets_the_lock(state: State, place: int, rule: Rule) -> bool:
    """Whether a process that is awake has the lock after some steps of its own, all others being dead."""
    others = (replace(process, dead=True) for process in state.processes)
    alone = replace(state.processes[place], sleeps=0)
    state = _with(replace(state, processes=tuple(others)), place, alone)
    for _ in range(20):
        process = state.processes[place]
        if process.sure:
            return True
        state = next(_requests(state, place, process, rule))
    return False


@dataclass
class Found:
    """What a search visited, and the steps that lead to the first broken promise."""

    states: int = 0
    moves: int = 0
    depth: int = 0
    fault: str | None = None
    path: tuple[State, ...] = ()


def search(processes: int, sleeps: int, locks: int, rule: Rule) -> Found:
    """Visit all states with at most ``locks`` locks taken, nearest first; stops at a broken promise."""
    begin = State(frozenset(), (Process(sleeps=sleeps),) * processes)
    came: dict[State, State | None] = {begin: None}
    depths = {begin: 0}
    waiting, found = deque([begin]), Found()
    while waiting:
        state = waiting.popleft()
        found.depth = depths[state]
        found.fault = fault(state)
        for place, process in enumerate(state.processes):
            if not process.dead and not process.asleep and not gets_the_lock(state, place, rule):
                found.fault = found.fault or "a process never gets the lock"
        if found.fault:
            path = [state]
            while (before := came[path[-1]]) is not None:
                path.append(before)
            found.path = tuple(path[::-1])
            break
        for later in steps(state, rule):
            found.moves += 1
            if later not in came and later.taken <= locks:
                came[later], depths[later] = state, depths[state] + 1
                waiting.append(later)
    found.states = len(came)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sleeps", type=int, default=2, help="how often each may fall asleep")
    parser.add_argument("--locks", type=int, default=3, help="how many locks are taken at most, in all")
    parser.add_argument("--rule", choices=("kept", "deleted"), default="kept")
    given = parser.parse_args(argv)
    found = search(given.processes, given.sleeps, given.locks, given.rule)
    print(f"{found.states:,} states, {found.moves:,} steps, depth {found.depth}: {found.fault or 'all promises hold'}")
    for state in found.path:
        print("  ", sorted(state.objects), *(f"{p.step}{'*' * p.asleep}{' slept' * p.slept}{' dead' * p.dead}"
                                             for p in state.processes), sep=" | ")  # fmt: skip
    return 1 if found.fault else 0


if __name__ == "__main__":
    sys.exit(main())
