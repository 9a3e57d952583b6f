"""An estate as a file and back: the same bytes every time, no secret in them, and one sentence for what is no capture."""

from __future__ import annotations

import dataclasses
import gzip
from datetime import UTC, datetime

import msgspec
import pytest
from guard.errors import CaptureError
from guard.estate import capture
from guard.estate.capture import from_bytes, to_bytes, without_secrets
from guard.estate.estate import ON_REQUEST, Estate, Part, PartName, XoIdentity
from guard.estate.workaround import OwnFile, Setting, State, Trouble, Unsure
from guard.estate.xo_records import (
    BackupLog,
    CallJob,
    Job,
    LogTask,
    Repository,
    RepositoryInfo,
    Schedule,
    Server,
    Sr,
    Vdi,
    Vm,
)

NOW = datetime(2026, 11, 24, 20, 0, 1, tzinfo=UTC)
SEQUENCE = {"items": [{"values": [{"schedules": ["s1"]}]}]}


def estate(**more):
    """One of nearly everything, with what is easily lost: unset fields, a null, a number for a name, a tree of tasks."""
    parts = {name: Part(name=name, source=f"GET {name.value}", read_at=NOW) for name in PartName}
    parts |= {
        PartName.LOGS: Part(
            name=PartName.LOGS, source="GET /rest/v0/backup-logs", read_at=NOW, ok=False, error="XO answered 500"
        ),
    }
    given = {
        "servers": (Server(id="sv", host="10.0.0.1", status="connecting", error={"code": "EHOSTUNREACH"}),),
        "srs": (Sr(id="sr", name_label="san", size=2**45, physical_usage=1),),
        "vms": (Vm(id="v1", name_label="web", tags=["prod"], other={"xo:backup:job": "j1"}), Vm(id="v2")),
        "vdis": (Vdi(id="d", sr="sr", snapshot_time=None),),
        "jobs": (Job(id="j1", raw_name=123, vms={"tags": {"__or": [["prod"]]}}, settings={"": {"concurrency": 2}}),),
        "call_jobs": (CallJob(id="c1", method="schedule.runSequence", params_vector=SEQUENCE),),
        "schedules": (Schedule(id="s1", job_id="j1", cron="0 2 * * *", enabled=True),),
        "repositories": (Repository(id="r1", name="nas", url="nfs://nas.example.org:/backups"),),
        "repository_info": {"r1": RepositoryInfo(size=10, used=4, available=6), "r0": RepositoryInfo()},
        "logs": (BackupLog(id="1", start=1, tasks=(LogTask(id="t", tasks=(LogTask(id="u"),)),)), BackupLog(id="2")),
        "vm_properties": {"v1": {"hasVendorDevice": True}},
        **more,
    }
    xo = XoIdentity(url="https://xo.example.org", version="5.207.2", admin=True)
    return Estate(xo=xo, taken_at=NOW, parts=parts, **given)


def text_of(found):
    return gzip.decompress(to_bytes(found)).decode()


def packed(content):
    return gzip.compress(content if isinstance(content, bytes) else msgspec.json.encode(content))


def test_a_capture_gives_back_every_field_of_the_estate():
    before = estate()
    again = from_bytes(to_bytes(before))
    assert {field.name: getattr(again, field.name) for field in dataclasses.fields(Estate)} == {
        field.name: getattr(before, field.name) for field in dataclasses.fields(Estate)
    }


