"""XO's records as they arrive: odd names, absent fields, unknown ones, and the way back to the same JSON."""

from __future__ import annotations

import msgspec
import pytest
from guard.estate import xo_records
from guard.estate.xo_records import BackupLog, CallJob, Job, Repository, Schedule, Server, Sr, Vbd, Vdi, Vm
from msgspec import UNSET


def decoded(kind, text):
    return msgspec.json.decode(text, type=kind)


@pytest.mark.parametrize("kind", [Job, CallJob, Schedule])
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"nightly"', "nightly"),
        ("123", "123"),
        ("0", "0"),
        ("true", "true"),
        ('{"a":1}', '{"a":1}'),
        ('""', "j1"),
        ("null", "j1"),
    ],
)
def test_a_name_that_xo_took_for_json_is_shown_as_it_was_written(kind, written, name):
    assert decoded(kind, f'{{"id":"j1","name":{written}}}').name == name


@pytest.mark.parametrize("kind", [Job, CallJob, Schedule])
def test_without_a_name_the_id_stands_for_it(kind):
    assert decoded(kind, '{"id":"j1"}').name == "j1"


def test_a_vm_without_a_name_is_called_by_its_id():
    assert (decoded(Vm, '{"id":"v1","name_label":"web"}').name, decoded(Vm, '{"id":"v1"}').name) == ("web", "v1")
    assert decoded(Vm, '{"id":"v1","name_label":""}').name == "v1"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"label": "Paris", "pool_name_label": "pool-1", "host": "10.0.0.1"}, "Paris"),
        ({"label": "", "pool_name_label": "pool-1", "host": "10.0.0.1"}, "pool-1"),
        ({"pool_name_label": "pool-1", "host": "10.0.0.1"}, "pool-1"),
        ({"host": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_a_server_is_called_by_its_label_its_pool_or_its_address(fields, name):
    assert Server(id="s", **fields).name == name


@pytest.mark.parametrize(
    ("text", "zone"),
    [('{"id":"s"}', "utc"), ('{"id":"s","timezone":null}', "utc"), ('{"id":"s","timezone":"Europe/Paris"}', "Europe/Paris")],
)  # fmt: skip
def test_a_schedule_without_a_zone_is_in_utc(text, zone):
    assert decoded(Schedule, text).zone == zone


def test_what_xo_left_out_is_unset_and_never_a_guess():
    sr, vdi = decoded(Sr, '{"id":"s"}'), decoded(Vdi, '{"id":"d"}')
    assert {sr.size, sr.physical_usage, sr.shared, vdi.usage, vdi.parent, vdi.missing} == {UNSET}
    assert not decoded(Schedule, '{"id":"s"}').enabled
    assert not decoded(Vbd, '{"id":"b"}').is_cd_drive
    assert decoded(Repository, '{"id":"r"}').enabled
    assert decoded(Server, '{"id":"s"}').enabled


KINDS = [one for one in vars(xo_records).values() if isinstance(one, type) and one.__module__ == xo_records.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_record_cannot_be_changed_and_is_written_without_what_xo_left_out(kind):
    record = kind(id="x") if "id" in kind.__struct_fields__ else kind()
    with pytest.raises(AttributeError):
        setattr(record, kind.__struct_fields__[0], "y")
    assert set(msgspec.json.decode(msgspec.json.encode(record))) <= {"id"}


def test_a_field_guard_does_not_know_is_passed_over():
    assert decoded(Vbd, '{"id":"b","VM":"v","VDI":"d","bootable":true,"device":null,"href":"/rest/v0/vbds/b"}') == Vbd(
        id="b", vm="v", vdi="d"
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Sr, '{"id":"s","$pool":"p","$container":"h","SR_type":"lvm","allocationStrategy":"thick","size":1}'),
        (Vdi, '{"id":"d","$SR":"s","$snapshot_of":"a","snapshot_time":null}'),
        (Vm, '{"id":"v","$pool":"p","$container":"h","blockedOperations":{"start":"r"}}'),
        (Job, '{"id":"j","name":123,"sourceRemote":"r","runId":"1"}'),
        (Schedule, '{"id":"s","jobId":"j","cron":"0 2 * * *","enabled":true}'),
    ],
)
def test_a_record_is_written_with_xos_own_words_and_without_what_was_absent(kind, text):
    assert msgspec.json.decode(msgspec.json.encode(decoded(kind, text))) == msgspec.json.decode(text)


def test_a_record_of_the_wrong_shape_is_refused_with_the_place():
    with pytest.raises(msgspec.ValidationError, match=r"\$\.size"):
        decoded(Sr, '{"id":"s","size":"large"}')
    with pytest.raises(msgspec.ValidationError, match="missing required field `id`"):
        decoded(Sr, "{}")


def test_a_log_keeps_its_tree_of_tasks_and_whatever_errors_hold():
    log = decoded(
        BackupLog,
        '{"id":"1","jobName":123,"status":"failure","result":"text","tasks":['
        '{"id":"t","message":"backup VM","status":"failure","data":{"type":"VM","id":"v"},"result":{"code":"X"},'
        '"tasks":[{"id":"u","message":"snapshot","start":1,"end":2,"status":"success"},{"id":"w"}]}]}',
    )
    (vm,) = log.tasks
    assert (log.result, vm.result["code"], vm.data["id"]) == ("text", "X", "v")
    assert [(one.message, one.status) for one in vm.tasks] == [("snapshot", "success"), (UNSET, "pending")]
    assert decoded(BackupLog, '{"id":"1"}').tasks is UNSET
