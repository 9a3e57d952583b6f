"""What a run writes and gives back, against a step-by-step simulation (failure-modes.md 9.2)."""

from __future__ import annotations

import pytest
from guard.mechanics.forecast import Bytes
from guard.mechanics.history import Transfer
from guard.mechanics.repository_space import (
    Space,
    Writing,
    estimate,
    file_systems,
    is_object_store,
    joined,
    machine,
    peak,
    together,
    too_many,
    writing_of,
)
from guard.mechanics.settings import Settings
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import make_repository, make_repository_info


def exact(size, freed=0):
    return Writing(least=size, most=size, freed=freed, freed_at_most=freed)


def unsure(least, most, freed=0, freed_at_most=0):
    return Writing(least=least, most=most, freed=freed, freed_at_most=freed_at_most)


def simulated(backups, concurrency):
    """The largest number of new bytes at one moment: VMs start in order, and the one that started first ends first."""
    at_once = concurrency or len(backups)
    waiting, at_work, on_disk, highest = list(backups), [], 0, 0
    while waiting:
        if len(at_work) == at_once:
            _, freed = at_work.pop(0)
            on_disk -= freed
        size, freed = waiting.pop(0)
        on_disk += size
        at_work.append((size, freed))
        highest = max(highest, on_disk)
    return highest


SIZES = st.integers(0, 50)
BACKUPS = st.lists(st.tuples(SIZES, SIZES), max_size=8)
CONCURRENCY = st.integers(0, 9)


@settings(deadline=None)  # the machine may be busy
@given(BACKUPS, CONCURRENCY)
def test_the_peak_is_that_of_a_run_played_step_by_step(backups, concurrency):
    writings = [exact(size, freed) for size, freed in backups]
    for hopeful in (True, False):
        assert peak(writings, concurrency, hopeful=hopeful) == simulated(backups, concurrency)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(SIZES, SIZES, SIZES, SIZES), max_size=8), CONCURRENCY)
def test_whatever_comes_true_lies_between_the_hopeful_peak_and_the_other(drawn, concurrency):
    writings = [unsure(least, least + more, freed, freed + extra) for least, more, freed, extra in drawn]
    real = [(least + more // 2, freed + extra // 2) for least, more, freed, extra in drawn]
    low, high = peak(writings, concurrency, hopeful=True), peak(writings, concurrency, hopeful=False)
    assert low <= simulated(real, concurrency) <= high


@pytest.mark.parametrize(("concurrency", "expected"), [(1, 100), (2, 200), (3, 300), (4, 400), (0, 400), (99, 400)])
def test_what_is_deleted_after_each_vm_makes_room_for_the_next(concurrency, expected):
    assert peak([exact(100, 100)] * 4, concurrency, hopeful=False) == expected


@pytest.mark.parametrize(("concurrency", "expected"), [(1, 400), (2, 400), (0, 400)])
def test_where_nothing_is_deleted_all_of_it_adds_up(concurrency, expected):
    assert peak([exact(100)] * 4, concurrency, hopeful=False) == expected


def test_deleting_more_than_is_written_makes_room_below_the_start():
    assert peak([exact(10, 100), exact(60)], 1, hopeful=True) == 10
    assert peak([exact(10, 100), exact(120)], 1, hopeful=True) == 30


def test_without_an_upper_bound_there_is_none_for_the_run():
    writings = [exact(100), unsure(0, None)]
    assert peak(writings, 1, hopeful=False) is None
    assert peak(writings, 1, hopeful=True) == 100


def test_no_vm_writes_nothing():
    assert peak([], 2, hopeful=False) == peak([], 0, hopeful=True) == 0
    assert too_many({}, 2, 0) == ()


def fits(writings, held, concurrency, available):
    staying = [(one.least, one.freed_at_most) for name, one in writings.items() if name not in held]
    return simulated(staying, concurrency) <= available


@settings(deadline=None)  # the machine may be busy
@given(BACKUPS, CONCURRENCY, st.integers(0, 200))
def test_what_is_left_after_holding_fits_and_nobody_is_held_where_all_fit(backups, concurrency, available):
    writings = {f"vm{at}": exact(size, freed) for at, (size, freed) in enumerate(backups)}
    held = too_many(writings, concurrency, available)
    assert fits(writings, held, concurrency, available)
    assert (held == ()) is fits(writings, (), concurrency, available)


@settings(deadline=None)  # the machine may be busy
@given(BACKUPS, CONCURRENCY, st.integers(0, 200))
def test_the_fewest_are_held_largest_first(backups, concurrency, available):
    # no VM is given back more than it wrote
    writings = {f"vm{at}": exact(size, min(size, freed)) for at, (size, freed) in enumerate(backups)}
    order = sorted(writings, key=lambda one: (-writings[one].least, one))
    prefixes = [tuple(order[:count]) for count in range(len(order) + 1)]
    fewest = next(one for one in prefixes if fits(writings, one, concurrency, available))
    assert too_many(writings, concurrency, available) == fewest


def test_of_two_equal_vms_the_same_one_is_held_every_time():
    writings = {"b": exact(10), "a": exact(10)}
    assert too_many(writings, 2, 10) == too_many(dict(reversed(writings.items())), 2, 10) == ("a",)


def test_a_vm_that_makes_room_for_others_is_not_held_where_all_fit():
    writings = {"a": exact(30, 100), "b": exact(20), "c": exact(20), "d": exact(20), "e": exact(20)}
    assert peak(list(writings.values()), 1, hopeful=True) == 30
    assert too_many(writings, 1, 30) == ()


@settings(deadline=None)  # the machine may be busy
@given(BACKUPS, CONCURRENCY, st.integers(0, 200), st.integers(0, 60))
def test_of_several_repositories_the_emptiest_holds_every_vm_that_is_left(backups, concurrency, available, largest):
    writings = {f"vm{at}": exact(size) for at, (size, _) in enumerate(backups)}
    held = too_many(writings, concurrency, available, largest)
    assert all(one.least <= largest for vm, one in writings.items() if vm not in held)
    assert fits(writings, held, concurrency, available)
    assert held[: len(too_many(writings, concurrency, available))] == too_many(writings, concurrency, available)


def test_what_other_vms_may_have_deleted_counts_for_the_emptiest_repository_and_ones_own_does_not():
    assert too_many({"a": exact(100, 100)}, 1, 500, 60) == ("a",)
    assert too_many({"a": exact(100, 40), "b": exact(10, 40)}, 1, 500, 60) == ()
    assert too_many({"a": exact(100, 40), "b": exact(10, 40)}, 1, 500, 59) == ("a",)


def test_joined_repositories_count_together_and_the_emptiest_of_them_by_itself():
    writings = {"a": exact(40), "b": exact(30)}
    both = joined([Space(free=30, size=100, writings=writings), Space(free=50, size=200, writings={})])
    assert both == Space(free=80, size=300, writings=writings, largest=50)
    mirror = joined([Space(free=30, size=0, writings={"": exact(70)}), Space(free=50, size=0, writings={})])
    assert mirror.largest is None


@pytest.mark.parametrize(
    ("largest", "vm", "held", "fit"),
    [
        (None, exact(70), (), True),
        (70, exact(70), (), True),
        (69, exact(70), ("a",), False),
        (69, unsure(60, 70), (), False),
        (70, unsure(60, 70), (), True),
        (70, unsure(60, None), (), False),
    ],
)
def test_a_run_fits_for_sure_where_the_emptiest_repository_holds_each_vm_at_most(largest, vm, held, fit):
    told = estimate(Space(free=100, size=0, writings={"a": vm, "b": exact(10)}, largest=largest), 2, 0)
    assert (told.held, told.fits, told.unsure) == (held, fit, int(vm.most != vm.least))
    assert (told.need, told.most) == (vm.least + 10, None if vm.most is None else vm.most + 10)


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("s3://bucket", True),
        ("s3+http://host/bucket", True),
        ("azure://account/container", True),
        ("azurite://host/container", True),
        ("nfs://192.0.2.9:/backup", False),
        ("smb://host/share", False),
        ("file:///s3", False),
        ("", False),
    ],
)
def test_object_stores_are_told_by_their_scheme(url, store):
    assert is_object_store(url) is store


