#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=1 --time=4:00:00
#SBATCH --requeue --signal=USR1@60
# Trains on the nodes of a Slurm job, and has it queued again where the same command goes on:
#   sbatch --nodes=2 --gpus-per-node=4 scripts/slurm.sh \
#     --config=configs/resnet.py --config.data.path=/shared/DATA --workdir=/shared/RUN
# USR1 comes a minute ahead of the time limit: the job saves and ends with 138. PYTHON names the
# interpreter, by default that of .venv in the folder of sbatch, else python.
set -u
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python
  if [[ -x .venv/bin/python ]]; then PYTHON=.venv/bin/python; fi
fi
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
CODES=$(mktemp -d "$PWD/exit-codes-$SLURM_JOB_ID-XXXXXX") || exit 74
trap 'rm -rf "$CODES"' EXIT
export PYTHON WORKERS CODES

# shellcheck disable=SC2016 # the workers expand it
srun --kill-on-bad-exit=0 bash -c '
  trap : INT TERM USR1 # which Slurm sends to Python, too
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]},
    \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  "$PYTHON" -m trainer.task "$@"
  code=$?
  echo $code >"$CODES/$SLURM_PROCID"
  exit $code' worker "$@"

# srun returns the highest code, which may be that of a worker that has only lost the chief. The
# chief alone says how the run ended, and a fault of any worker comes again.
chief=$(cat "$CODES/0" 2>/dev/null || echo 1)
case $chief in
  69 | 75 | 138 | 143) again=true ;;
  *) again=false ;;
esac
for file in "$CODES"/*; do
  case $(cat "$file") in
    0 | 69 | 75) ;;
    ? | ?? | 1[01]? | 12[0-8]) again=false ;;
  esac
done
if $again; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$chief"
