# An Evening with gevent. `make` alone lists the verbs.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 600
IMPL ?= evening

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SPHINX := $(BIN)/python -m sphinx -c . -W -n --keep-going -q
BOOK := $(SPHINX) -d build/doctrees/book
DECK := $(SPHINX) -t deck -d build/doctrees/deck

.PHONY: help serve test site talk talk-pdf doctest accept gettext lint check \
	bench soak conformance lock clean
.DELETE_ON_ERROR:

help: # list the verbs
	@sed -n 's/^\([a-z-]*\):.* # \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) \
		| expand -t 20

serve: .venv/book # build book and deck, serve them, rebuild on save (PORT=8000)
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", \
		$(PORT))).close()' 2>/dev/null || { echo "make: port $(PORT) of \
	127.0.0.1 is in use: take another, as in make serve PORT=8001"; exit 1; }
	@echo "book: http://127.0.0.1:$(PORT)/  deck: http://127.0.0.1:$(PORT)/talk/"
	@mkdir -p build/bench
	@nice $(BIN)/python docs/_ext/measure.py > build/measure.log 2>&1 & \
	trap "kill $$! 2>/dev/null" EXIT INT TERM; \
	$(BIN)/sphinx-autobuild -q -c . -t serve -d build/doctrees/serve \
		--host 127.0.0.1 --port $(PORT) \
		--watch talk --watch snippets --watch lib --watch conf.py \
		--watch build/bench \
		--re-ignore '__pycache__|build/bench/.*(?<!\.json)$$' \
		--post-build "$(BIN)/python -m sphinx -q -c . -t deck -t serve \
			-d build/doctrees/serve-deck -b revealjs talk build/serve/talk" \
		--post-build "echo book: http://127.0.0.1:$(PORT)/  \
			deck: http://127.0.0.1:$(PORT)/talk/" \
		docs build/serve

test: .venv/test build/vnu.jar doctest gettext site # prove every line of it
	@$(BIN)/python tests/on_every_python.py > build/every_python.log 2>&1 & \
	others=$$!; $(BIN)/python -m pytest; ours=$$?; \
	wait $$others; theirs=$$?; cat build/every_python.log; \
	exit $$((ours + theirs))

doctest: .venv/book # run every snippet that book and deck show
	@$(BOOK) -b doctest docs build/doctest/book; book=$$?; \
	$(DECK) -b doctest talk build/doctest/deck; deck=$$?; \
	exit $$((book + deck))

accept: .venv/book # renew the golden traces, once you have seen why they differ
	@$(BIN)/python docs/_ext/golden.py

site: .venv/book talk # build the static site in build/site
	@$(BOOK) -b html docs build/site/en
	@cp docs/_templates/root.html build/site/index.html
	@cp build/site/en/404.html build/site/404.html
	@touch build/site/.nojekyll

talk: .venv/book # build the deck in build/site/talk/en
	@$(DECK) -b revealjs talk build/site/talk/en

talk-pdf: .venv/test talk # print the deck to build/talk.pdf
	@$(BIN)/python talk/print.py build/site/talk/en/index.html build/talk.pdf

gettext: .venv/book # collect every message for translators
	@$(SPHINX) -d build/doctrees/book-words -b gettext docs build/gettext/book
	@$(SPHINX) -t deck -d build/doctrees/deck-words -b gettext talk \
		build/gettext/deck

lint: .venv/test # check form: style, types, layers, spelling, workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(BIN)/sphinx-lint --enable all --disable line-too-long \
		README.md CONTRIBUTING.md CHANGELOG.md docs talk
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows \
		.github/workflows/*.yml

check: lint test # all of it: what CI runs

conformance: .venv/test # run greenlet's and gevent's own tests, on every Python
	@$(BIN)/python tests/conformance/greenlet.py
	@$(BIN)/python tests/conformance/gevent.py
	@$(BIN)/python tests/on_every_python.py tests/conformance/greenlet.py
	@$(BIN)/python tests/on_every_python.py tests/conformance/gevent.py

bench: .venv/test # measure what switching, waiting and echoing cost
	@$(BIN)/python tests/bench/cost.py
	@$(BIN)/python tests/bench/greenlet.py
	@$(BIN)/python tests/bench/loop.py
	@$(BIN)/python tests/bench/ladder.py

soak: .venv/test # run servers and clients for SECONDS=600, and see what is left
	@$(BIN)/python tests/soak.py --impl $(IMPL) --seconds $(SECONDS)

lock: .venv/test # renew the exact versions in requirements.lock
	@$(PIP) install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal \
		--python-version 3.11 --all-extras --no-header \
		pyproject.toml --output-file requirements.lock

clean: # remove what was built, and .venv
	@rm -rf build .venv .*_cache lib/evening/*.so lib/*.egg-info \
		tests/html/node_modules
	@find docs lib snippets talk tests -name __pycache__ -prune \
		-exec rm -rf {} +

# -- The environment: one .venv from one lock, filled as far as a verb needs.

.venv/book: requirements.lock pyproject.toml $(wildcard lib/evening/*.c)
	@command -v $(firstword $(PYTHON)) > /dev/null || { echo "make: there is no \
	$(PYTHON) here: name a Python from 3.11 to 3.14, as in make serve \
	PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] \
		<= (3, 14))' 2>/dev/null || { echo "make: Python 3.11 to 3.14 is \
	needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1): name another, as in \
	make serve PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: \
	$(PYTHON) has no venv module: install it (on Debian the package \
	python3-venv)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(install)
	@$(BIN)/python -c 'import evening._slice' 2>/dev/null || echo "make: \
	evening's own engine could not be built (it needs a C compiler and \
	Python's headers): layer 1 runs on the package greenlet"
	@touch $@

# An environment knows where it lies: one that was moved or copied together
# with the clone would run the library of the old place.
MADE := $(shell sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg \
	2> /dev/null)
ifneq ($(MADE),)
ifneq ($(MADE),$(CURDIR)/.venv)
.PHONY: .venv/moved
.venv/book: .venv/moved
.venv/moved:
	@echo "make: .venv was made as $(MADE): it is made anew here"
	@rm -rf .venv build/python
endif
endif

.venv/test: private EXTRAS = book,test
.venv/test: .venv/book
	@$(install)
	@touch $@

EXTRAS = book
define install
echo "installing the packages of requirements.lock ($(EXTRAS)) ..."
{ $(PIP) install --quiet --retries 1 -c requirements.lock setuptools && \
  $(PIP) install --quiet --retries 1 -c requirements.lock \
	--no-build-isolation --editable '.[$(EXTRAS)]'; } \
	> .venv/install.log 2>&1 || { echo "make: the packages could not be \
	installed: is there a network? .venv/install.log tells more"; exit 1; }
endef

# The validator of HTML comes by npm and runs on Java; without them that one
# test is skipped, and fails in CI.
build/vnu.jar: tests/html/package-lock.json
	@mkdir -p build
	@if ! command -v npm > /dev/null || ! command -v java > /dev/null; then \
		echo "make: no npm or no java: HTML will not be validated"; \
	elif npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/html; then \
		cp tests/html/node_modules/vnu-jar/build/dist/vnu.jar $@; \
	else echo "make: npm could not fetch vnu-jar: HTML will not be validated"; fi
