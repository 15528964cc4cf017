"""A real Kafka broker as a child process: one KRaft node on 127.0.0.1, killed and started again on the same log.

    with KafkaBroker(tmp_path) as broker:
        broker.url              # kafka://127.0.0.1:PORT, open to everybody
        broker.secure_url       # the same broker behind TLS and a password: USER, PASSWORD, broker.certificate
        broker.kill()
        broker.restart()

Java runs it, Maven fetches its jars into the usual ~/.m2; a folder of this user's keeps them for the next run.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.buses.kafka.bus import KafkaBus
from headrace.buses.kafka.options import KafkaOptions
from headrace.clock import SystemClock
from tests.support.server import LOG_TAIL, free_port, freeze

POM = Path(__file__).with_name("kafka-pom.xml")
USER, PASSWORD = "headrace", "correct horse"
READY_S = 60.0
FETCH_S = 300.0
STOP_S = 20.0
_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
_JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_STORE_PASSWORD = "changeit"


def missing_tools() -> list[str]:
    """What this machine lacks to run a broker; Maven only counts while the jars are not there."""
    tools = ["java", "keytool"] if _is_filled(jars()) else ["java", "keytool", "mvn"]
    return [tool for tool in tools if shutil.which(tool) is None]


def jars() -> Path:
    """Where they are kept: one folder for each user and each text of the pom."""
    name = f"headrace-kafka-{os.getuid()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    return Path(tempfile.gettempdir()) / name


def fetch_jars() -> Path:
    folder = jars()
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to somebody else")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_filled(folder):
            _copy_dependencies(folder / "libs")
            (folder / "filled").touch()
    return folder / "libs"


def _is_filled(folder: Path) -> bool:
    return (folder / "filled").exists() and any((folder / "libs").glob("kafka_*.jar"))


def _copy_dependencies(target: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    command = ["mvn", "-B", "-q", "-f", str(POM), *goal]
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S
    )
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch Kafka's jars:\n{(done.stdout + done.stderr)[-LOG_TAIL:]}")


class KafkaBroker:
    """Use it as a context manager, or call `start` and `stop`. The log survives both `stop` and `kill`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "broker.log"
        self.certificate = folder / "certificate.pem"
        self.port, self.secure_port, self._controller_port = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._libs = fetch_jars()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka://{self.address}"

    @property
    def secure_address(self) -> str:
        return f"localhost:{self.secure_port}"

    @property
    def secure_url(self) -> str:
        return f"kafka://{self.secure_address}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # start and stop

    def start(self) -> Self:
        assert not self.is_running, "the broker already runs"
        if not self.log_path.exists():
            self._format()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._properties)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_ready()
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not help in time."""
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Start again on the same ports and log; kills first what still runs."""
        self.kill()
        return self.start()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        freeze(self.pid)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def make_anew(self, topic: str, partitions: int = -1) -> None:
        """Deleted with all it holds, and there again."""
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        client.delete_topics([topic], operation_timeout=READY_S)[topic].result(READY_S)
        deadline = time.monotonic() + READY_S
        while True:
            try:
                client.create_topics([NewTopic(topic, partitions, -1)], operation_timeout=READY_S)[topic].result(
                    READY_S
                )
            except KafkaException:
                assert time.monotonic() < deadline, f"topic {topic} could not be made anew"
                time.sleep(0.05)
            else:
                return

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the broker's log ends with:\n{self.log()[-LOG_TAIL:]}")

    # inside

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _command(self, *arguments: str) -> list[str]:
        return [
            *_JAVA,
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{self._libs}/*",
            *arguments,
        ]

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        self._make_certificate()
        self._properties.write_text(self._settings())
        users = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
        options = [part for user in users for part in ("--add-scram", user)]
        command = self._command(
            "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties), *options
        )
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=READY_S
        )
        assert done.returncode == 0, f"Kafka's storage could not be made:\n{done.stdout}{done.stderr}"

    def _make_certificate(self) -> None:
        store = [
            "-keystore",
            str(self._store),
            "-storetype",
            "PKCS12",
            "-storepass",
            _STORE_PASSWORD,
            "-alias",
            "broker",
        ]
        key = ["-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30", "-dname", "CN=localhost"]
        names = ["-ext", "SAN=dns:localhost,ip:127.0.0.1", "-ext", "BC:critical=ca:true"]
        _run("keytool", "-genkeypair", *store, *key, *names)
        _run("keytool", "-exportcert", "-rfc", *store, "-file", str(self.certificate))

    @property
    def _store(self) -> Path:
        return self.folder / "broker.p12"

    def _settings(self) -> str:
        entry = "org.apache.kafka.common.security"
        plain = f'{entry}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = f"{entry}.scram.ScramLoginModule required;"
        return _SETTINGS.format(
            folder=self.folder,
            port=self.port,
            secure_port=self.secure_port,
            controller_port=self._controller_port,
            store=self._store,
            store_password=_STORE_PASSWORD,
            plain=plain,
            scram=scram,
        )

    def _wait_until_ready(self) -> None:
        """Its listeners accept only once it serves."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.is_running:
                raise RuntimeError(f"the broker ended before it was ready:\n{self.log()[-LOG_TAIL:]}")
            if _accepts(self.port) and _accepts(self.secure_port):
                return
            time.sleep(0.05)
        raise RuntimeError(f"the broker was not ready after {READY_S} s:\n{self.log()[-LOG_TAIL:]}")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class KafkaHarness:
    """See `BusHarness` in tests/support/nats.py. The modules of a session share one broker."""

    name = "kafka"
    drops_repeated_ids = False
    acknowledges_singly = False
    _shared: KafkaBroker | None = None

    @property
    def broker(self) -> KafkaBroker:
        assert KafkaHarness._shared is not None, "the broker was not started"
        return KafkaHarness._shared

    @staticmethod
    def missing() -> str:
        tools = missing_tools()
        return f"a Kafka broker needs {', '.join(tools)}" if tools else ""

    def start_broker(self, folder: Path) -> None:
        if KafkaHarness._shared is None:
            KafkaHarness._shared = KafkaBroker(folder)
            atexit.register(KafkaHarness._shared.kill)
        if not self.broker.is_running:
            self.broker.start()

    def kill_broker(self) -> None:
        self.broker.kill()

    def restart_broker(self) -> None:
        self.broker.restart()

    def end_broker(self) -> None:
        """The next module goes on with it; it ends with this process."""

    def options(self, *topics: str, **others: Any) -> KafkaOptions:
        chosen = {
            "publish_topic": "suite-out",
            "dead_letter_topic": "suite-dead",
            "ack_wait_s": 2.0,
            "check_s": 1.0,
            **others,
        }
        return KafkaOptions(servers=(self.broker.address,), topics=topics, **chosen)

    async def subscriber(self, *topics: str, group: str = "suite", dead_letter_topic: str = "suite-dead") -> KafkaBus:
        return KafkaBus(self.options(*topics, group=group, dead_letter_topic=dead_letter_topic), SystemClock())

    async def publisher(self, topic: str) -> KafkaBus:
        return KafkaBus(self.options(publish_topic=topic), SystemClock())

    async def make_anew(self, topic: str) -> None:
        await asyncio.to_thread(self.broker.make_anew, topic)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def _run(*command: str) -> None:
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=READY_S
    )
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"


# Short sessions: without them a broker that was killed waits 9 s before it may have its own place back.
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=OPEN://127.0.0.1:{port},SECURE://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=OPEN://127.0.0.1:{port},SECURE://localhost:{secure_port}
listener.security.protocol.map=OPEN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=OPEN
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location={store}
listener.name.secure.ssl.keystore.password={store_password}
listener.name.secure.ssl.key.password={store_password}
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config={plain}
listener.name.secure.scram-sha-256.sasl.jaas.config={scram}
listener.name.secure.scram-sha-512.sasl.jaas.config={scram}
log.dirs={folder}/log
auto.create.topics.enable=false
num.partitions=3
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=false
group.initial.rebalance.delay.ms=0
log.segment.delete.delay.ms=1000
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""
_LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
"""
