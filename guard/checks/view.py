"""All a check may see of one due run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Server
from guard.finding import ClearedBy, Clears, Fact
from guard.mechanics.connection import reconnects
from guard.mechanics.outlook import ExpectedRun, Outlook
from guard.mechanics.settings import is_offline, takes_memory
from guard.mechanics.zones import zone_or_utc


@dataclass(frozen=True)
class View:
    """One due run, the VMs of it still in question (what other findings hold is already out), and the whole outlook."""

    outlook: Outlook
    run: ExpectedRun
    vms: tuple[str, ...]

    @property
    def estate(self) -> Estate:
        return self.outlook.estate

    @property
    def now(self) -> datetime:
        return self.outlook.now

    def fact(self, name: str, value: float | str | bool | None, unit: str, part: PartName) -> Fact:
        """A figure read from one part of the estate, with that part's source and time."""
        read = self.estate.parts[part]
        return Fact(name=name, value=value, unit=unit, source=read.source, observed_at=read.read_at)

    def knows(self, part: PartName) -> bool:
        """Whether a part that not every guard has was read; without it a check goes by what XO tells."""
        read = self.estate.parts.get(part)
        return read is not None and read.usable

    def takes_snapshot(self, vm_id: str) -> bool:
        """Whether XO takes a snapshot of this VM in this run."""
        return self.outlook.takes_snapshot(self.run, self.estate.vm_by_id[vm_id])

    def takes_memory(self, vm_id: str) -> bool:
        """Whether that snapshot shall hold the VM's memory."""
        return takes_memory(self.outlook.settings_of(self.run, vm_id), self.estate.vm_by_id[vm_id].tags or ())

    def is_offline(self, vm_id: str) -> bool:
        """Whether XO shuts the VM down for its backup or its snapshot."""
        return is_offline(self.outlook.settings_of(self.run, vm_id), self.estate.vm_by_id[vm_id].tags or ())

    @property
    def servers_away(self) -> list[Server]:
        """The servers to which XO is not connected."""
        return [server for server in self.estate.servers if server.status != "connected"]

    def clock(self, moment: datetime) -> str:
        """A time in the zone of the schedule, as the plan tells its due time."""
        return moment.astimezone(zone_or_utc(self.run.due.zone)).strftime("%a %H:%M %Z")

    def pool_name(self, pool_id: str) -> str:
        """A pool's name; its id where XO does not show it, or shows none."""
        pool = self.estate.pool_by_id.get(pool_id)
        return pool.name_label if pool is not None and pool.name_label else pool_id

    def vm_name(self, vm_id: str) -> str:
        """A VM's name; its id where XO does not show it."""
        vm = self.estate.vm_by_id.get(vm_id)
        return vm.name if vm is not None else vm_id


def back_by(away: Iterable[Server]) -> Clears:
    """What brings back what lost servers show: time where XO reconnects to one of them by itself."""
    return Clears(ClearedBy.TIME if any(map(reconnects, away)) else ClearedBy.PERSON)


def policy_fact(name: str, value: float | str, unit: str) -> Fact:
    """A figure that a person set in the policy: it has no age."""
    return Fact(name=name, value=value, unit=unit, source="policy", observed_at=None)
