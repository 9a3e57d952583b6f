"""guard explain --log: as a text, as JSON, and every kind of file that is no backup log."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from guard.cli import explain
from guard.cli.main import main
from guard.outcomes.codes import ALL_CODES

LOGS = Path(__file__).parent / "recordings" / "logs"


def call(*argv):
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err, {}), out.getvalue(), err.getvalue()


def log(**more):
    return {"id": "1", "jobId": "job", "jobName": "nightly", "start": 1795383448123, "status": "failure"} | more


def vm(name="db", status="failure", id_="vm", **more):
    data = {"type": "VM", "id": id_, "name_label": name}
    return {"message": "backup VM", "data": data, "status": status} | more


CHAIN = {"message": "unhealthy VDI chain", "name": "Error"}


@pytest.fixture
def told(tmp_path):
    """Writes a document into a file and asks why it failed; the file's name in the answer is FILE."""

    def ask(document, *argv):
        file = tmp_path / "log.json"
        file.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        code, out, err = call("explain", "--log", str(file), *argv)
        return code, out, err.replace(str(file), "FILE")

    return ask


def test_a_failed_run_is_told_with_xos_words_why_and_what_to_do():
    code, out, err = call("explain", "--log", str(LOGS / "remote_full_enospc.json"))
    assert (code, err) == (0, "")
    assert out.splitlines()[:6] == [
        'Run 1795383448123 of job "F21 remote full", 2026-11-22 21:37 UTC: failure.',
        "  - REPOSITORY_NO_SPACE: VM db-01, for repository",
        "    7b790d86-a4e6-43b6-8021-5ea28294034b",
        '    XO says: "ENOSPC: no space left on device, write"',
        "",
        "REPOSITORY_NO_SPACE: A backup repository is too full for the run.",
    ]
    flat = " ".join(out.split())
    assert f"Why: {ALL_CODES['REPOSITORY_NO_SPACE'].why}" in flat
    assert f"What to do: {ALL_CODES['REPOSITORY_NO_SPACE'].do}" in flat
    assert out.endswith("  Waiting may clear it; when it comes again, a person must act.\n")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_log_is_explained_within_80_columns(path):
    code, out, err = call("explain", "--log", str(path))
    if path.stem.endswith(".task"):
        assert (code, out) == (1, "")
        assert "expected a backup log" in err
        return
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert ("What to do:" in out) is ("XO says:" in out)


def test_as_json_it_is_exactly_the_promised_document():
    code, out, err = call("explain", "--log", str(LOGS / "mixed_success_skipped.json"), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "schema": "guard.causes/1",
        "causes": [
            {
                "run": "1795383313844",
                "scope": {"kind": "vm", "id": "39f41e68-3f32-534d-b3fc-e931c4dda580", "name": "chain-bad"},
                "code": "CHAIN_UNHEALTHY",
                "transient": True,
                "waiting_helps": True,
                "text": "unhealthy VDI chain",
            }
        ],
    }


def test_a_log_a_list_and_the_wrapper_say_the_same(told):
    one = log(tasks=[vm(result=CHAIN)])
    answers = {told(document, "--json") for document in (one, [one], {"restBackupLogs": [one], "note": "x"})}
    assert len(answers) == 1
    code, out, _ = answers.pop()
    assert code == 0
    assert [cause["code"] for cause in json.loads(out)["causes"]] == ["CHAIN_UNHEALTHY"]


def test_a_dash_reads_stdin(monkeypatch):
    content = json.dumps(log(tasks=[vm(result=CHAIN)])).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    code, out, _ = call("explain", "--log", "-", "--json")
    assert (code, len(json.loads(out)["causes"])) == (0, 1)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, _, err = call("explain", "--log", "-")
    assert code == 1
    assert err.startswith("guard: stdin: is empty")


def test_a_byte_order_mark_is_no_error(told):
    assert told(b"\xef\xbb\xbf" + json.dumps(log()).encode())[0] == 0


def test_runs_that_lost_nothing_are_counted(told):
    well = log(status="success")
    assert told([well])[1] == 'Run 1 of job "nightly", 2026-11-22 21:37 UTC: success. Nothing failed.\n'
    assert told([well, well | {"id": "2"}])[1] == "In 2 runs nothing failed.\n"
    assert told(log(status="pending"))[1].endswith(": pending. Nothing failed so far.\n")
    assert told([log(tasks=[vm(result=CHAIN)]), well, well])[1].endswith("\n\nIn 2 runs nothing failed.\n")
    assert told([])[1] == "There is no backup log in it.\n"
    assert json.loads(told([], "--json")[1]) == {"schema": "guard.causes/1", "causes": []}


def test_vms_with_the_same_words_share_a_line_and_each_code_is_explained_once(told):
    tasks = [
        vm("a", id_="1", result=CHAIN),
        vm("b", id_="2", result=CHAIN),
        vm("c", id_="3", result={"message": "odd"}),
    ]
    _, out, _ = told(log(tasks=tasks))
    assert "- CHAIN_UNHEALTHY: VM a, VM b\n" in out
    assert "- UNCLASSIFIED: VM c\n" in out
    assert out.count("CHAIN_UNHEALTHY: The VDI chain") == 1
    assert "It passes by itself: a later run may well succeed." in out


def test_nothing_is_promised_about_an_error_that_is_not_known(told):
    _, out, _ = told(log(result={"message": "odd"}))
    assert "guard does not know this error" in out
    assert "Waiting" not in out
    assert "passes by itself" not in out


def test_what_waiting_does_not_help_says_so(told):
    _, out, _ = told(log(tasks=[vm(result={"code": "VM_HAS_VUSBS", "message": "VM_HAS_VUSBS(x)"})]))
    assert out.endswith("Waiting does not help: a person must act.\n")


