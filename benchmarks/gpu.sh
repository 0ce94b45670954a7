#!/usr/bin/env bash
# Everything that docs/ quotes from a GPU, in one run on a machine that has one.
#
#     benchmarks/gpu.sh MODEL.gguf ADAPTER_FOLDER NOVEL.txt OUT_FOLDER [STEP ...]
#
# A step writes OUT_FOLDER/STEP.log, and JSON and pictures where its bench does. All steps, in order, where none is named:
#   tests      the GPU's tests
#   attention  milliseconds beside cuDNN and flash, inputs of a middle layer, 4,096 to 32,768 tokens
#   worst      inputs in which every key matters a little; full attention
#   long       made inputs of 65,536, 131,072 and 1,048,576 tokens
#   beyond     inputs of 65,536 and 131,072 tokens that are nearly real, and perplexity there (a novel of 151,072 tokens)
#   rules      exact attention with masks and scores beside FlexAttention
#   overhead   what a rewritten call costs beside its kernels
#   quality    perplexity at 32,768 tokens of three texts
#   passkeys   keys in 4,096 to 32,768 tokens
#   first      keys in the first lines of 32,768 tokens
set -uo pipefail

if [[ $# -lt 4 ]]; then
    sed -n '4p' "$0" | sed 's/^# */usage: /' >&2
    exit 2
fi
model=$1 adapter=$2 novel=$3 out=$4
shift 4
for given in "$model" "$adapter" "$novel"; do
    [[ -e $given ]] || { echo "gpu.sh: there is no $given." >&2; exit 2; }
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
mkdir -p "$out" || exit 2
steps=("$@")
[[ ${#steps[@]} -gt 0 ]] || steps=(tests attention worst long beyond rules overhead quality passkeys first)

bench() { "$python" "$here/$1.py" "${@:2}"; }
reads() { bench "$1" --device cuda --dtype bfloat16 --model "$model" --adapter "$adapter" "${@:2}"; }

run() {
    case $1 in
        tests)
            "$python" -m pytest -q -n 8 "$here"/../tests/kernels/test_{fused_paper_cuda,fused_cuda,cuda}.py
            ;;
        attention)
            bench attention_inputs "$out/qkv.safetensors" --tokens 32768 --layer 12 --heads 6 --device cuda --model "$model" \
                --adapter "$adapter" --text "novel=$novel" --start 20000 &&
                bench attention --lengths 4096,8192,16384,32768 --inputs "$out/qkv.safetensors" --made none --repeats 9 \
                    --json "$out/attention.json" --plot "$out/attention.png"
            ;;
        worst)
            bench attention --lengths 4096,32768 --made gaussian --implementations cudnn,hyper --repeats 9 \
                --json "$out/worst.json" &&
                bench attention --lengths 4096,8192,32768 --masks full --implementations cudnn,hyper \
                    --repeats 9 --json "$out/worst.json" --merge
            ;;
        long)
            bench attention --lengths 65536,131072 --masks causal,full --implementations cudnn,paper,hyper --repeats 3 \
                --json "$out/long.json" &&
                bench attention --lengths 1048576 --heads 8 --head-dims 64 --implementations paper,hyper --repeats 1 \
                    --json "$out/long.json" --merge
            ;;
        beyond)
            bench attention_inputs "$out/long.safetensors" --tokens 131072 --beyond --layer 12 --heads 6 --device cuda \
                --model "$model" --adapter "$adapter" --text "novel=$novel" --start 20000 &&
                bench attention --lengths 65536,131072 --inputs "$out/long.safetensors" --made none --repeats 5 \
                    --implementations cudnn,flash,paper,hyper --json "$out/beyond.json" &&
                reads quality --context 131072 --beyond --start 20000 --text "novel=$novel" --text code \
                    --estimators exact,hyper --presets default --json "$out/beyond_quality.json"
            ;;
        rules)
            bench attention_rules --head-dims 64,128 --lengths 4096,16384 --repeats 7 --json "$out/rules.json"
            ;;
        overhead)
            bench overhead --layers 4
            ;;
        quality)
            reads quality --context 32768 --start 20000 --text "novel=$novel" --text repeated --text code \
                --estimators exact,hyper --json "$out/quality.json"
            ;;
        passkeys)
            reads quality_passkey --lengths 4096,8192,16384,32768 --depths 0,25,50,75,100 --trials 10 \
                --estimators exact,hyper --presets default --min-seq-len 4096 --json "$out/passkeys.json"
            ;;
        first)
            reads quality_passkey --lengths 32768 --depths 0 --trials 90 --seed 1 --estimators exact,hyper \
                --presets default --json "$out/first.json"
            ;;
        *)
            echo "gpu.sh: there is no step $1." >&2
            return 2
            ;;
    esac
}

failed=0
for step in "${steps[@]}"; do
    began=$SECONDS
    if run "$step" >"$out/$step.log" 2>&1; then word=done; else word=FAILED failed=1; fi
    tail -n 25 "$out/$step.log"
    printf '== %s: %s, %d s\n' "$step" "$word" $((SECONDS - began))
done
exit "$failed"
