# The worker of a Beam service (Dataflow, Flink, Spark): the pipeline, its libraries, and Beam's boot program.
# The language model is not in here: it is served beside the workers by vLLM's own image, and --llm-url says where.
#
#   docker build -t leafinstruct .     (--build-arg PYTHON=3.13: that of the machine that submits the job)
#   docker run --rm --entrypoint leafinstruct leafinstruct --help

ARG PYTHON=3.11
FROM apache/beam_python${PYTHON}_sdk:2.77.0 AS beam

FROM python:${PYTHON}-slim
WORKDIR /opt/leafinstruct

COPY requirements/constraints.txt requirements/
RUN pip install --no-cache-dir torch==2.13.0 -c requirements/constraints.txt

COPY pyproject.toml README.md LICENSE beam_pipeline.py number_format.py torch_compat.py ./
COPY schemas schemas
COPY filters filters
COPY prompts prompts
COPY pipeline pipeline
COPY models models
COPY moss moss
COPY configs configs
COPY examples examples
RUN pip install --no-cache-dir -e '.[buckets,models]' 'apache-beam[gcp]' -c requirements/constraints.txt

COPY --from=beam /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]
