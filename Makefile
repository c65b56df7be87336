# From folders of images to evaluated, comparable models.
#
#   make pipeline                       build, then run all three stages on the data set that ships in data/
#   make pipeline PIPELINE=my.yaml      the same for a pipeline file of your own
#   make preprocess|train|report        one stage; ARGS='…' is passed on, e.g. make train ARGS='--model resnet'
#   make check | make accept            compare the results with the committed baseline | make them the new baseline
#   make test                           every test
#   make fuzz                           alters images, and what one stage writes and another reads (not in CI); FUZZ_SEED, FUZZ_ROUNDS
#                                       and FUZZ_IMAGES (rounds of each), FUZZ_FILES='DIR…' (images to alter instead of the tests')
#   make lint                           formatting and clippy
#   make bench                          what every stage and op does on this machine, beside what the machine could do
#   make bench-peers                    ours beside PyTorch, Keras, Pillow, OpenCV; needs PEERS_PYTHON (docs/performance.md)
#   make ablation                       what each part of a recipe gives: trains the models of pipelines/ablation from SEEDS='1 2 3'; hours,
#                                       goes on where it was interrupted; TRASHNET=DIR, SIMPSONS=DIR, WEIGHTS, ONLY, DEVICE (docs/recipes.md)
#   make bench-audit                    whether the audit finds labels that were changed and copies that were planted, beside cleanlab where
#                                       PEERS_PYTHON has it; TRASHNET=DIR, SIMPSONS=DIR, WEIGHTS, SEEDS, ONLY (docs/report.md)
#   make deps-check                     licences and known faults of the crates that we depend on, by cargo-deny, which it installs into
#                                       target/tools the first time (not in CI; the list of known faults is fetched from the RustSec project)
#   make clean                          removes target/ (runs/ stays)
#
# On NVIDIA GPUs: CUDA=1 with any of build, pipeline, the stages, check, test, lint, bench, bench-peers, e.g. make pipeline CUDA=1
#   make cuda-check                     all that only a machine with a GPU can check and measure, with a table at the end;
#                                       PEERS_PYTHON (with torch) and IMAGES=DIR add what needs them (docs/performance.md)
#   make cuda-toolkit                   the CUDA compiler from PyPI into target/cuda, for machines without an installed one
#   make test-cuda                      the tests of training on CUDA only; where there is no GPU, on the emulator
#   make cuda-kernels                   registers and shared memory of every kernel, by the assembler for GPUs='sm_80 sm_90'
#   make cuda-emulator                  that emulator: a driver that runs the kernels on the CPU (tests/cuda-emulator)

PIPELINE ?= pipelines/fashion-mnist.yaml
ARGS ?=
IMAGES ?=
ONLY ?=
SIMD ?=
PEERS_PYTHON ?= python3
CUDA ?=
GPUS ?= sm_80 sm_90

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/release

.PHONY: build pipeline preprocess train report check accept test fuzz lint bench bench-peers bench-audit ablation deps-check clean
.PHONY: cuda-root cuda-toolkit cuda-kernels cuda-emulator test-cuda cuda-check

# With CUDA=1, what cargo builds needs the toolkit. dfdx and cudarc find it by CUDA_ROOT, but look at the unset ones first.
CUDA_ROOT_DIR := $(abspath $(TARGET_DIR)/cuda)
CUDA_EMULATOR_DIR := $(abspath $(TARGET_DIR)/cuda-emulator$(if $(filter 1,$(EMULATOR_SANITIZE)),-sanitized))
IN_CUDA = env -u CUDA_PATH -u CUDA_TOOLKIT_ROOT_DIR -u CUDNN_LIB CUDA_ROOT=$(CUDA_ROOT_DIR) \
	CUDA_COMPUTE_CAP=$${CUDA_COMPUTE_CAP:-80} PATH="$(CUDA_ROOT_DIR)/shim:$(CUDA_ROOT_DIR)/bin:$$PATH"
ifeq ($(CUDA),1)
build lint: cuda-root
test: cuda-emulator
CARGO := $(IN_CUDA) cargo
CARGO_TEST = $(ON_GPU_OR_EMULATOR) $(CARGO) test
FEATURES := --features train/cuda,report/cuda
else
CARGO := cargo
CARGO_TEST := cargo test
endif

build:
	$(CARGO) build --release --locked --workspace --bins $(FEATURES)

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
	$(CARGO_TEST) --release --locked --workspace $(FEATURES)

fuzz: build
	cargo run --release --locked --workspace --example fuzz_images -- $(or $(FUZZ_IMAGES),300000) $(or $(FUZZ_SEED),1) $(FUZZ_FILES)
	cargo test --release --locked -p report --test pipeline -- --ignored --nocapture artefacts::fuzz

lint:
	cargo fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets $(FEATURES) -- -D warnings

# Both take IMAGES=DIR (class directories of photographs), SIMD=avx2 (a lower instruction set) and ONLY='SECTION…'. Cargo runs a
# benchmark in its crate's directory, hence the absolute paths.
bench bench-peers cuda-check: export IMAGES := $(if $(IMAGES),$(abspath $(IMAGES)))
bench bench-peers cuda-check: export ONLY := $(ONLY)
bench bench-peers: export TRAIN_SIMD := $(or $(SIMD),$(TRAIN_SIMD),avx512)
bench-peers bench-audit cuda-check: export PEERS_PYTHON := $(if $(findstring /,$(PEERS_PYTHON)),$(abspath $(PEERS_PYTHON)),$(PEERS_PYTHON))

