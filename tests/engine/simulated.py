"""The same scenarios through the simulator's own run engine, which demo, stories and chaos stand on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from guard.outcomes.outcome import Outcome, outcome
from guard.simulator.live import Live
from tests.engine.engine_log import read_log
from tests.engine.judge import Judged, observed
from tests.engine.stage import SUCCESS, Stage

NOT_ACTED = frozenset({"SNAPSHOT_BLOCKED", "VM_BUSY"})
"""What the simulated run does not do yet: it backs such a VM up. Take off the list what it has learned."""


@dataclass(frozen=True)
class Apart:
    """Where the simulated run and the published engine differ. ``expected``: the simulator is known to lack that."""

    family: str
    scenario: str
    vm: str
    engine: str
    simulator: str

    @property
    def expected(self) -> bool:
        return self.engine.split()[0] in NOT_ACTED and self.simulator.startswith(SUCCESS)


def comparable(stage: Stage) -> bool:
    """Not where the fault is planted in the pool master's answers, where archives of earlier runs matter, or where the
    engine was given other VMs."""
    return not stage.faults and not stage.earlier and not stage.only_started


def simulate(stage: Stage) -> Outcome:
    """Run the job in driven time. Raises AssertionError when the run does not end."""
    live = Live(stage.world)
    live.tolerance = stage.tolerance
    run = live.jobs.run_schedule(stage.schedule, "rpc")
    for _ in range(100):
        if run.ended:
            return outcome(read_log(run.log))
        live.advance(timedelta(minutes=1))
    raise AssertionError("the simulated run does not end")


def apart(judged: Sequence[Judged], fresh: Sequence[Stage]) -> list[Apart]:
    """``fresh``: the same scenarios as those judged, built anew."""
    found = []
    for one, stage in zip(judged, fresh, strict=True):
        if not comparable(stage):
            continue
        mine = simulate(stage)
        for vm in stage.expected:
            engine, simulator = (_told(each, vm, stage) for each in (one.found, mine))
            if engine != simulator:
                found.append(Apart(stage.family, stage.seed, vm, engine, simulator))
    return found


def _told(found: Outcome, vm: str, stage: Stage) -> str:
    """What became of a VM. The bytes of a full backup are those of an archive that the simulated run does not write."""
    code = observed(found, vm)
    own = next((one for one in found.vms if one.vm.id == vm), None)
    if own is None or code != SUCCESS:
        return code
    kinds = sorted(f"{target.target.id[:8]} {target.status} full={target.full}" for target in own.targets)
    sent = f", {own.sent_bytes} bytes" if stage.mode == "delta" and not _leaves_out(stage) else ""
    return f"{code}, {own.attempts} attempts, {', '.join(kinds)}{sent}"


def _leaves_out(stage: Stage) -> bool:
    """The simulated run sends [NOBAK] disks too."""
    return any("[NOBAK]" in disk["name_label"] for disk in stage.world.objects["VDI"].values())


def closing(differences: Sequence[Apart]) -> list[str]:
    known = Counter(one.engine for one in differences if one.expected)
    lacks = ", ".join(f"{code} ({count})" for code, count in sorted(known.items()))
    learned = sorted(NOT_ACTED - set(known))
    return [
        f"the simulator's own run engine: {sum(not one.expected for one in differences)} differences"
        + (f"; it does not act out {lacks}" if lacks else "")
        + (f"; TAKE OFF THE LIST, it does now: {', '.join(learned)}" if learned else "")
    ]
