"""What stands in XO's configuration folder as part of the estate, as lines for a person, and taken back by a person's word."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest
from guard.daemon.workaround import standing_text, take_back, timeout_file, with_workaround, workaround_lines
from guard.estate.estate import PartName
from guard.lifecycle.remedy import RemedyKind, Result
from guard.policy.load import load
from guard.remedies.doing import Doer
from tests.builders import make_estate
from tests.ledger.opening import opened
from tests.remedies.folders import NOW, content, own

UNTIL = NOW + timedelta(days=30)


def clock():
    return NOW


def policy(folder=None):
    said = f'[remedies]\nxo_config = "{folder}"\n' if folder is not None else ""
    return load(f'[xo]\nurl = "http://x"\n{said}', file="guard.toml")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "etc"
    made.mkdir()
    return made


def written(folder):
    file = timeout_file(policy(folder).remedies, clock, "guard")
    asyncio.run(file.apply(1_800_000, UNTIL, "vm timed out twice."))


def looked(folder):
    return asyncio.run(with_workaround(make_estate(), policy(folder).remedies, clock))


def test_without_a_folder_the_estate_stays_as_it_is():
    estate = make_estate()
    assert asyncio.run(with_workaround(estate, policy().remedies, clock)) is estate
    assert timeout_file(policy().remedies, clock, "guard") is None


def test_with_one_it_has_what_stands_there_and_when_it_was_looked_at(folder):
    written(folder)
    found = looked(folder)
    part = found.parts[PartName.WORKAROUND]
    assert (part.source, part.read_at, part.usable) == (str(folder), NOW, True)
    assert (found.workaround.own.state, found.workaround.own.until) == ("intact", UNTIL)


def test_a_folder_that_cannot_be_looked_at_is_a_part_that_was_not_read(tmp_path):
    found = looked(tmp_path / "nowhere")
    part = found.parts[PartName.WORKAROUND]
    assert (part.ok, part.error) == (False, found.workaround.problem)
    assert part.error != ""


def test_a_person_is_told_of_it_while_it_stands(folder):
    def told(of):
        return asyncio.run(workaround_lines(policy(of), UTC, clock))

    assert (told(None), told(folder)) == ([], [])
    written(folder)
    assert told(folder)[0].startswith("Note: The httpInactivityTimeout workaround stands until Wed 01 Apr 12:00 UTC")


class Nobody:
    """XO and teller, of whom nothing is wanted here but news."""

    def __init__(self):
        self.told = []

    async def remedied(self, remedy):
        self.told.append(remedy)


def taken_back(folder, tmp_path):
    teller = Nobody()
    with opened(tmp_path / "ledger.sqlite") as ledger:
        doer = Doer(
            teller,
            ledger,
            teller,
            clock=clock,
            timeout_file=lambda: timeout_file(policy(folder).remedies, clock, "guard"),
        )
        remedy = asyncio.run(take_back(policy(folder), doer, clock))
        return remedy, asyncio.run(ledger.remedies(NOW)), teller.told


def test_it_is_taken_back_by_a_person_s_word_and_recorded(folder, tmp_path):
    written(folder)
    remedy, kept, told = taken_back(folder, tmp_path)
    assert (remedy.kind, remedy.result, remedy.reason) == (
        RemedyKind.TIMEOUT_FILE_BACK,
        Result.DONE,
        "guard release --all",
    )
    assert (kept, told, content(folder)) == ((remedy,), [remedy], {})


def test_where_nothing_stands_nothing_is_recorded(folder, tmp_path):
    assert taken_back(folder, tmp_path) == (None, (), [])
    assert taken_back(None, tmp_path) == (None, (), [])


def test_what_a_person_edited_is_left_to_them(folder, tmp_path):
    written(folder)
    own(folder).write_text(own(folder).read_text().replace("1800000", "2400000"))
    remedy, _, _ = taken_back(folder, tmp_path)
    assert remedy.result is Result.FAILED
    assert "2400000" in own(folder).read_text()


def test_what_stands_and_how_to_undo_it_is_one_line(folder):
    assert standing_text(looked(folder).workaround) == ""
    written(folder)
    assert standing_text(looked(folder).workaround) == (
        f"In {folder}: guard's httpInactivityTimeout file. Undo: guard workaround revert."
    )


def test_of_a_folder_that_is_not_there_nothing_is_claimed_to_stand(folder):
    missing = folder / "gone"
    told = standing_text(looked(missing).workaround)
    assert told.startswith(f"Whether guard's httpInactivityTimeout file stands is not known: {missing}: there is no")
