# From folders of images to evaluated, comparable models.
#
#   make pipeline                       build, then run all three stages on the data set that ships in data/
#   make pipeline PIPELINE=my.yaml      the same for a pipeline file of your own
#   make preprocess|train|report        one stage; ARGS='…' is passed on, e.g. make train ARGS='--model resnet'
#   make check | make accept            compare the results with the committed baseline | make them the new baseline
#   make test                           every test
#   make lint                           formatting and clippy
#   make bench                          what every stage and op does on this machine, beside what the machine could do
#   make bench-peers                    ours beside PyTorch, Keras, Pillow, OpenCV; needs PEERS_PYTHON (docs/performance.md)
#   make clean                          removes target/ (runs/ stays)

PIPELINE ?= pipelines/fashion-mnist.yaml
ARGS ?=
IMAGES ?=
ONLY ?=
SIMD ?=
PEERS_PYTHON ?= python3

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/release

.PHONY: build pipeline preprocess train report check accept test lint bench bench-peers clean

build:
	cargo build --release --locked --workspace --bins

pipeline: build
	$(BIN)/preprocess --pipeline $(PIPELINE)
	$(BIN)/train --pipeline $(PIPELINE)
	$(BIN)/report --pipeline $(PIPELINE)

preprocess train report: build
	$(BIN)/$@ --pipeline $(PIPELINE) $(ARGS)

check accept: build
	$(BIN)/report $@ --pipeline $(PIPELINE) $(ARGS)

# The end-to-end tests start the binaries that `build` makes.
test: build
	cargo test --release --locked --workspace

lint:
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

# Both take IMAGES=DIR (class directories of photographs), SIMD=avx2 (a lower instruction set) and ONLY='SECTION…'. Cargo runs a
# benchmark in its crate's directory, hence the absolute paths.
bench bench-peers: export IMAGES := $(if $(IMAGES),$(abspath $(IMAGES)))
bench bench-peers: export ONLY := $(ONLY)
bench bench-peers: export TRAIN_SIMD := $(or $(SIMD),$(TRAIN_SIMD),avx512)
bench-peers: export PEERS_PYTHON := $(if $(findstring /,$(PEERS_PYTHON)),$(abspath $(PEERS_PYTHON)),$(PEERS_PYTHON))

bench: build
	cargo bench --locked -p report --bench stages

bench-peers: build
	cargo bench --locked -p report --bench peers

clean:
	cargo clean