def test_the_same_estate_gives_the_same_bytes_whatever_the_order_xo_named_things_in():
    turned = {"r0": RepositoryInfo(), "r1": RepositoryInfo(size=10, used=4, available=6)}
    parts = dict(reversed(estate().parts.items()))
    same = dataclasses.replace(estate(repository_info=turned), parts=parts)
    assert to_bytes(estate()) == to_bytes(estate()) == to_bytes(same) == to_bytes(from_bytes(to_bytes(same)))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://AKIAKEY:se%2Fcret@s3.example.org/bucket/dir?useVhdDirectory=true#eu-west-3", "s3://s3.example.org/bucket/dir"),
        ("s3+http://key:secret@127.0.0.1:9000/bucket", "s3+http://127.0.0.1:9000/bucket"),
        ("azure://account:secret%3D@blob.example.org/box", "azure://blob.example.org/box"),
        ("nfs://nas.example.org:/backups?encryptionKey=%22secret%22", "nfs://nas.example.org:/backups"),
        ("nfs://nas.example.org:2049:/a@b", "nfs://nas.example.org:2049:/a@b"),
        ("file:///srv/a@b?encryptionKey=%22a@secret%22", "file:///srv/a@b"),
        ("file:///srv/[backups", "file:///srv/[backups"),
        ("smb://me:secret@DOM\\\\host\0share?encryptionKey=%22secret%22", "smb://DOM\\\\host\0share"),
        ("smb://me:se/cret@DOM\\\\host\0share", "smb://DOM\\\\host\0share"),
        ("smb://me:se?cret@DOM\\\\host\0share", "smb://DOM\\\\host\0share"),
        ("smb://me:se#cret@DOM\\\\host\0share", "smb://DOM\\\\host\0share"),
        ("smb://me:se@cret@DOM\\\\host\0share", "smb://DOM\\\\host\0share"),
        ("smb://me:se[cret@DOM\\\\host\0share", "smb://DOM\\\\host\0share"),
        ("smb://me:secret@DOM\\\\host\0share?encryptionKey=a@secret", "smb://DOM\\\\host\0share"),
        ("smb://me:se/cret@host/share", "smb://host/share"),
        ("https://me:secret@host/?to=s3://key:secret@host", "https://host/"),
        ("me:secret@host?secret", "host"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_repositorys_address_loses_its_user_info_and_its_query_and_keeps_the_rest(url, shown):
    assert without_secrets(url) == shown


def test_a_capture_holds_no_secret_of_a_repository_a_vm_or_a_called_method():
    text = text_of(
        estate(
            repositories=(
                Repository(id="r1", url="s3://key-secret:pw-secret@s3.example.org/b?encryptionKey=%22key-secret%22"),
                Repository(id="r2", url="smb://user-secret:p/w-secret@DOM\\\\host\0share"),
            ),
            vms=(Vm(id="v1", other={"xo:backup:job": "j1", "vm-data/password": "pw-secret"}),),
            call_jobs=(
                CallJob(id="c1", method="schedule.runSequence", params_vector=SEQUENCE),
                CallJob(id="c2", method="user.create", params_vector={"items": [{"values": [{"password": "secret"}]}]}),
            ),
        )
    )
    assert "secret" not in text
    assert "vm-data" not in text
    assert "s3://s3.example.org/b" in text
    assert '"xo:backup:job":"j1"' in text
    assert '"schedules":["s1"]' in text


def test_the_other_keys_of_vms_are_kept_where_a_job_selects_by_them():
    vms = (Vm(id="v1", other={"team": "blue"}),)
    kept = (Job(id="j1", vms={"other": {"team": "blue"}}), Job(id="j2", vms="no pattern"), Job(id="j3"))
    assert from_bytes(to_bytes(estate(vms=vms, jobs=kept))).vms == vms
    assert from_bytes(to_bytes(estate(vms=vms))).vms == (Vm(id="v1", other={}),)


# --- what is no capture


def refusal(data):
    with pytest.raises(CaptureError) as caught:
        from_bytes(data)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 200
    return text


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense",
        b"\x1f\x8bnonsense",
        b'{"schema":"guard.capture/1"}',
        to_bytes(estate())[:200],
        to_bytes(estate())[:-4],
        to_bytes(estate())[:100] + b"\0\0\0" + to_bytes(estate())[103:],
        to_bytes(estate()) + b"more",
    ],
)
def test_a_damaged_or_foreign_file_is_told_with_the_way_to_a_new_one(data):
    assert "no whole capture" in refusal(data)
    assert "guard capture FILE" in refusal(data)


