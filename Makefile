# From folders of images to evaluated, comparable models.
#
#   make pipeline                       build, then run all three stages on the data set that ships in data/
#   make pipeline PIPELINE=my.yaml      the same for a pipeline file of your own
#   make preprocess|train|report        one stage; ARGS='…' is passed on, e.g. make train ARGS='--model resnet'
#   make check | make accept            compare the results with the committed baseline | make them the new baseline
#   make test                           every test
#   make lint                           formatting and clippy
#   make bench                          timings of the ops and of a training step
#   make clean                          removes target/ (runs/ stays)

PIPELINE ?= pipelines/fashion-mnist.yaml
ARGS ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/release

.PHONY: build pipeline preprocess train report check accept test lint bench clean

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

bench:
	cargo bench --locked -p train

clean:
	cargo clean
