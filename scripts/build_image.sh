#!/usr/bin/env bash
# Builds the job's container image and prints its name:
# scripts/build_image.sh [--serve] [--push] [IMAGE]
#
#   IMAGE                       default radiograph-trainer, or radiograph-serve; without a tag it
#                               gets :VERSION-ACCELERATOR
#   --serve                     builds the server's image instead, which is for CPUs
#   --push                      pushes it too
#   ACCELERATOR=cpu             which TensorFlow: cpu, gpu or tpu (default: gpu)
#   BUILDER=podman              docker, podman, buildah, or with --push gcloud, which is Cloud Build
#                               (default: the first that works)
#   BASE_IMAGE=...              in place of the Dockerfile's
#   PIP_CONFIG_FILE=...         pip's configuration, as for a private index; not for gcloud
set -euo pipefail

fail() {
  echo "build_image: $*" >&2
  exit 1
}

# Whether the builder $1 works: docker may be a client without an engine.
works() {
  case $1 in
    gcloud) [[ -n $(gcloud config get-value project) ]] ;;
    *) "$1" info ;;
  esac &>/dev/null
}

# Prints the commit that is built, or nothing outside a repository.
commit() {
  local hash changes
  if hash=$(git rev-parse HEAD 2>/dev/null); then
    changes=$(git status --porcelain)
    echo "$hash${changes:+-dirty}"
  fi
}

# Prints what Cloud Build is to do: build with the arguments given, and push.
cloud_build() {
  echo 'steps:'
  echo '- name: gcr.io/cloud-builders/docker'
  echo '  env: [DOCKER_BUILDKIT=1]'
  echo '  args:'
  printf "  - '%s'\n" build "$@" .
  echo "images: ['$image']"
  echo 'timeout: 3600s'
}

push='' target='' image=''
for argument; do
  case $argument in
    --push) push=yes ;;
    --serve) target=serve ;;
    -*) fail "unknown option '$argument': there are --serve and --push." ;;
    *)
      [[ -z $image ]] || fail "'$argument' is an image too many, after '$image'."
      image=$argument
      ;;
  esac
done
[[ -z $push || $image == */* ]] || fail '--push needs to know where to, as in' \
  'scripts/build_image.sh --push REGION-docker.pkg.dev/PROJECT/radiographs/trainer.'
accelerator=${ACCELERATOR:-${target:+cpu}}
accelerator=${accelerator:-gpu}
case ${target:-job}-$accelerator in
  job-cpu | job-gpu | job-tpu | serve-cpu) ;;
  serve-*) fail "ACCELERATOR is '$accelerator', but --serve builds for cpu alone." ;;
  *) fail "ACCELERATOR is '$accelerator', but must be cpu, gpu or tpu." ;;
esac

builder=${BUILDER-}
case $builder in
  '')
    for candidate in docker podman buildah ${push:+gcloud}; do
      [[ -n $builder ]] || ! works "$candidate" || builder=$candidate
    done
    [[ -n $builder ]] || fail 'found no docker, podman or buildah that works: install one (on' \
      'Debian and Ubuntu: apt-get install buildah), or log in to gcloud and use --push.'
    ;;
  gcloud)
    [[ -n $push ]] || fail "BUILDER is 'gcloud', which only pushes: add --push."
    works gcloud || fail "BUILDER is 'gcloud', but it is not there or has no project: use" \
      'gcloud config set project PROJECT.'
    ;;
  docker | podman | buildah)
    works "$builder" || fail "BUILDER is '$builder', but '$builder info' fails: install or start" \
      'it, or choose another.'
    ;;
  *) fail "BUILDER is '$builder', but must be docker, podman, buildah or gcloud." ;;
esac
secrets=()
if [[ -f ${PIP_CONFIG_FILE-} ]]; then
  [[ $builder != gcloud ]] || fail 'gcloud does not take PIP_CONFIG_FILE: choose another BUILDER.'
  secrets=(--secret "id=pip.conf,src=$(realpath "$PIP_CONFIG_FILE")")
fi

cd "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")"
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' trainer/__init__.py)
image=${image:-radiograph-${target:-trainer}}
[[ ${image##*/} == *:* ]] || image+=:$version-$accelerator
for name in "$image" ${BASE_IMAGE:+"$BASE_IMAGE"}; do
  [[ $name =~ ^[a-z0-9][A-Za-z0-9._/:@-]*$ ]] ||
    fail "'$name' is no image's name, as REGISTRY/PATH/NAME:TAG is, in lower case but for the tag."
done
arguments=(--tag "$image" --build-arg "ACCELERATOR=$accelerator" --build-arg "VERSION=$version"
  --build-arg "COMMIT=$(commit)" ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"}
  ${target:+--target "$target"})

# What the builder says goes to stderr, so that stdout has the name alone.
if [[ $builder == gcloud ]]; then
  config=$(mktemp --suffix=.yaml)
  trap 'rm -f "$config"' EXIT
  cloud_build "${arguments[@]}" >"$config"
  gcloud builds submit --config="$config" --ignore-file=.dockerignore . >&2 ||
    fail "gcloud could not build $image; what it said is above."
else
  # The Dockerfile has a secret, which docker's old builder does not know; and buildah keeps
  # layers, and with them the dependencies, only where it is told to.
  export DOCKER_BUILDKIT=1 BUILDAH_LAYERS=${BUILDAH_LAYERS:-true}
  # The format that podman and buildah choose has no health check, and layers of another are made
  # anew: one for both images.
  [[ $builder == docker ]] || arguments+=(--format docker)
  "$builder" build "${arguments[@]}" "${secrets[@]}" . >&2 ||
    fail "$builder could not build $image; what it said is above."
  [[ -z $push ]] || "$builder" push "$image" >&2 ||
    fail "$builder built $image and could not push it; what it said is above."
fi
echo "$image"
