# Needs make and Python >= 3.11, nothing else; `make PYTHON=/path/to/python3` picks the interpreter.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
# Named after this folder: an environment that was copied or moved along points at the old place, so it is made anew.
STAMP := .venv/stamp-$(shell printf %s "$(CURDIR)" | cksum | cut -d' ' -f1)
REPORT := gb300-nvl72-1152
SCHEMA := fabric/blueprint/fabric.schema.json
CASES := topologies/measured/published.yaml
SYSTEMS := topologies/systems/published.yaml
# Pages right under docs/ that the code writes.
PAGES := accuracy.md api.md file-reference.md parts.md systems.md

# Nothing of the caller's Python or plotting set-up may reach the tests or the reports.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTEST_ADDOPTS
# Tests rewrite their assertions and start processes: without bytecode each does so from the source again.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONNOUSERSITE := 1
export MPLBACKEND := Agg
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.PHONY: check-manual manual site public-face help setup report reports check-reports generate test test-order test-minimums test-newest stress mutants fuzz lint format bench pins clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with the pinned packages (every target below does it by itself)

$(STAMP): pyproject.toml constraints.txt tools/setup.py
	@for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
		if [ -n "$$python" ] && "$$python" -c '' 2>/dev/null; then exec "$$python" tools/setup.py $@; fi; \
	done; echo 'setup: no python3 found; install Python >= 3.11, or name it: make PYTHON=/path/to/python3' >&2; exit 1

report: $(STAMP) ## the report on the GB300 cluster of 1,152 GPUs
	$(BIN)/fabtopo report topologies/$(REPORT).fabric.yaml -o docs/reports/$(REPORT)

# Made aside and moved in one go, so that nothing stale stays. Files right under docs/reports are written by hand.
reports: $(STAMP) ## all reports, and the schema of the topology file
	@rm -rf .reports
	@$(MAKE) --no-print-directory generate OUT=.reports
	@mkdir -p docs/reports
	@find docs/reports -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
	@mv .reports/reports/* docs/reports/
	@mv .reports/schema.json $(SCHEMA)
	@mv $(PAGES:%=.reports/%) docs/
	@rm -rf docs/accuracy && mv .reports/accuracy docs/
	@rm -rf .reports

check-reports: $(STAMP) ## fail if the committed reports are not what the code writes now
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	$(MAKE) --no-print-directory generate OUT="$$new" && \
	find docs/reports -maxdepth 1 -type f -exec cp {} "$$new/reports/" \; && \
	{ diff -r docs/reports "$$new/reports" && diff -r docs/accuracy "$$new/accuracy" && diff $(SCHEMA) "$$new/schema.json" $(foreach page,$(PAGES),&& diff docs/$(page) "$$new/$(page)"); } >"$$new/diff" 2>&1 || \
	{ [ ! -f "$$new/diff" ] || { cut -c1-200 "$$new/diff" | head -60; \
	  echo "check-reports: docs/reports, docs/accuracy, $(PAGES:%=docs/%) or $(SCHEMA) is out of date; run 'make reports' and commit the result"; }; exit 1; } >&2

generate: $(STAMP)
	@mkdir -p "$(OUT)/reports"
	@set -e; for file in topologies/*.fabric.yaml; do \
		name=$$(basename "$$file" .fabric.yaml); echo "report: $$name"; \
		jobs=$$(grep -lx "fabric: \.\./$$name\.fabric\.yaml" topologies/jobs/*.yaml | sed 's/^/--job /'); \
		$(BIN)/fabtopo report "$$file" -o "$(OUT)/reports/$$name" $$jobs >/dev/null; \
	done
	@$(BIN)/fabtopo schema >"$(OUT)/schema.json"
	@$(BIN)/python -m tools.pages.accuracy $(CASES) -o "$(OUT)/accuracy.md"
	@$(BIN)/fabtopo parts --format md >"$(OUT)/parts.md"
	@$(BIN)/python -m tools.pages.systems $(SYSTEMS) -o "$(OUT)/systems.md"
	@$(BIN)/python -m tools.pages.api -o "$(OUT)/api.md"
	@$(BIN)/python -m tools.pages.file_reference -o "$(OUT)/file-reference.md"

test: $(STAMP) ## all tests and doctests but the slow ones, on all cores
	$(BIN)/python -m pytest -q -n auto --dist worksteal --durations=10 -m "not slow"

test-order: $(STAMP) ## the same in another order, by module and within each; SEED=1
	$(BIN)/python -m pytest -q -n auto --random-order-seed=$(or $(SEED),1) -m "not slow"

# Old releases warn of what newer ones beside them will drop: not ours to mend, so shown and no error.
test-minimums: ## the tests with the lowest releases that pyproject.toml promises
	"$(or $(PYTHON),python3)" tools/setup.py --minimums .venv-min/stamp
	.venv-min/bin/python -m pytest -q -n auto --dist worksteal -m "not slow" -W default::DeprecationWarning -W default::PendingDeprecationWarning

test-newest: ## the tests with the latest releases, on the newest Python here or on $(PYTHON)
	"$(or $(PYTHON),python3)" tools/setup.py --newest .venv-newest/stamp
	.venv-newest/bin/python -m pytest -q -n auto --dist worksteal -m "not slow"

stress: $(STAMP) ## the slow tests: thousands of random fabrics, some minutes
	$(BIN)/python -m pytest -q -n auto --dist worksteal --durations=10 -m slow

mutants: $(STAMP) ## change lines one at a time and see which changes no test notices; SEED=1 SAMPLE=40
	$(BIN)/python tools/mutants.py --seed $(or $(SEED),1) --sample $(or $(SAMPLE),40)

check-manual: $(STAMP) ## run every page and notebook whole, as make test does some of; the slow blocks are make stress's
	$(BIN)/python -m pytest -q -n auto tests/manual -m slow -k "not slow_blocks"

manual: $(STAMP) ## put what commands print now into README and docs, where pages show something else
	$(BIN)/python -m tools.pages.manual
	$(BIN)/python -m tools.pages.notebook

public-face: $(STAMP) ## write tests/public_face.txt, what the public face promises
	$(BIN)/python -m tools.public_face >tests/public_face.txt

fuzz: $(STAMP) ## feed hostile files, graphs and arguments, some minutes; INPUTS=10000 SEED=1 KEEP=FOLDER
	$(BIN)/python -m tools.fuzz --inputs $(or $(INPUTS),10000) --seed $(or $(SEED),1) $(if $(KEEP),--keep $(KEEP))

site: $(STAMP) ## the documentation as a site in .site/html; a link that leads nowhere fails it
	$(BIN)/python -m tools.pages.site

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## time the solvers
	@if [ -d benchmarks ]; then $(BIN)/python -m benchmarks; else echo 'bench: there is no benchmarks/ here'; fi

pins: ## renew constraints.txt and constraints-min.txt (then run make reports)
	@"$(or $(PYTHON),python3)" tools/setup.py --pins

clean: ## remove .venv and all caches
	rm -rf .venv .venv-min .venv-newest .venv-pins .reports .site .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +
