"""A cold `guard plan` of 10,000 VMs against the bare fetch and decode of the same bytes, both in fresh processes.

The simulated XO runs in a process of its own: 10,000 VMs, 30,000 VDIs (disks, snapshots and base copies), 30,000 VBDs
(those of snapshots and CD drives included), 200 schedules with three past runs each, 20 SRs. The baseline asks the same
questions over one http.client connection with gzip and one WebSocket, and decodes the same bytes into the same structs.
Targets: 1.5 times, 250 MiB, 25 requests.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  a benchmark plans from the real now
ROUNDS = 3
VMS, JOBS, SRS = 10_000, 200, 20


def world():
    from guard.simulator.world import GIB, VmOutcome, World

    made = World(lambda: NOW)
    pool = made.add_pool("big")
    hosts = [made.add_host(pool, f"host-{number}") for number in range(16)]
    srs = [
        made.add_sr(pool, f"sr-{number}", SR_type="lvmoiscsi" if number % 2 else "nfs", size=400_000 * GIB, shared=True)
        for number in range(SRS)
    ]
    nas = made.add_repository("nas", "nfs://nas.example:/b", size=10**15, available=9 * 10**14)
    vms = []
    for number in range(VMS):
        vm = made.add_vm(pool, f"vm-{number:05}", tags=[f"job-{number % JOBS}"], host=hosts[number % 16])
        made.add_disk(vm, srs[number % SRS], size=20 * GIB)
        if number % 2:
            made.add_disk(vm, srs[(number + 1) % SRS], size=20 * GIB)
        if number % 4 < 3:
            made.add_cd(vm)
        vms.append(vm)
    for number in range(JOBS):
        mine = vms[number::JOBS]
        chosen = {"tags": {"__or": [[f"job-{number}"]]}} if number % 2 else mine
        job = made.add_job(f"job-{number}", vms=chosen, remotes=[nas])
        schedule = made.add_schedule(job, f"{number % 60} {number % 24} * * *", timezone="Europe/Paris")
        for day in (3, 2, 1):
            begun = NOW - timedelta(days=day)
            outcomes = {vm["id"]: VmOutcome(sizes=GIB, is_full=day == 3) for vm in mine}
            made.add_run(schedule, begun, begun + timedelta(minutes=20), outcomes)
        for vm in mine[: VMS // JOBS // 2]:
            made.snapshot(vm, job, schedule, exported=True, at=NOW - timedelta(days=1))
    return made


def serve(connection):
    from guard.simulator.serve import Simulator
    from guard.simulator.serve import serve as listen

    made = world()
    app = Simulator(made)
    asked = []

    async def counting(scope, receive, send):
        if scope["type"] == "http":
            asked.append((scope["path"], scope["query_string"].decode()))
        await app(scope, receive, send)

    counting.faults = app.faults
    sizes = {kind: len(found) for kind, found in made.objects.items()}

    async def stay():
        async with listen(counting) as url:
            connection.send((url, sizes))
            while True:
                word = await asyncio.get_running_loop().run_in_executor(None, connection.recv)
                if word == "stop":
                    return
                connection.send(list(asked))
                asked.clear()

    asyncio.run(stay())


def baseline(url, questions):
    """Run in a fresh process: the same requests, one connection, one decode each."""
    import msgspec
    import websockets.sync.client
    from guard.estate import xo_records
    from guard.estate.xo_records import BackupLog, Job, RepositoryInfo, Vm
    from guard.xo import reads

    kinds = dict(reads.COLLECTIONS.values())
    kinds |= {"backup-jobs": Job, "vms": Vm, "backup-logs": BackupLog}
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    kept = []
    for path, query in questions:
        headers = {"Cookie": "authenticationToken=simulated-token", "Accept-Encoding": "gzip"}
        connection.request("GET", f"{path}?{query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.getheader("content-encoding") == "gzip":
            body = gzip.decompress(body)
        kept.append(msgspec.json.decode(body, type=list[kinds[path.rsplit("/", 1)[1]]]))

    with websockets.sync.client.connect(url.replace("http", "ws") + "/api/", max_size=None, proxy=None) as socket:

        def ask(method, **params):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return msgspec.json.decode(socket.recv(), type=dict[str, msgspec.Raw])["result"]

        ask("session.signIn", token="simulated-token")
        kept.append(reads.decode_objects(ask("xo.getAllObjects", filter=reads.OBJECTS_FILTER)))
        kept.append(msgspec.json.decode(ask("remote.getAllInfo"), type=dict[str, RepositoryInfo]))
        kept.append(msgspec.json.decode(ask("job.getAll"), type=list[xo_records.CallJob]))


def timed(command):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main():
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    server.start()
    url, sizes = here.recv()
    print({kind: count for kind, count in sizes.items() if kind.startswith(("V", "SR"))})
    with tempfile.TemporaryDirectory() as folder:
        token, policy, listed = (Path(folder) / name for name in ("token", "guard.toml", "questions.json"))
        token.write_text("simulated-token")
        token.chmod(0o600)
        policy.write_text(f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n')
        plan = [
            sys.executable,
            "-c",
            "from guard.cli.main import run; run()",
            "plan",
            "--config",
            str(policy),
            "--json",
        ]
        timed(plan)
        here.send("asked")
        questions = here.recv()
        listed.write_text(json.dumps(questions))
        bare = [sys.executable, __file__, "baseline", url, str(listed)]
        timed(bare)
        plans, bares = [], []
        for _ in range(ROUNDS):
            bares.append(timed(bare))
            plans.append(timed(plan))
        measured = [sys.executable, __file__, "memory", *plan[3:]]
        peak = int(subprocess.run(measured, check=True, capture_output=True, text=True).stderr.split()[-1])
    here.send("stop")
    server.join()
    requests = (
        len(questions) + 7
    )  # the calls over the WebSocket: version, sign-in, objects, jobs, info twice, handshake
    figures = {
        "name": "plan_10k",
        "plan_s": round(min(plans), 3),
        "bare_s": round(min(bares), 3),
        "ratio": round(min(plans) / min(bares), 2),
        "peak_mib": round(peak / 1024, 1),
        "requests": requests,
    }
    print(f"cold plan {figures['plan_s']} s, bare fetch and decode {figures['bare_s']} s (best of {ROUNDS})")
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["baseline"]:
        baseline(sys.argv[2], json.loads(Path(sys.argv[3]).read_text()))
    elif sys.argv[1:2] == ["memory"]:
        import io

        from guard.cli.main import main as run_guard

        run_guard(sys.argv[2:], io.StringIO(), sys.stderr, {})
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
    else:
        main()
