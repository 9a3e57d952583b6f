"""JSON-RPC methods that put something right: SRs, pool connections, plugs, tests of repositories (xo-api.md 4.3, 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from guard.simulator.calls import Call
from guard.simulator.live import Live
from guard.simulator.rpc_protocol import JsonValue, Method, RpcError, Session
from guard.simulator.rpc_writes import error_of, no_such
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

WITHOUT_TIME: XoObject = {"success": True, "writeRate": 1e8, "readRate": 1.2e8}


class RpcRemedies:
    """For one world. In one that is not alive nothing takes time, and all goes well."""

    def __init__(self, world: World) -> None:
        self.world = world

    def methods(self) -> dict[str, Method]:
        return {
            "pbd.connect": Method(self._plug, params=("id",), writes=True),
            "remote.test": Method(self._test, params=("id",), writes=True),
            "server.disable": Method(self._disable, params=("id",), writes=True),
            "server.enable": Method(self._enable, params=("id",), writes=True),
            "sr.scan": Method(self._scan, params=("id",), writes=True),
        }

    def _scan(self, _session: Session, params: XoObject) -> JsonValue:
        sr = self._shown("SR", params["id"])
        return self._done(lambda live: Call(live, live.scans.scan(sr), live.outside))

    def _plug(self, _session: Session, params: XoObject) -> JsonValue:
        pbd = self._shown("PBD", params["id"])
        if self.world.live is None:
            pbd["attached"] = True
        return self._done(lambda live: Call(live, live.scans.plug(pbd), live.outside))

    def _enable(self, _session: Session, params: XoObject) -> JsonValue:
        server = self._server(params)
        if self.world.live is None and server["status"] == "disconnected":
            self.world.connect(server)
        return self._done(lambda live: Call(live, live.pools.enable(server), live.xo))

    def _disable(self, _session: Session, params: XoObject) -> None:
        server = self._server(params)
        if self.world.live is None:
            self.world.disconnect(server, "disconnected", enabled=False)
        else:
            self.world.live.pools.disable(server)

    def _test(self, _session: Session, params: XoObject) -> JsonValue:
        if params["id"] not in self.world.repositories:
            raise no_such("remote", params["id"])
        record = self.world.repositories[params["id"]]
        return self._done(lambda live: Call(live, live.probes.test(record), live.xo), dict(WITHOUT_TIME))

    def _done(self, begun: Callable[[Live], Call], at_once: JsonValue = True) -> JsonValue:
        """What is answered later, or at once where there is no time. Raises RpcError for what fails without taking any."""
        if self.world.live is None:
            return at_once
        call = begun(self.world.live)
        if call.error is not None:
            raise error_of(call.error)
        return call

    def _shown(self, kind: str, identity: str) -> XoObject:
        found = self.world.find(kind, identity)
        if found is None:
            raise RpcError(1, f"no such object {identity}", {"id": identity, "type": [kind]})
        return found

    def _server(self, params: XoObject) -> XoObject:
        if params["id"] not in self.world.servers:
            raise no_such("xenServer", params["id"])
        return self.world.servers[params["id"]]
