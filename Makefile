# `make` alone prints what there is. Everything lives in .venv; nothing else on your machine is touched,
# except that `make test`, run as root on Debian or Ubuntu, installs the two system packages named below.

PYTHON ?= python3
PORT   ?= 8000
JOBS   ?= auto

VENV := .venv
BIN  := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY   := $(BIN)/python
READY := $(VENV)/.ready
HTML := _build/html

# Notebooks whose every printed line is deterministic: nbval compares all of it. In the others it compares
# the cells marked NBVAL_CHECK_OUTPUT, and that every cell runs.
STRICT    := $(wildcard notebooks/rules.ipynb notebooks/divergences.ipynb solutions/*.ipynb exercises/*.ipynb)
LAX       := $(filter-out $(STRICT),$(wildcard notebooks/*.ipynb))
# One notebook stays on one worker, and one worker computes on one core.
NBVAL     := OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(PY) -m pytest -q -n $(JOBS) --dist loadfile -W default

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
export PYDEVD_DISABLE_FILE_VALIDATION = 1

.DEFAULT_GOAL := help
.PHONY: help book pdf serve lab test check exercises anki weights clean system data fresh measure

help:  ## print this list
	@echo "genimg: deep-learning image generation, demystified"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "The first command also sets up .venv (about 5 minutes). Another Python: make book PYTHON=python3.12"

book: $(READY)  ## build the website into _build/html and say where it is
	@echo "· building the website"
	@$(PY) book/build.py

pdf: book  ## print the whole book into _build/genimg.pdf (needs chromium)
	@echo "· printing the book"
	@$(PY) book/pdf.py

measure: book  ## weigh every page, and ask Lighthouse about five (needs Node and chromium)
	@echo "· measuring the website"
	@$(PY) book/measure.py

serve: book  ## build the website and show it on http://localhost:8000 (PORT=8001 for another port)
	@echo "· serving on http://localhost:$(PORT)   (Ctrl-C stops it)"
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

lab: $(READY) data  ## open the notebooks and the exercises in JupyterLab
	@echo "· opening JupyterLab"
	@$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

check: $(READY)  ## the quick tests, under 2 minutes: style, units, contract, floors
	@echo "· style (ruff)"
	@$(PY) -m ruff check --quiet .
	@echo "· quick tests"
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) -m "not site and not browser and not slow" tests

test: $(READY) system data  ## every test: check, all notebooks run, a fresh website, a browser (under 45 minutes)
	@echo "· style (ruff)"
	@$(PY) -m ruff check --quiet .
	@echo "· tests of the library and the house"
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) -m "not site and not browser" tests
ifneq ($(STRICT),)
	@echo "· notebooks, every output compared: $(STRICT)"
	@$(NBVAL) --nbval $(STRICT)
endif
ifneq ($(LAX),)
	@echo "· notebooks that train, marked outputs compared: $(LAX)"
	@$(NBVAL) --nbval-lax $(LAX)
endif
	@echo "· a fresh website, where a warning is an error"
	@$(PY) book/build.py --fresh
	@echo "· tests of the website"
	@GENIMG_SITE=$(HTML) $(PY) -m pytest -q -m "site or browser" tests

exercises: $(READY)  ## write exercises/ from solutions/
	@echo "· writing exercises/ from solutions/"
	@$(PY) solutions/make_exercises.py

anki: $(READY)  ## write the interview questions as a deck for Anki
	@echo "· writing the deck"
	@$(PY) book/ext/cards.py

weights: $(READY) data  ## train every recipe and store its weights in genimg_lib/weights (a night on a CPU)
	@$(BIN)/genimg weights

clean:  ## remove the website and the environment (your runs/ stay)
	rm -rf _build $(VENV) genimg.egg-info

# --- what the targets above stand on -------------------------------------------------------------------------

data: $(READY)
	@echo "· data: rendering and caching what is not cached yet"
	@$(PY) -c "from genimg_lib import data; data.warm()"

# The browser for the tests of the site, and the sandbox for the grader. Without them those tests are skipped.
system:
	@missing=""; command -v chromium chromium-browser >/dev/null || missing="chromium"; \
	command -v bwrap >/dev/null || missing="$$missing bubblewrap"; \
	if [ -z "$$missing" ]; then echo "· system packages: chromium and bubblewrap are here"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "· system packages: installing $$missing"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$missing >/dev/null; } \
	  || echo "  could not install $$missing: the tests that need them are skipped"; \
	else echo "· system packages: $$missing not found, and only root on Debian or Ubuntu can have make install them:"; \
	  echo "  the browser tests (chromium) or the sandbox tests (bubblewrap) are skipped"; fi

$(READY): requirements.txt requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Install one and say which: make book PYTHON=python3.11"; exit 1; }
	@[ -x $(PY) ] && $(PY) -m pip --version >/dev/null 2>&1 || { echo "· making $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	      echo "· installing Debian's python3-venv, which this Python lacks"; \
	      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null; \
	    else echo "This Python has no venv. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; fi; }; \
	  $(PYTHON) -m venv --clear $(VENV); }
	@echo "· installing the packages of requirements.txt (a few minutes, about 2 GB on disk)"
	@$(PY) -m pip install -qq -r requirements.txt -c requirements.lock
	@$(PY) -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $(READY)
