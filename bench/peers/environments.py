"""Where each contender lives: its code and its packages, kept in the user's cache folder from run to run."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tocsin.devkit.kafka_jars import KAFKA_VERSION, cache_folder, java
from tocsin.devkit.processes import StartError

ROOT = Path(__file__).resolve().parent.parent.parent
BEFORE = "60a97b6"
"""The commit that ratios `…_vs_before` compare with."""
_QUIX = "quixstreams==3.28.1"
_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>tocsin.bench</groupId>
  <artifactId>kafka-streams-peer</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-streams</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>com.fasterxml.jackson.core</groupId>
      <artifactId>jackson-databind</artifactId>
      <version>2.17.2</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class Build(NamedTuple):
    """A build of Tocsin: its folder and its environment."""

    name: str
    root: Path
    scripts: Path

    def argv(self, *arguments: str) -> tuple[str, ...]:
        """Give a `tocsin` command of this build."""
        return (str(self.scripts / "tocsin"), *arguments)

    def python(self) -> str:
        """Name its Python: the version, and whether it was built with profile-guided optimisation."""
        ask = (
            "import sys, sysconfig; options = sysconfig.get_config_var('CONFIG_ARGS') or '';"
            "print(sys.version.split()[0], 'PGO' if '--enable-optimizations' in options else 'no PGO')"
        )
        return run([str(self.scripts / "python"), "-c", ask], "python").strip()


def today() -> Build:
    """Give the build that this file belongs to."""
    return Build("today", ROOT, Path(sys.executable).parent)


def before(commit: str = BEFORE) -> Build:
    """Give an older build, checked out of this repository into an environment of its own.

    Raises:
        StartError: the commit is not in this clone, or its environment could not be made.
    """
    folder = _cache() / f"tocsin-{commit}"
    if not (folder / ".venv" / ".local").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _check_out(commit, folder)
        say(f"installing the build of {commit}, once")
        run(["make", "-C", str(folder), ".venv/.local"], f"make .venv/.local of {commit}")
    return Build("before", folder, folder / ".venv" / "bin")


def _check_out(commit: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        cure = f"git archive {commit} (a shallow clone lacks it: git fetch --unshallow)"
        run(["git", "-C", str(ROOT), "archive", f"--output={archive.name}", commit], cure)
        run(["tar", "-xf", archive.name, "-C", str(folder)], "tar")


def quix_python() -> str:
    """Give a Python that has Quix Streams.

    Raises:
        StartError: it could not be installed.
    """
    return python_with(_QUIX)


def python_with(*packages: str) -> str:
    """Give a Python of its own that has these packages; the first names its folder.

    Raises:
        StartError: they could not be installed.
    """
    folder = _cache() / packages[0].replace("==", "-")
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.exists():
        say(f"installing {' '.join(packages)}, once")
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)], "venv")
        run([str(python), "-m", "pip", "install", "--quiet", *packages], f"pip install {packages[0]}")
        done.touch()
    return str(python)


def kafka_streams_peer(folder: Path) -> tuple[str, ...]:
    """Compile the Kafka Streams peer into a folder; returns the command line up to its arguments.

    Raises:
        StartError: Java, its compiler or Maven is missing or failed.
    """
    jars = _streams_jars()
    compiler = shutil.which("javac")
    if not compiler:
        raise StartError("the Kafka Streams peer needs javac (Debian: openjdk-17-jdk-headless)")
    source = Path(__file__).parent / "KafkaStreamsPeer.java"
    run([compiler, "-cp", f"{jars}/*", "-d", str(folder), str(source)], "javac")
    return (java(), "-cp", f"{jars}/*:{folder}", "KafkaStreamsPeer")


def _streams_jars() -> Path:
    folder = _cache() / f"kafka-streams-{KAFKA_VERSION}"
    if folder.exists():
        return folder
    mvn = shutil.which("mvn")
    if not mvn:
        raise StartError("Kafka Streams' jars come through Maven: no `mvn` (Debian: apt-get install maven)")
    say(f"fetching Kafka Streams {KAFKA_VERSION} through Maven, once")
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="fetch-") as scratch:
        pom, jars = Path(scratch) / "pom.xml", Path(scratch) / "lib"
        pom.write_text(_POM)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        run([mvn, "-q", "-B", "-f", str(pom), *goal], "Maven")
        jars.rename(folder)
    return folder


def _cache() -> Path:
    folder = cache_folder().parent / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(text + "\n")


def run(argv: list[str], what: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command and give what it printed.

    Raises:
        StartError: it failed; the text ends with what it said.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise StartError(f"{what} failed:\n{(done.stdout + done.stderr)[-4_000:]}")
    return done.stdout
