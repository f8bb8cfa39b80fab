#!/usr/bin/env bash
#SBATCH --job-name=dsfactory
#SBATCH --array=1-8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
# sbatch deploy/slurm-array.sh: a run per task, each with its own seed. A task that is stopped or sent back to the queue
# goes on where it was; the budget ends it in time.
set -euo pipefail
: "${CLASSES:=dog,bird}" "${MODEL:=sd15}" "${RUNS:=runs}"
exec dsfactory run --classes "$CLASSES" --model "$MODEL" --num 500 --seed "$SLURM_ARRAY_TASK_ID" --budget 3h50m --out "$RUNS/part-$SLURM_ARRAY_TASK_ID" --format coco
