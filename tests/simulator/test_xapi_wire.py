"""The two protocols of the simulated pool master, as the clients speak them that guard and XO use."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import xmlrpc.client

import httpx
import pytest
import trustme
import XenAPI
from guard.simulator.live import Live
from guard.simulator.xapi import Fault, XapiFace, serve_xapi, serving_xapi
from guard.simulator.xapi_wire import task_result
from tests.simulator.worlds import NOW, small_world
from tests.simulator.xapi_ways import Client, asked, face_of, on_socket, ref, refused, signed_in, told


def test_the_published_client_signs_in_reads_and_signs_out() -> None:
    small = small_world()
    face = XapiFace(small.world, small.pool)
    with signed_in(face, "guard/1") as xenapi:
        assert list(face.sessions.values()) == ["guard/1"]
        assert xenapi.VM.get_by_uuid(small.thick["id"]) == small.thick["_xapiRef"]
        record = xenapi.VM.get_record(small.thick["_xapiRef"])
        assert record["name_label"] == "thick-01"
        assert xenapi.VM.get_power_state(ref(small.thick)) == "Running"
        assert set(xenapi.VM.get_all()) == set(xenapi.VM.get_all_records())
        xenapi.session.logout()
    assert face.sessions == {}


def test_xml_rpc_carries_integers_as_texts_and_times_as_times() -> None:
    small = small_world()
    with signed_in(face_of(small.world)) as xenapi:
        disk = xenapi.VDI.get_record(ref(small.thick_disk))
        assert disk["virtual_size"] == str(20 * 1024**3)
        assert disk["snapshot_time"] == xmlrpc.client.DateTime("19700101T00:00:00Z")
        assert disk["managed"] is True
        assert xenapi.host.query_data_source(xenapi.host.get_all()[0], "loadavg") == 0.4


def test_json_rpc_carries_numbers_and_its_type_has_nothing_behind_it() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        answer = await client.post("VDI.get_record", client.session, ref(small.thick_disk))
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["id"] == 7
        assert answer.json()["result"]["virtual_size"] == 20 * 1024**3
        assert answer.json()["result"]["snapshot_time"] == "19700101T00:00:00Z"
        failed = (await client.post("VDI.get_record", client.session, "OpaqueRef:x")).json()
        assert failed["error"] == {"code": 1, "message": "HANDLE_INVALID", "data": ["VDI", "OpaqueRef:x"]}

    asked(face_of(small.world), ask)


def test_xml_comes_without_a_blank_between_its_tags() -> None:
    face = face_of(small_world().world)

    async def ask(client: Client) -> None:
        call = xmlrpc.client.dumps((client.session,), "VM.get_all_records")
        answer = await client.http.post("/xmlrpc", content=call)
        assert answer.headers["content-type"] == "text/xml"
        assert "\n" not in answer.text
        assert "> <" not in answer.text
        (value,), _ = xmlrpc.client.loads(answer.content)
        assert set(value["Value"]) == set(await client.call("VM.get_all"))

    asked(face, ask)


def test_a_failure_of_xapi_is_a_failure_of_the_published_client() -> None:
    small = small_world()
    with signed_in(face_of(small.world)) as xenapi:
        with pytest.raises(XenAPI.Failure) as failed:
            xenapi.VM.get_by_uuid("nobody")
        assert failed.value.details == ["UUID_INVALID", "VM", "nobody"]


def test_a_wrong_password_is_refused() -> None:
    with serving_xapi(face_of(small_world().world)) as url:
        session = XenAPI.Session(url)
        with pytest.raises(XenAPI.Failure) as failed:
            session.xenapi.login_with_password("root", "wrong", "1.0", "tests")
        session("close")()
    assert failed.value.details[0] == "SESSION_AUTHENTICATION_FAILED"


def test_a_slave_names_its_master() -> None:
    small = small_world()
    with serving_xapi(XapiFace(small.world, small.pool, slave_of="192.0.2.1")) as url:
        session = XenAPI.Session(url)
        with pytest.raises(XenAPI.Failure) as failed:
            session.xenapi.login_with_password("root", "simulated-password", "1.0", "tests")
        session("close")()
    assert failed.value.details == ["HOST_IS_SLAVE", "192.0.2.1"]


def test_a_master_that_became_a_slave_says_so_to_who_is_signed_in() -> None:
    face = face_of(small_world().world)
    with signed_in(face) as xenapi:
        assert len(xenapi.pool.get_all()) == 1
        face.slave_of = "192.0.2.2"
        with pytest.raises(XenAPI.Failure, match="HOST_IS_SLAVE"):
            xenapi.pool.get_all()


def test_a_session_that_was_forgotten_is_invalid_and_the_published_client_signs_in_again() -> None:
    face = face_of(small_world().world)
    with signed_in(face) as xenapi:
        face.forget_sessions()
        assert len(xenapi.pool.get_all()) == 1
        assert len(face.sessions) == 1
    assert refused(face, "VM.nothing", "x") == ["MESSAGE_METHOD_UNKNOWN", "VM.nothing"]

    async def ask(client: Client) -> None:
        face.forget_sessions()
        with pytest.raises(XenAPI.Failure, match="SESSION_INVALID"):
            await client.call("pool.get_all")

    asked(face, ask)


def test_a_read_only_role_reads_asks_and_changes_nothing() -> None:
    small = small_world()
    face = face_of(small.world)
    face.role = "read-only"
    vm = ref(small.thick)
    assert told(face, "VM.assert_operation_valid", vm, "snapshot") == ""
    assert told(face, "VM.get_allowed_operations", vm)
    assert told(face, "VM.get_all_records_where", "true")
    for method, *params in (("VM.snapshot", vm, "x"), ("Async.VM.snapshot", vm, "x"), ("SR.scan", ref(small.lvm))):
        assert refused(face, method, *params)[:2] == ["RBAC_PERMISSION_DENIED", method]
    assert small.thick["snapshots"] == []


def test_unknown_calls_and_wrong_counts_of_parameters_are_refused_as_xapi_refuses_them() -> None:
    small = small_world()
    face, vm = face_of(small.world), ref(small.thick)
    assert refused(face, "VM.get_nothing", vm) == ["MESSAGE_METHOD_UNKNOWN", "VM.get_nothing"]
    assert refused(face, "Nothing.get_all") == ["MESSAGE_METHOD_UNKNOWN", "Nothing.get_all"]
    assert refused(face, "VM.set_power_state", vm, "Halted") == ["MESSAGE_METHOD_UNKNOWN", "VM.set_power_state"]
    assert refused(face, "VM.snapshot", vm)[0] == "MESSAGE_PARAMETER_COUNT_MISMATCH"
    assert refused(face, "VM.get_record", ref(small.thick_disk)) == ["HANDLE_INVALID", "VM", ref(small.thick_disk)]


def test_every_class_is_listed_for_clients_that_look_what_there_is() -> None:
    face = face_of(small_world().world)

    async def ask(client: Client) -> None:
        listed = await client.raw("system.listMethods")
        for method in (name for name in listed if name.endswith(".get_all_records")):
            assert isinstance(await client.call(method), dict), method
        assert {"VIF.get_all_records", "VTPM.get_all_records", "host_metrics.get_all_records"} <= set(listed)

    asked(face, ask)


def test_faults_spoil_so_many_calls_and_no_others() -> None:
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(error=["HOST_STILL_BOOTING"], times=2, skip=1)]

    async def ask(client: Client) -> list[str]:
        seen = []
        for _ in range(4):
            try:
                seen.append(str(len(await client.call("pool.get_all"))))
            except XenAPI.Failure as failure:
                seen.append(failure.details[0])
        return seen

    assert asked(face, ask) == ["1", "HOST_STILL_BOOTING", "HOST_STILL_BOOTING", "1"]


def test_an_http_status_is_no_xapi_error() -> None:
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(status=503)]
    with signed_in(face) as xenapi, pytest.raises(xmlrpc.client.ProtocolError, match="503"):
        xenapi.pool.get_all()


def test_a_delayed_answer_takes_its_time() -> None:
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(delay=40)]

    async def ask(client: Client) -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert len(await client.call("pool.get_all")) == 1
        return loop.time() - before

    assert asked(face, ask) == pytest.approx(40)


def test_a_hanging_call_answers_nobody_until_the_client_leaves() -> None:
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(hangs=True)]
    with serving_xapi(face) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=0.2)
        session = XenAPI.Session(url)
        session.xenapi.login_with_password("root", "simulated-password", "1.0", "tests")
        body = xmlrpc.client.dumps((session.handle,), "pool.get_all")
        connection.request("POST", "/", body, {"content-type": "text/xml"})
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        assert len(session.xenapi.pool.get_all()) == 1
        session("close")()


def test_the_face_is_served_with_tls(tmp_path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    small = small_world()

    async def ask() -> None:
        face = XapiFace(small.world, small.pool, password="other")
        pem = str(tmp_path / "both.pem")
        async with serve_xapi(face, certfile=pem, keyfile=pem) as url, httpx.AsyncClient(verify=context) as client:
            assert url.startswith("https://")
            body = xmlrpc.client.dumps(("root", "other", "1.0", "tests"), "session.login_with_password")
            answer = await client.post(f"{url}/RPC2", content=body)
            (value,), _ = xmlrpc.client.loads(answer.content)
            assert value["Status"] == "Success"

    asyncio.run(ask())


def test_what_is_no_call_is_answered_with_an_error_not_with_a_crash() -> None:
    face = face_of(small_world().world)

    async def ask(client: Client) -> None:
        answer = await client.http.post("/", content=b"<methodCall>")
        (value,), _ = xmlrpc.client.loads(answer.content)
        assert value["ErrorDescription"][0] == "INTERNAL_ERROR"
        answer = await client.http.post("/jsonrpc", content=b"[1")
        assert answer.json()["error"]["message"] == "INTERNAL_ERROR"
        assert (await client.http.get("/nothing")).status_code == 404

    asked(face, ask)


def test_a_pool_that_is_lost_answers_nobody() -> None:
    small = small_world()
    live = Live(small.world)
    live.pools.lose(small.world.server_of(small.pool))
    with pytest.raises(ConnectionResetError):
        told(face_of(small.world), "pool.get_all")


def test_a_pool_that_is_lost_cuts_the_connections_of_its_clients() -> None:
    small = small_world()
    live = Live(small.world)
    with on_socket(face_of(small.world)) as (_url, xenapi):
        live.pools.lose(small.world.server_of(small.pool))
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            xenapi.pool.get_all()
        live.pools.regain(small.world.server_of(small.pool))
        assert len(xenapi.pool.get_all()) == 1


def test_a_pool_that_is_lost_cuts_who_waits_for_events() -> None:
    small = small_world()
    live = Live(small.world)

    async def ask(client: Client) -> None:
        token = await client.call("event.inject", "pool", ref(small.pool))
        loop = asyncio.get_running_loop()
        loop.call_later(3, live.pools.lose, small.world.server_of(small.pool))
        with pytest.raises(ConnectionResetError):
            await client.call("event.from", ["*"], token, 60.0)

    asked(face_of(small.world), ask)


def test_what_nobody_thought_of_is_an_internal_error() -> None:
    small = small_world()
    face = face_of(small.world)
    assert refused(face, "VM.add_to_tags", ref(small.thick), "a", "b")[0] == "INTERNAL_ERROR"
    assert small.thick["tags"] == ["prod"]


def test_a_call_without_a_session_is_refused() -> None:
    async def ask(client: Client) -> None:
        with pytest.raises(XenAPI.Failure, match="MESSAGE_PARAMETER_COUNT_MISMATCH"):
            await client.raw("pool.get_all")

    asked(face_of(small_world().world), ask)


def test_objects_are_found_by_name() -> None:
    small = small_world()
    face = face_of(small.world)
    assert told(face, "VM.get_by_name_label", "thin-01") == [ref(small.thin)]
    assert told(face, "VM.get_by_name_label", "nobody") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("OpaqueRef:a&b", "<value>OpaqueRef:a&amp;b</value>"),
        (True, "<value><boolean>1</boolean></value>"),
        (7, "<value>7</value>"),
        (["a", 0.5], "<value><array><data><value>a</value><value><double>0.5</double></value></data></array></value>"),
    ],
)
def test_the_result_of_a_task_is_an_xml_rpc_value(value, text: str) -> None:
    assert task_result(value) == text


def test_time_is_the_worlds() -> None:
    small = small_world()
    host = told(face_of(small.world), "host.get_all")[0]
    assert told(face_of(small.world), "host.get_servertime", host) == f"{NOW:%Y%m%dT%H:%M:%SZ}"
