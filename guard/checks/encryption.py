"""Full backups that do not fit the encryption of an old repository (failure-modes.md 4.1)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import EncryptionOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.forecast import Bytes
from guard.mechanics.outlook import repository_ids
from guard.units import GIB, format_bytes, plural, some_of

ENCRYPTION_LIMIT = Code(
    id="ENCRYPTION_LIMIT",
    title="A full backup is larger than an encrypted repository can hold in one file",
    why="Repositories encrypted by XO's old algorithm (AES-256-GCM) cannot hold a file above 64 GiB. A full backup is one file: "
    "the transfer fails late, after those 64 GiB.",
    do="Send the VM to a new repository, which XO encrypts by its present algorithm, or back it up by a delta job, which "
    "writes smaller files there.",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.PERSON,),
)
LARGEST_FILE = 64 * GIB


def evaluate(view: View, options: EncryptionOptions) -> list[Finding]:
    """One finding per old encrypted repository to which a VM of a full job is expected to send more than one file can hold.

    It only holds VMs where the job has no other target for them.
    """
    del options
    run = view.run
    if run.job.mode != "full":
        return []
    targets = repository_ids(run.job)
    findings = []
    for target in targets:
        info = view.estate.repository_info.get(target)
        if info is None or not info.has_legacy_encryption:
            continue
        told = {vm: view.outlook.bytes_of(run, vm, target) for vm in view.vms}
        too_large = {vm: one for vm, one in told.items() if (one.expected or 0) > LARGEST_FILE}
        if too_large:
            findings.append(_finding(view, target, too_large, alone=len(targets) == 1))
    return findings


def _finding(view: View, target: str, too_large: dict[str, Bytes], *, alone: bool) -> Finding:
    repository = view.estate.repository_by_id.get(target)
    name = repository.name if repository is not None else target
    largest = max(one.expected or 0 for one in too_large.values())
    sent_before = all(one.samples for one in too_large.values())  # else it may well be smaller, once compressed
    return Finding(
        code=ENCRYPTION_LIMIT.id,
        check="encryption",
        level=Level.BLOCK if alone and sent_before else Level.WARN,
        certainty=Certainty.LIKELY if sent_before else Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.REPOSITORY, target, name),
        holds=tuple(too_large),
        summary=f"Backup repository {name} is encrypted by XO's old algorithm and holds files of at most "
        f"{format_bytes(LARGEST_FILE)}; {plural(len(too_large), 'VM')} of this full job need more, up to {format_bytes(largest)}: "
        f"{some_of(map(view.vm_name, too_large))}.",
        facts=(
            view.fact("largest", largest, "bytes", PartName.LOGS),
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
