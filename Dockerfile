# The worker of a Beam engine (Flink, Spark, Dataflow): the pipeline, its libraries, and Beam's boot program.
# The language model is not in here: it is served beside the workers by vLLM's own image, and --llm-url says where.
#
#   docker build -t leafinstruct .                          runs as a user without rights; for Flink, Spark, Kubernetes
#   docker build -t leafinstruct --target dataflow .        runs as root, because Dataflow mounts folders that only root
#                                                           can write to
#   --build-arg PYTHON=3.13                                 that of the machine that submits the job
#   --build-arg TORCH_INDEX=URL                             an index with CPU builds of PyTorch; without it, that with CUDA
#   --target with-weights --build-context weights=FOLDER    weights in the image; otherwise mount their folder at /weights
#   docker run --rm --entrypoint leafinstruct leafinstruct --help
#
# Weights are found by a path (clip.model: local-dir:/weights/NAME) or by their hub's name (/weights is the hub's cache).

ARG PYTHON=3.11
FROM apache/beam_python${PYTHON}_sdk:2.77.0 AS beam

FROM python:${PYTHON}-slim AS dataflow
WORKDIR /opt/leafinstruct

ARG TORCH_INDEX=
COPY requirements/constraints.txt requirements/
RUN pip install --no-cache-dir torch==2.13.0 -c requirements/constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}

COPY pyproject.toml README.md LICENSE beam_pipeline.py number_format.py torch_compat.py ./
COPY schemas schemas
COPY filters filters
COPY prompts prompts
COPY pipeline pipeline
COPY models models
COPY moss moss
COPY configs configs
COPY examples examples
RUN pip install --no-cache-dir -e '.[buckets,models,ocr]' 'apache-beam[gcp]' -c requirements/constraints.txt

COPY --from=beam /opt/apache/beam /opt/apache/beam
# The second: where Google's machines have the driver of their GPUs; without it, torch computes on the CPU and says nothing.
ENV HF_HOME=/weights LD_LIBRARY_PATH=/usr/local/nvidia/lib64
ENTRYPOINT ["/opt/apache/beam/boot"]

# The folder of --build-context weights=FOLDER, which hadolint does not know.
FROM dataflow AS with-weights
# hadolint ignore=DL3022
COPY --from=weights . /weights

FROM dataflow AS worker
RUN useradd --create-home --uid 10001 leafinstruct && mkdir -p /weights && chown leafinstruct /weights
# Beam's boot program would make an environment in /opt/apache for each worker, where this user may not write.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER 10001
