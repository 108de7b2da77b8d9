#!/usr/bin/env bash
# gedit-mini from nothing to figures, offline: the embedded model against leaving pictures as they are.
#   runs/gedit/mini.sh [FOLDER [WEIGHTS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
out=${1:-out/gedit-mini}
step1x bench mini "$out/cases"
step1x bench run leave-as-is --cases "$out/cases" --out "$out/results"
step1x bench run step1x:mini ${2:+--weights "$2"} --cases "$out/cases" --out "$out/results"
step1x bench score "$out/results" --cases "$out/cases" --judge reference
