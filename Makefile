# Every target makes the virtual environment first where it is missing.
SHELL := /bin/bash
unexport PYTHONDONTWRITEBYTECODE  # every command would compile PyTorch and MLflow anew
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
REPRO := $(VENV)/bin/repro
PROFILE ?= auto
ifneq (,$(and $(filter browse,$(MAKECMDGOALS)),$(filter tables figures claims report,$(MAKECMDGOALS))))
# `make browse tables figures report`: of what is recorded, without the UI
RUNS ?= runs/browse
browse_words := --no-ui
endif
RUNS ?= runs
PORT ?= 5000
CHROMIUM ?= chromium
CHROMEDRIVER ?= chromedriver
GPUS ?= 1
TEACHERS ?= own
CLUSTER_PACKAGES := slurm-wlm munge postgresql
MORE ?=
data_option = $(if $(DATA),--data "$(DATA)")
teachers_option = $(if $(filter torchvision,$(TEACHERS)),--imported torchvision)
# several processes train one cohort together, one a GPU
launcher = $(if $(filter-out 1,$(GPUS)),$(VENV)/bin/torchrun --nproc-per-node $(GPUS) -m repro,$(REPRO))
grid_words = --profile $(PROFILE) --runs-dir "$(RUNS)"

.PHONY: help setup test lint soak mutants statistics demo reproduce-cifar reproduce-imagenet campaign tables figures claims report methods bench bench-gpu ui browse status doctor test-browser picture test-cluster clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.ready  ## Make .venv with the repro command (about a minute).

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: setup  ## Teacher and five methods on digits, then tables and figures.
	$(REPRO) run demo --runs-dir "$(RUNS)"
	$(REPRO) tables demo --runs-dir "$(RUNS)"
	$(REPRO) figures demo --runs-dir "$(RUNS)"

reproduce-cifar: setup  ## The CIFAR-100 grid: PROFILE=paper|quick|demo|auto DATA=path MORE="--max-time 8h".
	$(REPRO) run cifar $(grid_words) $(data_option) $(MORE)
	$(REPRO) tables cifar $(grid_words)
	$(REPRO) figures cifar $(grid_words)

campaign: setup  ## The grids in the order of what they tell, for MAX=8h: PROFILE= DATA= MORE=; the same command goes on.
	$(REPRO) campaign $(grid_words) $(data_option) $(if $(MAX),--max-time $(MAX)) $(MORE)

reproduce-imagenet: setup  ## ImageNet or a folder like it: DATA=path PROFILE=paper|quick GPUS=n TEACHERS=torchvision MORE=.
	$(if $(teachers_option),for n in resnet34 resnet50; do $(REPRO) import-teacher torchvision --network $$n $(data_option) --runs-dir "$(RUNS)" || exit; done)
	$(launcher) run imagenet $(grid_words) $(data_option) $(teachers_option) $(MORE)
	$(REPRO) tables imagenet $(grid_words) $(teachers_option)
	$(REPRO) figures imagenet $(grid_words) $(teachers_option)

tables: setup  ## Tables of every grid with finished runs, or of GRID.
	$(REPRO) tables $(GRID) $(grid_words)

figures: setup  ## Figures of every grid with finished runs, or of GRID.
	$(REPRO) figures $(GRID) $(grid_words)

claims: setup  ## The paper's claims, each with its verdict, of every grid with finished runs, or of GRID.
	$(REPRO) claims $(GRID) $(grid_words)

report: setup  ## One HTML file of claims, tables and figures, of every grid or of GRID: paper_tables/out/report.html.
	$(REPRO) report $(GRID) $(grid_words)

methods: setup  ## The page of all methods: MORE="--measure" times a step of each first, 4 minutes.
	$(REPRO) methods $(MORE)

bench: setup  ## Training speed beside the usual loop, under 5 minutes: DATA=path MORE="--json bench.json".
	$(REPRO) bench $(data_option) $(MORE)

