"""Spark 3.5 with two threads inside Beam's job server; the workers are threads of the launcher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import job_server
from processes import get_jars


def fetch() -> None:
    get_jars("spark")


@contextlib.contextmanager
def start(folder: Path, asked: Callable[[], int]) -> Iterator[list[str]]:
    driver = "org.apache.beam.runners.spark.SparkJobServerDriver"
    here = ["-Dspark.driver.host=127.0.0.1", "-Dspark.driver.bindAddress=127.0.0.1", "-Dspark.ui.enabled=false"]
    with job_server.start("spark", [*here, driver, "--spark-master-url=local[2]"], folder) as flags:
        yield [*flags, "--environment_type=LOOPBACK"]
