# demo · test · check · sanitize · bench · accuracy: each does its own set-up, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
NATIVE := CMakeLists.txt $(wildcard native/*.h native/*.cpp)
BIKES := examples/bike_rentals.csv
WEATHER := temperature,feels_like,humidity,wind_speed,weather,holiday,working_day

CPP := $(wildcard native/*.h native/*.cpp tests/native/*.h tests/native/*.cpp)
CMAKE := $(or $(shell command -v cmake),$(BIN)/cmake)

.PHONY: demo test check sanitize bench accuracy format clean

demo: $(READY)
	$(BIN)/fastlstm forecast train $(BIKES) --target rentals --time time --horizon 168 \
	  --future-covariates $(WEATHER) --test-windows 4 --members 3 --trunk points --out runs/bikes
	$(BIN)/fastlstm forecast predict runs/bikes --future examples/bike_rentals_next_week.csv --out runs/next_week.csv
	@head -4 runs/next_week.csv
	@echo "runs/bikes/plots shows the learning curve, forecasts against truth and the error by horizon"

# On all cores, where threads that wait for one another give way.
test: $(READY)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/clang-format --dry-run --Werror $(CPP)

# The kernels without Python, under address, undefined-behaviour and thread sanitizers. The last of them cannot live
# with as much address randomization as some systems have.
sanitize: $(CMAKE)
	for kind in address,undefined thread; do \
	  $(CMAKE) -S . -B build/$$kind -DFASTLSTM_NATIVE_TESTS=$$kind && \
	  $(CMAKE) --build build/$$kind --parallel $$(getconf _NPROCESSORS_ONLN) && \
	  $$(setarch -R true 2>/dev/null && echo setarch -R) build/$$kind/tests/native/native_tests || exit 1; \
	done

bench: $(READY)
	$(BIN)/python -m benchmarks.layer
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.forecast_step
	$(BIN)/python -m benchmarks.language
	$(BIN)/python -m benchmarks.translator_training

# Reads FASTLSTM_DATA: a folder with the data sets that benchmarks/accuracy names.
accuracy: $(READY)
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.m4_hourly
	$(BIN)/python -m benchmarks.time_to_accuracy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

# Installed in place: Python is read from src/, and the extension is built again when native/ changes.
$(READY): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(BIN)/cmake: $(READY)
	$(BIN)/python -m pip install --quiet cmake

clean:
	rm -rf .venv build dist
