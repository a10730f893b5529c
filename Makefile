# Thin targets over scripts/. ARGS goes to the script: make test ARGS='-k router'
.PHONY: help setup run test bench bench-memory fuzz docs

help:            ## what there is
	@sed -nE 's/^([a-z-]+): *## (.*)/  make \1\t\2/p' Makefile | expand -t 22

setup:           ## .venv with everything that development needs
	@scripts/setup.sh dev

run:             ## the gateway, a small upstream, and a curl to paste; Ctrl-C stops all of it
	@scripts/run.sh $(ARGS)

test:            ## lint, types, import arrows, unit and integration tests with coverage
	@scripts/test.sh $(ARGS)

bench:           ## speed beside nginx, a naive aggregator and JSON-RPC servers, with targets
	@scripts/bench.sh $(ARGS)

bench-memory:    ## a million items: does memory stay flat?
	@scripts/bench.sh memory $(ARGS)

fuzz:            ## every fuzz target for FUZZ_SECONDS (60) each
	@scripts/fuzz.sh $(ARGS)

docs:            ## the documentation as HTML, in site/
	@scripts/docs.sh $(ARGS)

