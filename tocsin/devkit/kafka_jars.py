"""Fetches Apache Kafka's own jars through Maven, once, into the user's cache folder."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tocsin.devkit.processes import StartError

KAFKA_VERSION = "4.1.0"
_LOG4J_VERSION = "2.24.3"  # what this Kafka ships with; without a binding its log is lost
_LEAST_JAVA = 17
_TOLD = 4_000
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>tocsin.local</groupId>
  <artifactId>apache-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{_LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_folder() -> Path:
    """Give the folder of this version's jars in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tocsin" / f"apache-kafka-{KAFKA_VERSION}"


def java() -> str:
    """Find a Java that runs Kafka.

    Raises:
        StartError: there is none, or it is too old; the text says what to install.
    """
    found = shutil.which("java")
    if not found:
        msg = (
            f"Apache Kafka needs Java {_LEAST_JAVA}: no `java` on the PATH (Debian: openjdk-17-jre-headless)"
        )
        raise StartError(msg)
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = _JAVA_VERSION.search(told)
    if version and int(version[1]) < _LEAST_JAVA:
        msg = f"Apache Kafka needs Java {_LEAST_JAVA}: {found} is Java {version[1]}"
        raise StartError(msg)
    return found


def jars() -> Path:
    """Give a folder with Kafka and all it needs; fetched at the first call, whole or not at all.

    Raises:
        StartError: `mvn` is missing or failed.
    """
    folder = cache_folder()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        _fetch(Path(scratch))
        if not folder.exists():  # another run may have been faster
            (Path(scratch) / "lib").rename(folder)
    return folder


def _fetch(scratch: Path) -> None:
    mvn = shutil.which("mvn")
    if not mvn:
        msg = "Apache Kafka's jars come through Maven: no `mvn` on the PATH (Debian: apt-get install maven)"
        raise StartError(msg)
    (scratch / "pom.xml").write_text(_POM)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={scratch / 'lib'}", "-DincludeScope=runtime"]
    command = [mvn, "-q", "-B", "-f", str(scratch / "pom.xml"), *goal]
    sys.stderr.write(f"fetching Apache Kafka {KAFKA_VERSION} through Maven, once\n")
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode:
        told = (fetched.stdout + fetched.stderr)[-_TOLD:]
        msg = f"Maven did not get Apache Kafka {KAFKA_VERSION}:\n{told}"
        raise StartError(msg)
