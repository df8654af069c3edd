# demo · test · check · bench · accuracy: each does its own set-up, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
NATIVE := CMakeLists.txt $(wildcard native/*.h native/*.cpp)

.PHONY: demo test check bench format clean

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/clang-format --dry-run --Werror native/*.h native/*.cpp

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i native/*.h native/*.cpp

# The package is installed in place: Python sources are read from src/, the extension is built again when native/ changes.
$(READY): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist
