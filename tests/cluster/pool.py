"""Beam's worker pool at one address, as beside each TaskManager of a cluster: ``python pool.py 127.0.0.2:50000``.

``apache_beam.runners.worker.worker_pool_main`` listens on every address of a machine. Two runner workers that share a
pool ask it for workers of the same id, and all but the last are never stopped.
"""

import signal
import sys

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor


def main(address: str) -> None:
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(
        BeamFnExternalWorkerPoolServicer(use_process=True), server
    )
    server.add_insecure_port(address)
    server.start()
    signal.sigwait([signal.SIGINT, signal.SIGTERM])  # engines.py ends the workers: they are in this process's group
    server.stop(0)


if __name__ == "__main__":
    main(sys.argv[1])
