"""Every JSON-RPC method that guard sends to XO, by whether it changes something there."""

from __future__ import annotations

READS = frozenset(
    {
        "backupNg.getLogs",
        "job.getAll",
        "proxy.checkHealth",
        "remote.getAllInfo",
        "schedule.getAll",
        "session.getUser",
        "session.signIn",  # of the socket alone: nothing of it stays in XO
        "system.getServerVersion",
        "user.getAuthenticationTokens",
        "xo.getAllObjects",
    }
)
WRITES = frozenset(
    {
        "backupNg.runJob",
        "job.create",
        "job.delete",
        "mirrorBackup.runJob",
        "pbd.connect",
        "remote.test",  # writes a file on the repository, and deletes it
        "schedule.create",
        "schedule.runSequence",
        "schedule.set",
        "server.enable",
        "sr.scan",
        "token.create",
        "token.deleteOwn",
    }
)
"""Counted when they are sent, whatever becomes of them. What is in neither set counts as a write too."""
