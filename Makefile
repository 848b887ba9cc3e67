# `make app` serves the pages, `make test` runs the tests; both install what they need first.
PYTHON ?= python3
VENV := .venv
ARGS ?=

.PHONY: app test test-gpu benchmarks screenshots clean
app: $(VENV)/ready
	$(VENV)/bin/python app.py $(ARGS)

test: $(VENV)/ready-to-test
	sh tests/install_system.sh
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check -q .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# Whole runs on a CUDA GPU, in the shape of Qwen2.5-VL-3B; with REQUIRE_GPU=1 it fails where there is none. Needs 8 GB of disk.
test-gpu: $(VENV)/ready-to-test
	$(VENV)/bin/python -m pytest -m gpu tests/training/test_gpu.py $(ARGS)

benchmarks: $(VENV)/ready-to-measure
	$(VENV)/bin/python -m benchmarks $(ARGS)

screenshots: $(VENV)/ready-to-test
	$(VENV)/bin/python -m docs.screenshots

$(VENV)/ready: requirements.txt
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check -q -r requirements.txt
	touch $@

$(VENV)/ready-to-test: $(VENV)/ready tests/requirements.txt
	$(VENV)/bin/pip install --disable-pip-version-check -q -r requirements.txt -r tests/requirements.txt
	touch $@

$(VENV)/ready-to-measure: $(VENV)/ready-to-test benchmarks/requirements.txt
	$(VENV)/bin/pip install --disable-pip-version-check -q -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV)
