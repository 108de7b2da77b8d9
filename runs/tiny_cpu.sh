#!/usr/bin/env bash
# Every part of the system in a few minutes, on the pictures that come with the repository: make data, train all three parts, edit, score.
# It takes four minutes on two cores, and what comes out edits nothing yet: it is here to show that all of it works, and where to begin.
#
#   runs/tiny_cpu.sh [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-out/tiny}
data=(--set 'data.photos=["examples/photos"]' --set 'data.cutouts=["examples/cutouts"]' --set 'data.heldout=recipes/tiny_heldout.toml')
train() { .venv/bin/step1x train "recipes/mini_$1.toml" --out "$out/$1" "${data[@]}" "${@:2}"; }

train autoencoder --set 'stages=[{until=150, size=64, batch=8}]' --set optim.decay=75
train mllm --set 'stages=[{until=40, size=112, batch=16}]' --set optim.decay=20
train edit --set "model.autoencoder=$out/autoencoder" --set "model.mllm=$out/mllm" --set optim.decay=60 \
	--set 'stages=[{until=120, size=64, batch=24, difficulty=0, mixture={tone_transfer=2, style_change=1, background_change=1}}]'

.venv/bin/step1x edit examples/photos/coffee.jpg "make it black and white" --weights "$out/edit" --size 64 --overwrite \
	--out "$out/coffee.png" --compare "$out/coffee-before-after.png"
.venv/bin/python benchmarks/heldout.py --weights "$out/edit" --split recipes/tiny_heldout.toml --size 64 --cases 8
