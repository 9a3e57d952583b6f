"""The stories of a sequence and its members, kept together while one of them is open."""

from __future__ import annotations

import msgspec
from guard.gate.in_sequence import OpenSequences
from guard.lifecycle.due_run import apply, fold
from guard.lifecycle.events import End, Ended, RunKey
from tests.builders import DUE
from tests.ledger.opening import opened
from tests.lifecycle.stories import after, decided, seen
from tests.virtual_time import run as finished

OWN = RunKey("sequence", DUE)
NAMES = ("one", "two")


def key(name):
    return RunKey(name, DUE, "sequence")


def loaded(tmp_path, *ended):
    """The open sequence as a look reads it; members named in ``ended`` have ended."""
    sequences = OpenSequences()

    async def read():
        with opened(tmp_path / "ledger") as ledger:
            own = msgspec.structs.replace(seen(name="in a row"), members=NAMES)
            await ledger.append(OWN, 0, own)
            for name in NAMES:
                end = [Ended(at=after(9), end=End.REFUSED)] if name in ended else []
                await ledger.append(key(name), 0, seen(name=name), *end)
            runs = [fold(one, await ledger.load(one)) for one in await ledger.open_runs()]
            await sequences.load(runs, ledger)
        return runs

    return sequences, finished(read())


def names(sequence):
    return [one.key.schedule for one in sequence.members]


def test_a_member_and_the_sequence_itself_know_the_same_sequence_in_its_order(tmp_path):
    sequences, runs = loaded(tmp_path)
    for run in runs:
        assert (sequences.of(run).own.key, names(sequences.of(run))) == (OWN, ["one", "two"])


def test_a_member_that_has_ended_is_still_part_of_it(tmp_path):
    sequences, runs = loaded(tmp_path, "one")
    (two,) = [run for run in runs if run.key.schedule == "two"]
    assert [one.ended is not None for one in sequences.of(two).members] == [True, False]


def test_what_is_recorded_in_a_look_is_seen_at_once(tmp_path):
    sequences, runs = loaded(tmp_path)
    (two,) = [run for run in runs if run.key.schedule == "two"]
    sequences.grown(apply(two.key, two, decided()))
    assert sequences.of(two).members[1].decided is not None


def test_a_run_of_its_own_and_one_that_became_a_member_later_are_in_no_sequence(tmp_path):
    sequences, _ = loaded(tmp_path)
    for other in (RunKey("one", DUE), key("three")):
        assert sequences.of(fold(other, [seen()])) is None


def test_the_sequences_above_some_members_are_those_still_open(tmp_path):
    sequences, runs = loaded(tmp_path)
    (two,) = [run for run in runs if run.key.schedule == "two"]
    assert [one.key for one in sequences.above([two])] == [OWN]
    sequences.grown(apply(OWN, sequences.of(two).own, Ended(at=after(9), end=End.RAN)))
    assert sequences.above([two]) == []