def test_where_not_even_nothing_fits_all_are_held():
    assert too_many({"a": exact(0), "b": exact(5)}, 1, -1) == ("b", "a")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("nfs://NAS.example:/backups", "nas.example"),
        ("nfs://nas.example:/backups?useVhdDirectory=true", "nas.example"),
        ("smb://user:password@domain\\\\nas.example\\share\0path", "nas.example"),
        ("smb://user@domain:p@ss@domain\\\\nas.example", "nas.example"),
        ("file:///srv/backups", ""),
    ],
)
def test_the_machine_is_read_from_a_repositorys_url(url, name):
    assert machine(url) == name


def test_files_of_xo_itself_and_of_a_proxy_are_on_different_machines():
    info = {one: make_repository_info() for one in "abc"}
    local = [make_repository(one, url=f"file:///srv/{one}") for one in "ab"]
    far = make_repository("c", url="file:///srv/c", proxy="proxy")
    assert file_systems([*local, far], info) == {"a": "a", "b": "a", "c": "c"}
    off = make_repository("b", url="file:///srv/b", enabled=False)
    assert file_systems([local[0], off], info) == {"a": "a", "b": "b"}
    assert file_systems([make_repository("a")], {}) == {"a": "a"}


SENT = [Transfer(schedule="s", start=number, size=size, seconds=1, full=False) for number, size in enumerate((7, 9, 8))]


@pytest.mark.parametrize(
    ("retention", "more", "stays", "merge"),
    [(4, {}, 10, 0), (3, {}, 0, 9), (4, {"long_term_retention": {}}, 0, 0), (3, {"long_term_retention": {}}, 0, 0)],
)
def test_a_delta_stays_until_retention_is_full_and_then_its_merge_needs_room(retention, more, stays, merge):
    told = Bytes(expected=10, high=10, most=20, full=False, samples=3, source="logs")
    written = writing_of(told, Settings(export_retention=retention, **more), SENT, full_mode=False, spread=False)
    assert (written.least, written.most, written.stays, written.merge) == (10, 10, stays, merge)


@pytest.mark.parametrize(("retention", "first", "stays"), [(4, False, 10), (3, False, 0), (4, True, 0), (3, True, 0)])
def test_a_full_stays_until_retention_is_full(retention, first, stays):
    told = Bytes(expected=10, high=10, most=20, full=True, samples=3, source="logs")
    settings_ = Settings(export_retention=retention, delete_first=first)
    assert writing_of(told, settings_, SENT, full_mode=True, spread=False).stays == stays


def test_what_goes_to_two_repositories_of_one_file_system_adds_up():
    one = Writing(least=1, most=2, freed=3, freed_at_most=4, stays=5, merge=6)
    assert together([one, one]) == Writing(least=2, most=4, freed=6, freed_at_most=8, stays=10, merge=12)
    assert together([one, Writing(least=1, most=None)]).most is None
