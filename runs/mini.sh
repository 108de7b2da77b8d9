#!/usr/bin/env bash
# The embedded model from nothing: autoencoder, small MLLM, editor, scores. A run that is there already is gone on with, so after a kill the
# same command goes on. On two cores that compute with bfloat16 it took twenty-three hours, most of them shared with other work.
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

go_on() { # NAME START FOLDER: with the autoencoder and the MLLM of the first editor
	train "$1" "$out/$3" --set "model.autoencoder=$out/mini" --set "model.mllm=$out/mini" --set "model.start=$out/$2"
}

mean() { # FIRST SECOND FOLDER
	[ -f "$out/$3/model.safetensors" ] || .venv/bin/python runs/mean.py "$out/$1" "$out/$2" --out "$out/$3"
}

train autoencoder "$out/mini_autoencoder"
train mllm "$out/mini_mllm"
train edit "$out/mini" --set "model.autoencoder=$out/mini_autoencoder" --set "model.mllm=$out/mini_mllm"
go_on continue mini mini_continued
go_on more mini_continued mini_more
go_on subjects mini_more mini_subjects
go_on repeats mini_subjects mini_repeats
go_on deeper mini_repeats mini_deeper
go_on marked mini_deeper mini_marked
go_on harder mini_marked mini_harder
go_on square mini_harder mini_square
go_on natural mini_square mini_natural
mean mini_square mini_natural mini_mean
go_on again mini_mean mini_again
mean mini_mean mini_again mini_last
go_on finer mini_last mini_finer
mean mini_last mini_finer mini_finer_mean
go_on further mini_finer_mean mini_further
mean mini_finer_mean mini_further mini_finest
go_on relit mini_finest mini_relit
mean mini_finest mini_relit mini_final
.venv/bin/python benchmarks/heldout.py --weights "$out/mini_final"
echo "step1x edit PHOTO INSTRUCTION --weights $out/mini_final   edits with it"
