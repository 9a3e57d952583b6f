"""Full backups that do not fit the encryption of an old repository (failure-modes.md 4.1)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import EncryptionOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids
from guard.units import GIB, format_bytes, plural, some_of

ENCRYPTION_LIMIT = Code(
    id="ENCRYPTION_LIMIT",
    title="A full backup is larger than an encrypted repository can hold in one file",
    why="Repositories encrypted by XO's old algorithm (AES-256-GCM) cannot hold a file above 64 GiB. A full backup is one file: "
    "the transfer fails late, after those 64 GiB.",
    do="Send the VM to a new repository, which XO encrypts by its present algorithm, or back it up by a delta job, which "
    "writes smaller files there.",
    certainty=(Certainty.TREND,),
    clears=(ClearedBy.PERSON,),
)
LARGEST_FILE = 64 * GIB


def evaluate(view: View, options: EncryptionOptions) -> list[Finding]:
    """One warning per old encrypted repository to which a VM of a full job may send more than one file can hold.

    By what its disks hold at most: a VM that once sent so much there proves that this repository takes it.
    """
    del options
    run = view.run
    if run.job.mode != "full":
        return []
    findings = []
    for target in repository_ids(run.job):
        info = view.estate.repository_info.get(target)
        if info is None or not info.has_legacy_encryption:
            continue
        told = {vm: view.outlook.bytes_of(run, vm, target) for vm in view.vms}
        too_large = {vm: one for vm, one in told.items() if not one.samples and (one.most or 0) > LARGEST_FILE}
        if too_large:
            findings.append(_finding(view, target, {vm: one.most or 0 for vm, one in too_large.items()}))
    return findings


def _finding(view: View, target: str, too_large: dict[str, int]) -> Finding:
    repository = view.estate.repository_by_id.get(target)
    name = repository.name if repository is not None else target
    largest = max(too_large.values())
    return Finding(
        code=ENCRYPTION_LIMIT.id,
        check="encryption",
        level=Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, target, name),
        holds=tuple(too_large),
        summary=f"Backup repository {name} is encrypted by XO's old algorithm and holds files of at most "
        f"{format_bytes(LARGEST_FILE)}; {plural(len(too_large), 'VM')} of this full job may need more, up to "
        f"{format_bytes(largest)}, and never sent so much there: {some_of(map(view.vm_name, too_large))}.",
        facts=(
            view.fact("largest", largest, "bytes", PartName.VDIS),
            view.fact("limit", LARGEST_FILE, "bytes", PartName.REPOSITORY_INFO),
            view.fact("vms", len(too_large), "VMs", PartName.VMS),
        ),
        remedy=f"Send these VMs to a repository that XO encrypted lately, or back them up by a delta job instead of {name}'s full.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="encryption",
    title="Encryption of old repositories",
    codes=(ENCRYPTION_LIMIT,),
    needs={PartName.REPOSITORIES: timedelta(minutes=10), PartName.VMS: timedelta(minutes=10)},
    options=EncryptionOptions,
    evaluate=evaluate,
)
