"""Rounds of a storm in which the test itself is the server: quick, and with every possible misbehaviour of a server."""

import contextlib
import gzip
import random
import time
from dataclasses import dataclass

from harness.faults import ALL, FAULTS, NOBODY, TARGET, Scene
from harness.peer import dump_request
from harness.session import DATAGRAM, FRAMED, Reading, Session
from storm_world import GONE, PROGRAMS, Source, World, Wrong

# Seconds until each dump must have been reported as done or failed.
TOLD = 60


@dataclass(frozen=True)
class Order:
    """A dump to request."""

    source: Source
    program: str
    compressed: bool

    def body(self, world: World, auth: str) -> str:
        """The request."""
        application = "" if self.program == "GNUTAR" else self.program
        state = world.amanda.prefix / "var/bsdtar"
        extra = f"<property><name>STATE-DIR</name><value>{state}</value></property>" if self.program == "ambsdtar" else ""
        body = dump_request(str(self.source.path), application=application, extra=extra, auth=auth.upper())
        return body.replace("<record>", "<compress>FAST</compress><record>") if self.compressed else body


class PeerRound:
    """One to three dumps from one amandad, and a fault."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.done = self.failed = 0
        self.met = True
        self.auth = chance.choice(FRAMED + DATAGRAM)
        count = chance.randint(1, 3)
        self.orders = [Order(source, chance.choice(list(PROGRAMS)), chance.random() < 0.3)
                       for source in chance.sample(world.sources[:-1], count)]
        self.target = chance.choice(self.orders)
        tools = {PROGRAMS[self.target.program]} | ({"gzip"} if self.target.compressed else set())
        self.fault = chance.choice([fault for fault in FAULTS if self.auth in fault.auths and fault.needs in ("", *tools)])
        self.at_bytes = chance.randrange(30 << 20) if chance.random() < 0.6 else 0
        self.at_seconds = chance.uniform(0, 0.15)
        self.paused = chance.random() < 0.5
        self.sessions = contextlib.ExitStack()

    @property
    def fault_name(self) -> str:
        """What went wrong."""
        return self.fault.name

    def __str__(self) -> str:
        orders = ", ".join(f"{order.program} of {order.source.path.name}{' compressed' * order.compressed}"
                           f"{' (target)' * (order is self.target)}" for order in self.orders)
        return f"{self.fault.name}; {self.auth}; {orders}; at {self.at_bytes} bytes or {self.at_seconds:.3f} s{' paused' * self.paused}"

    def run(self) -> None:
        """Run the round. Raises Wrong."""
        (self.world.amanda.prefix / "var/bsdtar").mkdir(exist_ok=True)
        self.world.amanda.give(self.world.amanda.prefix / "var/bsdtar")
        with contextlib.ExitStack() as undo:
            session = Session(self.world.amanda, self.auth)
            undo.callback(session.close)
            scene = Scene(self.world.amanda, self.world.stand_ins, self.chance, session, str(self.target.source.path), [], undo)
            if self.fault.early:
                self.met = self.fault.act(scene) is not False
            self._dump(scene)
            self._judge(session.readings)
            self._dump_again(session)
            session.drop(reset=self.chance.random() < 0.3)
            for one in [session.peer, *scene.attackers]:
                if one.exit_status(GONE) is None:
                    raise Wrong(f"amandad {one.process.pid} is still there {GONE} s after its server has gone")
            self.world.check_nothing_left()

    def _dump(self, scene: Scene) -> None:
        session = scene.session
        try:
            for order in self.orders:
                session.begin(str(order.source.path), order.body(self.world, self.auth))
        except (AssertionError, TimeoutError) as error:
            raise Wrong(f"a dump did not begin: {error}") from None
        if not self.fault.early:
            self._wait_for_moment(session)
            self.met = self.fault.act(scene) is not False
        if not session.finish(TOLD):
            raise Wrong(f"no result within {TOLD} s: {[self._tell(one) for one in session.readings if not one.over]}")

    def _wait_for_moment(self, session: Session) -> None:
        begun = time.monotonic()
        while not session.over and (session.received < self.at_bytes if self.at_bytes else time.monotonic() < begun + self.at_seconds):
            session.step(0.01)
        if self.paused:
            # Lets all pipes and buffers fill.
            time.sleep(0.2)

    @staticmethod
    def _tell(reading: Reading) -> str:
        return f"{reading.directory}: {reading.dump.size} bytes, ended {sorted(reading.dump.ended)}, messages {reading.dump.messages!r}"

    def _judge(self, readings: list[Reading]) -> None:
        for order, reading in zip(self.orders, readings):
            if reading.done:
                self._check_whole(order, reading)
                self.done += 1
            elif self.fault.harms == ALL or (self.fault.harms == TARGET and order is self.target):
                self.failed += 1
            else:
                raise Wrong(f"harmed: {self._tell(reading)}")

    def _check_whole(self, order: Order, reading: Reading) -> None:
        data = bytes(reading.dump.data)
        try:
            archive = gzip.decompress(data) if order.compressed else data
        except (OSError, EOFError) as error:
            raise Wrong(f"called done, but the filter's output is bad: {error}: {self._tell(reading)}") from None
        try:
            self.world.check_restore(archive, order.source, PROGRAMS[order.program])
        except Wrong as wrong:
            raise Wrong(f"{wrong}: {self._tell(reading)}") from None
        if self.fault.loses_index and order is self.target:
            return
        listed = set(reading.dump.index.decode().splitlines())
        if not reading.dump.strange and listed != order.source.index:
            raise Wrong(f"called done, but its index differs in {sorted(listed ^ order.source.index)[:3]}: {self._tell(reading)}")

    def _dump_again(self, session: Session) -> None:
        """The next dump: from the same amandad if it was to suffer no harm, else from a new one."""
        self.world.behave()
        order = Order(self.world.sources[-1], "GNUTAR", False)
        same = self.fault.harms == NOBODY and self.auth in FRAMED and session.channels
        with contextlib.ExitStack() as undo:
            if not same:
                session = Session(self.world.amanda, self.auth)
                undo.callback(session.close)
            try:
                reading = session.begin(str(order.source.path), order.body(self.world, self.auth))
            except (AssertionError, TimeoutError) as error:
                raise Wrong(f"the next dump did not begin: {error}") from None
            if not session.finish(TOLD) or not reading.done:
                raise Wrong(f"the next dump failed: {self._tell(reading)}")
            self._check_whole(order, reading)
