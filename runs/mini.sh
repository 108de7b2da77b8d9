#!/usr/bin/env bash
# The embedded model from nothing: autoencoder, small MLLM, editor, scores. A run that is there already is gone on with, so after a kill the
# same command goes on. On two cores that compute with bfloat16 it took eighteen hours, most of them shared with other work.
#
#   runs/mini.sh PHOTOS CUTOUTS [OUT]
#
# PHOTOS is a folder of photographs, some of them with masks (docs/training.md, "Data"), CUTOUTS one of named RGBA subjects with a names.json,
# as in examples/; OUT is out/ by default.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \?//p' "$0"; exit 2; }
photos=$(realpath "$1") cutouts=$(realpath "$2") out=${3:-}
[ -z "$out" ] || { mkdir -p "$out" && out=$(realpath "$out"); }
cd "$(dirname "$0")/.."
out=${out:-out}

train() { # NAME FOLDER [--set ...]
	local name=$1 folder=$2
	shift 2
	.venv/bin/step1x train "recipes/mini_$name.toml" --out "$folder" \
		--set "data.photos=[\"$photos\"]" --set "data.cutouts=[\"$cutouts\"]" "$@"
}

train autoencoder "$out/mini_autoencoder"
train mllm "$out/mini_mllm"
train edit "$out/mini" --set "model.autoencoder=$out/mini_autoencoder" --set "model.mllm=$out/mini_mllm"
train continue "$out/mini_continued" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini"
train more "$out/mini_more" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_continued"
train subjects "$out/mini_subjects" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_more"
train repeats "$out/mini_repeats" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_subjects"
train deeper "$out/mini_deeper" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_repeats"
train marked "$out/mini_marked" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_deeper"
train harder "$out/mini_harder" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_marked"
train square "$out/mini_square" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_harder"
train natural "$out/mini_natural" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_square"
[ -f "$out/mini_mean/model.safetensors" ] || .venv/bin/python runs/mean.py "$out/mini_square" "$out/mini_natural" --out "$out/mini_mean"
train again "$out/mini_again" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/mini_mean"
[ -f "$out/mini_last/model.safetensors" ] || .venv/bin/python runs/mean.py "$out/mini_mean" "$out/mini_again" --out "$out/mini_last"
.venv/bin/python benchmarks/heldout.py --weights "$out/mini_last"
echo "step1x edit PHOTO INSTRUCTION --weights $out/mini_last   edits with it"