bench: build
	$(CARGO) bench --locked -p report $(FEATURES) --bench stages

bench-peers: build
	$(CARGO) bench --locked -p report $(FEATURES) --bench peers

ablation bench-audit: export ONLY := $(ONLY)
ablation bench-audit: export TRASHNET := $(if $(TRASHNET),$(abspath $(TRASHNET)))
ablation bench-audit: export SIMPSONS := $(if $(SIMPSONS),$(abspath $(SIMPSONS)))
ablation bench-audit: export SEEDS := $(SEEDS)
ablation: export DEVICE := $(DEVICE)
ablation bench-audit: export WEIGHTS := $(if $(wildcard $(WEIGHTS)),$(abspath $(WEIGHTS)),$(WEIGHTS))
ablation: build
	nice -n 10 $(CARGO) bench --locked -p report $(FEATURES) --bench ablation

bench-audit: build
	$(CARGO) bench --locked -p report $(FEATURES) --bench audit

# In the version that it was tried with; another is one word.
CARGO_DENY := 0.20.2
DENY := $(abspath $(TARGET_DIR))/tools/bin/cargo-deny

$(DENY):
	cargo install cargo-deny --version $(CARGO_DENY) --locked --root $(abspath $(TARGET_DIR))/tools

deps-check: $(DENY)
	$(DENY) --locked check licenses bans sources
	$(DENY) --locked check advisories

clean:
	cargo clean

# The toolkit is the installed one, unless `make cuda-toolkit` has put one into target/cuda.
cuda-root:
	@crates/train/cuda/toolkit.sh use $(CUDA_ROOT_DIR)

cuda-toolkit:
	crates/train/cuda/toolkit.sh download $(CUDA_ROOT_DIR)

# EMULATOR_SANITIZE=1: with AddressSanitizer (tests/cuda-emulator/README.md).
cuda-emulator:
	@$(MAKE) --no-print-directory -C tests/cuda-emulator OUT=$(CUDA_EMULATOR_DIR)

cuda-kernels:
	@crates/train/cuda/kernels.sh $(TARGET_DIR) $(GPUS)

# Programs open the driver that TRAIN_CUDA_DRIVER names, or libcuda.so.1; the emulator where that finds no GPU.
USE_EMULATOR := export TRAIN_CUDA_DRIVER=$(CUDA_EMULATOR_DIR)/libcuda.so.1;
ON_GPU_OR_EMULATOR := $(if $(filter 1,$(EMULATOR_SANITIZE)),$(USE_EMULATOR),$(CUDA_ROOT_DIR)/probe || $(USE_EMULATOR))
ifeq ($(EMULATOR_SANITIZE),1)
SANITIZER := --config 'target."cfg(all())".runner=["env", "LD_PRELOAD=$(shell $(CXX) -print-file-name=libasan.so)", \
	"ASAN_OPTIONS=detect_leaks=0"]'
endif
CUDA_TEST = $(IN_CUDA) cargo test --release --locked $(SANITIZER)

# The emulator's own tests; every op against its reference; unit tests of CUDA's modules; the programs on the device.
test-cuda: cuda-root cuda-emulator
	@$(MAKE) --no-print-directory -C tests/cuda-emulator OUT=$(CUDA_EMULATOR_DIR) selftest
	@$(MAKE) --no-print-directory build CUDA=1
	$(ON_GPU_OR_EMULATOR) $(CUDA_TEST) -p train --features cuda --test cuda
	$(ON_GPU_OR_EMULATOR) $(CUDA_TEST) -p train --features cuda --lib cuda
	$(ON_GPU_OR_EMULATOR) $(CUDA_TEST) -p report --features cuda --test pipeline cuda

# What it does: crates/report/benches/cuda_check. CUDA_CHECK_ON=emulator tests the check itself where there is no GPU.
ifeq ($(CUDA_CHECK_ON),emulator)
CHECK_DRIVER := $(USE_EMULATOR)
cuda-check: cuda-emulator
endif
cuda-check:
	@crates/train/cuda/toolkit.sh use $(CUDA_ROOT_DIR) 2> /dev/null || crates/train/cuda/toolkit.sh download $(CUDA_ROOT_DIR)
	@$(CHECK_DRIVER) $(CUDA_ROOT_DIR)/probe || { \
		echo "error: no NVIDIA GPU with a working driver was found" >&2; \
		echo "  hint: \`nvidia-smi\` lists the GPUs; CUDA_CHECK_ON=emulator tests the check itself without one" >&2; exit 1; }
	@$(CHECK_DRIVER) [ -n "$$TRAIN_CUDA_DRIVER" ] || crates/train/cuda/toolkit.sh sanitizer $(CUDA_ROOT_DIR) || true
	@$(MAKE) --no-print-directory build CUDA=1
	$(CHECK_DRIVER) $(IN_CUDA) CUDA_CHECK_ON=$(CUDA_CHECK_ON) \
		cargo bench --locked -p report --features train/cuda,report/cuda --bench cuda_check
