"""The questions guard asks of XO, and how answers become records."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from guard.errors import XoAnswerError, XoTooOldError
from guard.estate import crowded
from guard.estate.estate import PartName
from guard.estate.xo_records import BackupLog, Host, Job, Message, Sr, Vdi, Vm, Vusb, XapiTask
from guard.simulator.filters import compile_filter
from guard.xo.reads import (
    COLLECTIONS,
    LOG_FIELDS,
    OBJECTS_FILTER,
    decode_list,
    decode_objects,
    extra_vm_fields,
    fields_of,
    id_filters,
    wanted_trees,
)
from guard.xo.version import check_version
from msgspec import UNSET


def test_the_fields_asked_for_are_those_the_record_holds_in_xos_words():
    assert fields_of(Host) == "id,name_label,$pool,enabled,power_state,version,license_params"
    assert "allocationStrategy" in fields_of(Sr).split(",")
    assert (
        fields_of(Host, ["address", "enabled"])
        == "id,name_label,$pool,enabled,power_state,version,license_params,address"
    )


def test_no_collection_that_carries_credentials_is_read():
    assert {"proxies", "users"}.isdisjoint(path for path, _ in COLLECTIONS.values())
    asked = {field for _, record in COLLECTIONS.values() for field in fields_of(record).split(",")}
    assert asked.isdisjoint({"username", "password", "device_config"})


def test_a_list_becomes_records_of_its_kind():
    assert decode_list(b'[{"id":"s","size":5},{"id":"t","new":[]}]', Sr) == (Sr(id="s", size=5), Sr(id="t"))
    assert decode_list(b"[]", Sr) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'["/rest/v0/srs/s"]',
        b'[{"name_label":"no id"}]',
        b'[{"id":"s","size":"5"}]',
        b'[{"id":"s"',
        b'[{"id":"\xff"}]',
        b'[{"id":"s","x":' + b"[" * 100_000,
    ],
)
def test_an_answer_that_is_no_list_of_such_records_is_one_kind_of_error(body):
    with pytest.raises(msgspec.MsgspecError):
        decode_list(body, Sr)


def test_the_objects_without_a_rest_route_are_sorted_by_their_type():
    body = msgspec.Raw(
        b'{"b":{"id":"b","type":"VDI-unmanaged","usage":7},"u":{"id":"u","type":"VUSB","vm":"v"},'
        b'"t":{"id":"t","type":"task","name_label":"Garbage Collection","progress":0.5},'
        b'"m":{"id":"m","type":"message","name":"SM_GC_NO_SPACE","$object":"sr","time":9},'
        b'"d":{"id":"d","type":"VDI"},"x":{}}'
    )
    assert decode_objects(body) == {
        PartName.VDI_UNMANAGED: (Vdi(id="b", usage=7),),
        PartName.VUSBS: (Vusb(id="u", vm="v"),),
        PartName.XAPI_TASKS: (XapiTask(id="t", name_label="Garbage Collection", progress=0.5),),
        PartName.MESSAGES: (Message(id="m", name="SM_GC_NO_SPACE", object="sr", time=9),),
    }
    assert set(decode_objects(msgspec.Raw(b"{}")).values()) == {()}


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        ({"type": "VDI-unmanaged"}, True),
        ({"type": "VUSB"}, True),
        ({"type": "task"}, True),
        ({"type": "message", "name": "SM_GC_NO_SPACE"}, True),
        ({"type": "message", "name": "ALARM"}, False),
        ({"type": "VDI", "name": "SM_GC_NO_SPACE"}, False),
        ({"type": "VDI-unmanaged-2"}, False),
        ({"type": "VM", "name_label": "task"}, False),
    ],
)
def test_the_filter_for_them_matches_whole_types_only_and_of_messages_those_of_a_full_sr(shown, wanted):
    assert bool(compile_filter(OBJECTS_FILTER)(shown)) is wanted


# --- what patterns ask of VMs


@pytest.mark.parametrize(
    ("vms", "extra"),
    [
        ({"tags": {"__or": [["prod"]]}, "power_state": "Running", "$pool": "p"}, ()),
        ({"uuid": "x", "type": "VM", "$poolId": "p", "$container": "h", "other": {}}, ()),
        (
            {"high_availability": "restart", "name_description": {"__not": ""}},
            ("high_availability", "name_description"),
        ),
        ({"id": "v"}, ()),
        ({"id": {"__or": ["v", "w"]}}, ()),
        ({"id": {"__not": "v"}, "os_version": {}}, ("os_version",)),
        ({}, ()),
        ("no pattern", ()),
        (UNSET, ()),
    ],
)
def test_what_a_pattern_looks_at_beyond_the_usual_fields_is_asked_for_too(vms, extra):
    assert extra_vm_fields([Job(id="j", vms=vms)]) == extra


def test_the_patterns_of_all_vm_jobs_count_and_those_of_other_jobs_do_not():
    jobs = [
        Job(id="a", vms={"zeta": 1, "memory": {}}),
        Job(id="b", vms={"alpha": 1, "memory": {}}),
        Job(id="c", type="mirrorBackup", vms={"vm": {"uuid": "x"}}),
    ]
    assert extra_vm_fields(jobs) == ("alpha", "memory", "zeta")
    assert fields_of(Vm, extra_vm_fields(jobs)).endswith(",alpha,memory,zeta")


def test_a_pattern_on_a_field_that_guard_reads_for_itself_gets_it_too():
    jobs = [Job(id="a", vms={"hasVendorDevice": True, "tags": [], "id": {"__not": "v"}})]
    assert extra_vm_fields(jobs) == ("hasVendorDevice",)


def test_only_the_bounds_of_a_vms_memory_are_asked_for():
    fields = fields_of(Vm).split(",")
    assert ("memory.static" in fields, "memory" in fields) == (True, False)
    (vm,) = decode_list(b'[{"id":"v","memory":{"static":[1,8589934592]},"suspendSr":"s"}]', Vm)
    assert (vm.memory.static_max, vm.suspend_sr) == (8589934592, "s")


# --- which logs are read whole


def log(identity, schedule="s", start=0, status="success", **more):
    return BackupLog(id=identity, schedule_id=schedule, start=start, status=status, **more)


def test_of_each_live_schedule_the_ten_newest_runs_are_read_whole():
    logs = [log(str(number), start=number) for number in range(15)] + [
        log("x", schedule="gone"),
        log("y", schedule=UNSET),
    ]
    assert wanted_trees(logs, frozenset({"s"})) == tuple(str(number) for number in range(14, 4, -1))


def test_a_pending_run_is_read_whole_whatever_its_schedule_and_first():
    logs = [log("1"), log("2", schedule="gone", status="pending"), log("3", start=UNSET)]
    assert wanted_trees(logs, frozenset({"s"})) == ("2", "1", "3")


def test_a_run_that_failed_at_job_level_has_no_tree_to_read():
    assert (
        wanted_trees([log("1", status="failure", result={"message": "the job is already running"})], frozenset({"s"}))
        == ()
    )


@pytest.mark.parametrize(("schedules", "each"), [(1, 10), (60, 10), (100, 6), (150, 4), (1000, 3)])
def test_the_more_schedules_the_fewer_runs_of_each_but_never_less_than_three(schedules, each):
    logs = [log(f"{one}-{run}", schedule=str(one), start=run) for one in range(schedules) for run in range(12)]
    assert len(wanted_trees(logs, frozenset(map(str, range(schedules))))) == schedules * each


def test_nothing_to_read_is_no_request():
    assert wanted_trees([], frozenset()) == ()
    assert id_filters([]) == []


def test_a_filter_asks_for_exactly_these_logs_and_not_for_ids_that_contain_one():
    assert id_filters(["1763800000000", "1763800000000:1"]) == ["|(id:/^1763800000000$/ id:/^1763800000000:1$/)"]


@pytest.mark.parametrize(("length", "per_request"), [(13, 150), (15, 150), (200, 57)])
def test_many_ids_are_asked_for_in_batches_whose_request_node_accepts(length, per_request):
    ids = [str(10 ** (length - 1) + number) for number in range(400)]
    filters = id_filters(ids)
    assert [one.count("id:/^") for one in filters[:-1]] == [per_request] * (len(filters) - 1)
    assert [term[5:-2] for one in filters for term in one[2:-1].split(" ")] == ids
    for one in filters:
        request = httpx.Request(
            "GET", "https://xo.example.org/rest/v0/backup-logs", params={"fields": fields_of(BackupLog), "filter": one}
        )
        assert len(request.url.raw_path) < 15_000  # of 16 KiB for the whole head


def test_the_short_form_of_a_log_leaves_out_its_tree():
    assert "tasks" not in LOG_FIELDS.split(",")


# --- versions


@pytest.mark.parametrize("version", ["5.193.1", "5.193.2", "5.207.2", "5.1000.0", "6.0.0", "5.207.2-beta"])
def test_a_version_from_5_193_1_on_is_accepted(version):
    check_version(version)


@pytest.mark.parametrize("version", ["5.193.0", "5.99.9", "4.999.999"])
def test_an_older_version_is_refused_with_the_one_to_update_to(version):
    with pytest.raises(
        XoTooOldError, match=rf"This is xo-server {version}; guard needs 5\.193\.1 or later \(XO 5\.113\)"
    ):
        check_version(version)


@pytest.mark.parametrize("version", ["", "5.207", "None", "xo-server 5.207.2"])
def test_something_that_is_no_version_is_told_as_xo_gave_it(version):
    with pytest.raises(XoAnswerError, match=f"XO gave '{version}' as its version"):
        check_version(version)


@pytest.mark.parametrize("inner", [b'"id":"\xff"}', b'"id":"t","applies_to":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_objects_that_are_no_text_or_nested_without_end_are_one_kind_of_error(inner):
    with pytest.raises(msgspec.MsgspecError):
        decode_objects(msgspec.Raw(b'{"a":{"type":"task",' + inner + b"}"))


def test_a_short_answer_of_very_many_values_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(crowded, "MOST_VALUES", 10)
    assert len(decode_list(b"[" + b",".join([b'{"id":"s"}'] * 4) + b"]", Sr)) == 4
    with pytest.raises(msgspec.ValidationError, match="holds more than"):
        decode_list(b"[" + b",".join([b'{"id":"s"}'] * 9) + b"]", Sr)


@pytest.mark.parametrize("version", ["9" * 5000 + ".1.1", "1.1." + "9" * 5000, "\u0665.1.1"])
def test_a_version_of_thousands_of_digits_is_told_in_one_short_sentence(version):
    with pytest.raises(XoAnswerError, match=r"XO gave .* as its version") as caught:
        check_version(version)
    assert len(str(caught.value)) < 500