bench-gpu: setup  ## What decides the engine's design, on a GPU, 9 minutes a call: MORE="--only E1,E3".
	$(VENV)/bin/python -m repro.bench.gpu $(MORE)

ui: setup  ## The MLflow UI on this machine; prints and opens addresses that show runs: MORE=--no-open.
	$(REPRO) ui --runs-dir "$(RUNS)" --port $(PORT) $(MORE)

browse: setup  ## The recorded results, nothing trained: tables, reports, the MLflow UI. Under a minute.
	$(REPRO) browse --port $(PORT) $(browse_words)

status: setup  ## What is done, running, failed and left, of every run or of GRID.
	$(REPRO) status $(GRID) --profile $(PROFILE) --runs-dir "$(RUNS)"

doctor: setup  ## What is wrong here, and its cure.
	$(REPRO) doctor --runs-dir "$(RUNS)"

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: lint  ## Lint, types and tests; with REPRO_CIFAR100=path also those on the real images.
	MPLBACKEND=Agg $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(MORE)

$(VENV)/.browser: requirements-browser.lock $(VENV)/.ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement requirements-browser.lock
	touch $@

test-browser: $(VENV)/.browser  ## MLflow's pages and the report of a finished demo in Chromium, 2 minutes.
	@there() { command -v "$(CHROMIUM)" && command -v "$(CHROMEDRIVER)"; } >/dev/null; \
	there || { apt-get update && apt-get install -y chromium chromium-driver; } >/dev/null 2>&1; \
	there || { echo "no $(CHROMIUM) with $(CHROMEDRIVER) here: install Debian's chromium and" \
	  "chromium-driver, or name yours: make test-browser CHROMIUM=path CHROMEDRIVER=path"; exit 1; }
	MPLBACKEND=Agg CHROMIUM="$(CHROMIUM)" CHROMEDRIVER="$(CHROMEDRIVER)" REPRO_BROWSER_RUNS="$(RUNS)" \
	  $(VENV)/bin/python -m pytest tests/browser $(MORE)

picture: $(VENV)/.browser  ## The README's picture of the report, of the demo in RUNS: figures/report.png.
	CHROMIUM="$(CHROMIUM)" CHROMEDRIVER="$(CHROMEDRIVER)" REPRO_BROWSER_RUNS="$(RUNS)" \
	  $(VENV)/bin/python -m tests.browser.picture

$(VENV)/.cluster: requirements-cluster.lock $(VENV)/.ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --requirement requirements-cluster.lock
	touch $@

test-cluster: $(VENV)/.cluster  ## Ray, SLURM and MLflow on PostgreSQL, all on this machine, 15 minutes at most.
	@there() (PATH="$$PATH:/usr/sbin"; command -v sbatch && command -v munged && ls /usr/lib/postgresql/*/bin/initdb) >/dev/null 2>&1; \
	get() { timeout 240 $$1 DEBIAN_FRONTEND=noninteractive apt-get "$${@:2}"; } >/dev/null 2>&1; \
	install() { get "$$1" update && get "$$1" install -y --no-install-recommends $(CLUSTER_PACKAGES); }; \
	there || if [ "$$(id -u)" = 0 ]; then install env; else install "sudo -n env"; fi; \
	there || echo "not all of SLURM, munge and PostgreSQL is here, and what is missing is stood in for:" \
	  "install Debian's $(CLUSTER_PACKAGES)"
	MPLBACKEND=Agg $(VENV)/bin/python -m tests.cluster $(MORE)

soak: setup  ## Launchers killed at random and at every fault point over grid demo, under 15 minutes.
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.soak $(MORE)

statistics: setup  ## Error and power of every decision rule, simulated, half a minute: MORE="--grids 20000".
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.analysis.simulate $(MORE)

mutants: setup  ## Check that the tests notice the planted faults.
	$(VENV)/bin/python tests/mutants.py

clean:  ## Remove the environment and caches; runs and data stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
