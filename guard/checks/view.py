"""All a check may see of one due run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from guard.estate.estate import Estate, PartName
from guard.finding import Fact
from guard.mechanics.outlook import ExpectedRun, Outlook
from guard.mechanics.settings import is_offline, takes_memory, takes_snapshot


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

    def takes_snapshot(self, vm_id: str) -> bool:
        """Whether XO takes a snapshot of this VM in this run."""
        vm = self.estate.vm_by_id[vm_id]
        nobak = self.outlook.has_nobak_disk(vm_id)
        settings = self.outlook.settings_of(self.run, vm_id)
        return takes_snapshot(self.run.job, settings, vm.power_state or None, has_nobak_disk=nobak)

    def takes_memory(self, vm_id: str) -> bool:
        """Whether that snapshot shall hold the VM's memory."""
        return takes_memory(self.outlook.settings_of(self.run, vm_id), self.estate.vm_by_id[vm_id].tags or ())

    def is_offline(self, vm_id: str) -> bool:
        """Whether XO shuts the VM down for its backup or its snapshot."""
        return is_offline(self.outlook.settings_of(self.run, vm_id), self.estate.vm_by_id[vm_id].tags or ())

    def vm_name(self, vm_id: str) -> str:
        """A VM's name; its id where XO does not show it."""
        vm = self.estate.vm_by_id.get(vm_id)
        return vm.name if vm is not None else vm_id


def policy_fact(name: str, value: float | str, unit: str) -> Fact:
    """A figure that a person set in the policy: it has no age."""
    return Fact(name=name, value=value, unit=unit, source="policy", observed_at=None)
