#!/bin/bash
# A run per array task, each with a seed of its own. Submit: sbatch /srv/dsfactory/slurm-array.sh
#
# A run belongs to one process, so tasks do not share one: task 3 makes runs/part-3 with seed 3.
# A task that the budget stopped goes back into the queue and continues; the end of its time, or a job with more
# rights, sends SIGTERM, and no finished shard is lost.
#SBATCH --job-name=dsfactory
#SBATCH --array=0-7
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=24G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/srv/dsfactory/logs/%x-%A-%a.log
set -u
cd /srv/dsfactory || exit 2

srun .venv/bin/dsfactory run --config nightly.yaml --seed "$SLURM_ARRAY_TASK_ID" \
    --out "runs/part-$SLURM_ARRAY_TASK_ID" --budget 3h30m --max-gb 200 --quiet
code=$?

# A cancelled task ends with 5 too; it is no longer RUNNING and stays out of the queue.
if [ "$code" -eq 5 ] && [ "$(squeue --noheader --format=%T --job="$SLURM_JOB_ID")" = RUNNING ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
