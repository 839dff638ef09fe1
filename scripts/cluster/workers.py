"""A pool of Python workers that two TaskManagers of one machine can share: `python workers.py --service_port=P`.

Beam's own pool knows its workers by their ids alone, and each TaskManager counts its ids from one: the first to end a
worker would end the other's of the same id, which then never connects (the job starts again after three minutes). Here
a worker ends by itself, when its TaskManager closes the connection. On a cluster each TaskManager has a pool of its own.
"""

from __future__ import annotations

import sys
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker import worker_pool_main


class Pool(worker_pool_main.BeamFnExternalWorkerPoolServicer):
    """Beam's pool, which stops no worker before its own end."""

    def StopWorker(self, request: Any, context: Any) -> Any:
        """Leave the worker alone."""
        return beam_fn_api_pb2.StopWorkerResponse()


if __name__ == "__main__":
    vars(worker_pool_main)["BeamFnExternalWorkerPoolServicer"] = Pool
    worker_pool_main.main(sys.argv)
