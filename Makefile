# make demo | test | lint | bench: each makes .venv by itself, with a Python 3.11 or 3.12 and nothing else.
# Arguments are passed on: make demo ARGS='--days 3', make test ARGS='tests/core -x', make bench BENCH=state.

ARGS ?=
BENCH ?= decide
VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := python3.12 python3.11 /usr/bin/python3.12 /usr/bin/python3.11 python3 python
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
# An interpreter that was built with a profile of real programs (PGO) decides with a seventh less CPU. Its
# configuration says so; Debian's and Ubuntu's, which are built so too, are known by their wheel folder.
OPTIMIZED := import sys, sysconfig; built = sysconfig.get_config_var("CONFIG_ARGS") or ""; \
  sys.exit(not any(sign in built for sign in ("--enable-optimizations", "/usr/share/python-wheels")))

# Images of containers set this. The demo and the tests start hundreds of processes, and without the files of
# bytecode each of them compiles all that it loads: a shard takes 2.8 s of CPU to start instead of 1.2.
unexport PYTHONDONTWRITEBYTECODE
# And this, which hides output that is not flushed: users have no such variable.
unexport PYTHONUNBUFFERED

.PHONY: demo test lint bench clean

demo: $(VENV)/.local
	$(BIN)/tocsin demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench.$(BENCH) --json $(ARGS)

clean:
	rm -rf $(VENV) .tocsin

# What `make test` needs holds what `make demo` needs; the stamps make later runs take no time.
$(VENV)/.local: $(BIN)/python pyproject.toml
	$(call install,local)
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(call install,dev)
	@touch $@ $(VENV)/.local

$(BIN)/python:
	@for wanted in '$(OPTIMIZED)' ''; do for python in $(CANDIDATES); do \
	  if $$python -c '$(USABLE)' 2>/dev/null && $$python -c "$$wanted"; then \
	    kind=; [ -n "$$wanted" ] || kind=' (built without PGO: decisions take more CPU)'; \
	    echo "$(VENV) takes $$($$python -c 'import sys; print(sys.executable, sys.version.split()[0])')$$kind"; \
	    exec $$python -m venv $(VENV); \
	  fi; \
	done; done; \
	if command -v uv >/dev/null && uv venv --quiet --seed --python 3.12 $(VENV); then exit 0; fi; \
	echo "Tocsin runs on Python 3.11 or 3.12 (with venv), and none is here: 'apt-get install python3.12-venv', 'brew install python@3.12', or install uv, which brings its own." >&2; \
	exit 1

# uv takes seconds where pip takes minutes; where uv cannot be had, or cannot reach the index, pip does it.
define install
@echo "installing Tocsin [$(1)] into $(VENV)"
@{ $(BIN)/python -m pip install --quiet uv \
   && UV_SYSTEM_CERTS=1 VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -e '.[$(1)]'; } \
 || $(BIN)/python -m pip install --quiet -e '.[$(1)]'
endef
