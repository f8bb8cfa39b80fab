#!/usr/bin/env bash
# From a wheel to a dataset, a page and a trained network: a fresh environment, another folder, an empty HOME.
#
#     scripts/try_wheel.sh dist/dsfactory-*.whl
#
# SITE=DIR takes the dependencies from another environment's site-packages, where there is no index to install from.
set -euo pipefail
wheel=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
if [ -n "${SITE:-}" ]; then
    "$place/env/bin/pip" install --quiet --no-index --no-deps "$wheel"
    echo "$SITE" > "$("$place/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/site.pth"
else
    "$place/env/bin/pip" install --quiet "$wheel"
fi
mkdir "$place/home" "$place/work"
cd "$place/work"
unset PYTHONPATH
export HOME="$place/home" PATH="$place/env/bin:$PATH" HF_HUB_OFFLINE=1
time_of() { # say how long a command took
    local start=$SECONDS
    "$@"
    echo "$((SECONDS - start)) s  $*"
}
case $(python -c 'import dsfactory; print(dsfactory.__file__)') in "$place"/*) ;; *) echo 'not the wheel'; exit 1 ;; esac
time_of dsfactory run --classes dog,bird --num 4 --out runs/a
time_of dsfactory report runs/a
time_of dsfactory export runs/a --format voc,hf --val-share 0.5
time_of dsfactory annotate runs/a/export/voc/JPEGImages --classes dog,bird --out runs/own
time_of dsfactory evaluate runs/a --real runs/a/export/voc --steps 20
time_of python -c 'import dsfactory as ds; print(len([s.mask for s in ds.open_run("runs/a").samples()]), "masks")'