def test_an_unknown_error_is_printed_whole(told):
    words = [f"word{number}" for number in range(400)]
    _, out, _ = told(log(result={"message": " ".join(words)}))
    assert [word for word in words if word not in out.replace('"', " ").split()] == []
    assert json.loads(told(log(result={"message": "a\n\tb  c"}), "--json")[1])["causes"][0]["text"] == "a\n\tb  c"


def test_names_and_texts_of_a_log_cannot_harm_a_terminal(told):
    evil = "\x1b[2J\u202eevil\x07"
    tasks = [vm(evil, result={"message": f"{evil}\nsecond line"})]
    _, out, _ = told(log(id=f"1{evil}", jobName=evil, tasks=tasks))
    assert not [one for one in out if one != "\n" and not one.isprintable()]
    assert "evil" in out
    assert " second line" in out


@pytest.mark.parametrize("start", [10**300, -(10**18), 2**62])
def test_a_time_no_calendar_holds_is_left_out(told, start):
    document = json.dumps(log(start=0)).replace('"start": 0', f'"start": {start}').encode()
    code, out, err = told(document)
    if code:  # beyond what a JSON number of XO's can be
        assert "FILE" in err
    else:
        assert out.startswith('Run 1 of job "nightly": failure.\n')


def test_a_run_without_a_job_or_a_time_is_told_without_them(told):
    assert told({"id": "7", "status": "success"})[1] == "Run 7: success. Nothing failed.\n"
    assert told({"id": "7", "status": "success", "jobId": "j"})[1] == 'Run 7 of job "j": success. Nothing failed.\n'
    assert "- UNCLASSIFIED: job\n" in told({"id": "7", "status": "failure"})[1]


RIGHT = "expected a backup log as XO shows it"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"not json", "is not JSON"),
        (b'{"id": "1", "status"', "is not JSON"),
        (b"\x1f\x8b\x08\x00binary", "is not JSON"),
        (b'"\xff\xfe"', "is not JSON"),
        (b"\xff\xfe{\x00}\x00", "is not JSON"),
        (b'"\\ud800"', "is not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 500 + b"]" * 500, "nested too deeply"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested too deeply"),
        (b"42", "holds a single value"),
        (b'"text"', "holds a text"),
        (b"[[]]", "holds a list"),
        (b"[null]", "holds a single value"),
        (b'{"restBackupLogs": {}}', "holds an object, not backup logs"),
        (b'{"restBackupLogs": 3}', "holds a single value, not backup logs"),
        (b"{}", "has not the id and the status"),
        (b'{"id": "1", "status": "Running"}', "has not the id and the status"),
        (b'{"id": "1", "status": ["x"]}', "has not the id and the status"),
        (b'{"status": "failure"}', "has not the id and the status"),
        (b'["/rest/v0/backup-logs/1"]', "is only the address of a log"),
        (b'{"id": "1", "status": "failure", "properties": {"name": "x"}}', "is a task of XO"),
        (b'{"id": 1, "status": "failure"}', "Expected `str`, got `int` - at `$.id`"),
        (b'{"id": "1", "status": "failure", "tasks": 3}', "at `$.tasks`"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_what_is_no_log_gives_one_sentence_with_the_file_and_what_would_be_right(told, content, said):
    code, out, err = told(content)
    assert (code, out) == (1, "")
    assert err.startswith("guard: FILE: ")
    assert said in err
    assert RIGHT in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_the_bad_one_of_several_logs_is_named_by_its_number(told):
    code, _, err = told([log(), log(), log(tasks="x")])
    assert code == 1
    assert err.startswith("guard: FILE: log 3 of 3: is not a backup log")


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path):
    for path, said in ((tmp_path / "no", "No such file"), (tmp_path, "Is a directory")):
        code, out, err = call("explain", "--log", str(path))
        assert (code, out) == (1, "")
        assert err.startswith(f"guard: {path}: cannot be read ({said}")


def test_a_huge_file_is_refused_after_64_mib(tmp_path):
    file = tmp_path / "huge"
    with file.open("wb") as sparse:
        sparse.truncate(5 * 1024**3)
    code, out, err = call("explain", "--log", str(file))
    assert (code, out) == (1, "")
    assert err == f"guard: {file}: is larger than 64 MiB; save fewer logs into one file\n"


def test_a_file_of_just_the_largest_size_is_read(told, monkeypatch):
    content = json.dumps(log()).encode()
    monkeypatch.setattr(explain, "LARGEST_BYTES", len(content))
    assert told(content)[0] == 0
    assert told(content + b" ")[0] == 1


def test_a_code_and_a_log_do_not_go_together():
    code, _, err = call("explain", "CHAIN_UNHEALTHY", "--log", "x")
    assert code == 1
    assert "not both" in err
    code, _, err = call("explain", "CHAIN_UNHEALTHY", "--json")
    assert code == 1
    assert "--json goes with --log FILE" in err


@pytest.mark.parametrize("code", ALL_CODES)
def test_every_code_is_known_to_explain(code):
    status, out, _ = call("explain", code.lower())
    assert status == 0
    assert out.startswith(f"{code}: ")


def test_the_list_of_codes_names_all_of_them_and_a_typing_error_the_nearest():
    _, out, _ = call("explain")
    assert ALL_CODES.keys() <= {line.split()[0] for line in out.splitlines() if line[0] != " "}
    assert "did you mean EXPORT_TIMEOUT?" in call("explain", "export_timout")[2]
    assert "see guard explain" in call("explain", "x")[2]
