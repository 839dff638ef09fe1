"""Serve a GGUF file by llama.cpp until the process is ended: `python llama_cpp_serve.py --model FILE ...`.

A program of its own (see `process_guard.py`), so that the pipeline's process holds no model. No part of a package.
"""

from __future__ import annotations

import argparse
import sys
import threading

import xllamacpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", required=True, help="what the server calls it")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True, help="questions at a time")
    parser.add_argument("--context", type=int, required=True, help="tokens of prompt and answer, for each of them")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = options.model, {options.name}
    wanted.hostnames, wanted.port = [options.host], options.port
    wanted.n_parallel, wanted.n_ctx = options.slots, options.slots * options.context
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = options.threads
    wanted.cache_ram_mib = 0  # prompts beside those in the slots are not kept
    wanted.sampling.top_k, wanted.sampling.top_p, wanted.sampling.min_p = 0, 1.0, 0.0  # as OpenAI's and vLLM's servers
    wanted.ui = False
    server = xllamacpp.Server(wanted)
    address = f"http://{options.host}:{options.port}"
    if server.listening_address != address:
        sys.exit(f"llama.cpp listens at {server.listening_address} instead of {address}")
    threading.Event().wait()


if __name__ == "__main__":
    main()