@pytest.mark.parametrize(
    ("content", "schema"),
    [
        ({"schema": "guard.capture/9", "vms": 5}, '"guard.capture/9"'),
        ({"schema": ["guard.capture/1"]}, '["guard.capture/1"]'),
        ({"schema": "x" * 100_000}, '"xxxxxx'),
        ({}, "null"),
    ],
)
def test_another_schema_is_named_beside_the_one_this_guard_reads(content, schema):
    text = refusal(packed(content))
    assert f"has the schema {schema}" in text
    assert "this guard reads guard.capture/1" in text


HEAD = b'{"schema":"guard.capture/1","xo":{"url":"","version":"","admin":true},'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"no json",
        b'{"schema":"\xff"}',
        b'{"schema":"guard.capture/1"}',
        b'{"schema":"guard.capture/1","taken_at":"2026-11-24T20:00:00Z","parts":{}}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00","parts":{}}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{"vms":{"name":"vms","source":"","read_at":"2026-11-24T20:00:00"}}}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{"moons":{}}}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{},"vms":[{"id":5}]}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{},"vms":[{"id":"\xff"}]}',
        HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{},"jobs":[{"id":"j","vms":' + b"[" * 50_000,
    ],
    ids=[
        "empty", "a list", "text", "no UTF-8 in the schema", "nothing else", "no XO", "a time without a zone",
        "a part's time without a zone", "an unknown part", "a wrong type", "no UTF-8", "endless nesting",
    ],
)  # fmt: skip
def test_a_file_that_unpacks_to_something_else_is_told_with_what_is_wrong(content):
    assert refusal(packed(content)).startswith("this is no capture of guard (")


def test_a_capture_without_any_record_is_still_one():
    found = from_bytes(packed(HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{}}'))
    assert (found.vms, found.taken_at) == ((), NOW.replace(second=0))


def test_a_part_that_a_capture_lacks_was_not_read_unless_it_has_to_be_asked_for():
    found = from_bytes(packed(HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{}}'))
    assert set(found.parts) == set(PartName) - ON_REQUEST
    assert {(part.ok, part.error) for part in found.parts.values()} == {(False, "It is not in this capture.")}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b'"vms":{"name":"srs","source":"","read_at":"2026-11-24T20:00:00Z"}', "its part vms calls itself srs"),
        (b'"vms":{"name":"vms","source":"","read_at":"0001-01-01T00:00:00Z"}', "of the year 1"),
        (b'"vms":{"name":"vms","source":"","read_at":"9999-12-31T00:00:00Z"}', "of the year 9999"),
    ],
)
def test_a_capture_with_parts_that_cannot_be_is_refused(part, said):
    assert said in refusal(packed(HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{' + part + b"}}"))


def test_a_capture_that_unpacks_to_more_than_the_limit_is_given_up(monkeypatch):
    data = to_bytes(estate())
    size = len(gzip.decompress(data))
    monkeypatch.setattr(capture, "MAX_BYTES", size)
    assert from_bytes(data).vms
    monkeypatch.setattr(capture, "MAX_BYTES", size - 1)
    assert refusal(data) == f"this capture is larger than {size - 1} bytes unpacked; guard gave up"


def test_what_stands_in_xo_s_configuration_comes_back_as_it_was():
    state = State(
        folder="/etc/xo-server",
        looked_at=NOW,
        own=OwnFile(state="intact", value_ms=1_800_000, until=NOW, reason="r", written_at=NOW, by="guard"),
        in_force=Setting(value_ms=1_800_000, file="config.zz-backup-guard.toml"),
        elsewhere=Setting(value_ms=None, file="config.toml", usable=False),
        page_file=Setting(value_ms=0, file="config.httpInactivityTimeout.toml"),
        broken=(Trouble(file="config.b.toml", why="no TOML"),),
        unsure=(Unsure(file="config.c.yaml", why="YAML", names_it=True, later=None),),
    )
    for one in (state, State(folder=None, looked_at=NOW, problem="it is not there"), None):
        assert from_bytes(to_bytes(estate(workaround=one))).workaround == one


def test_a_capture_of_before_there_was_a_workaround_is_read():
    assert from_bytes(packed(HEAD + b'"taken_at":"2026-11-24T20:00:00Z","parts":{}}')).workaround is None
