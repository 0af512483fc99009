#!/usr/bin/env bash
# Gets the tools that building needs, each at one version, and links them into .tools/bin.
#
#   tools.sh build    what compiles the site
#   tools.sh lint     rustfmt and clippy
#   tools.sh mail     a mail server for the journeys and the demo
#   tools.sh api      what asks the runtime API all that its description allows, and more
#
# They lie by version in a folder that all clones share, so that a second clone finds them.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo_leptos=0.3.10 # 0.3.11 wants Rust 1.96
binaryen=132.0.0
aiosmtpd=1.4.6
schemathesis=4.32.5
# wasm-bindgen's two halves must be of one version.
wasm_bindgen=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)

store=${GITWARD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/gitward}
mkdir -p "$store"
store=$(cd "$store" && pwd)

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

need() { # command, what it is, how to get it
  command -v "$1" >/dev/null && return
  printf '%s is missing: %s\n  install it with: %s\n' "$1" "$2" "$3" >&2
  exit 1
}

rust_part() { # path below the toolchain's folder, rustup arguments
  local path=$1
  shift
  [[ -e $(rustc --print sysroot)/$path ]] && return
  need rustup "it adds $* to Rust" "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
  say "Adding $* to Rust"
  rustup "$@"
}

need cargo "the Rust toolchain" "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"

if [[ ${1:-build} == lint ]]; then
  rust_part bin/cargo-fmt component add rustfmt
  rust_part bin/cargo-clippy component add clippy
  exit
fi

if [[ ${1:-build} == build ]]; then
  need node "the demo and the journeys run in it, version 20 or newer" \
    "apt-get install nodejs npm (Debian 13), or see https://nodejs.org/en/download"
  need npm "it comes with Node" "apt-get install npm"
  need cc "the C compiler, for SQLite and to link" "apt-get install build-essential (Debian), xcode-select --install (macOS)"
  if (($(node -p 'process.versions.node.split(".")[0]') < 20)); then
    printf 'Node %s is too old: 20 or newer is needed\n  see https://nodejs.org/en/download\n' "$(node -v)" >&2
    exit 1
  fi
  rust_part lib/rustlib/wasm32-unknown-unknown target add wasm32-unknown-unknown
fi

# A tool is complete when its folder has its name: it is installed under another and renamed.
install() { # folder, executable in it, function that installs into the folder it is given
  local folder=$store/$1 executable=$2 by=$3
  mkdir -p .tools/bin
  if [[ ! -x $folder/$executable ]]; then
    # Two clones must not do the same work at once. (Not every system has flock; then they do.)
    if command -v flock >/dev/null; then
      exec 8>"$store/lock"
      flock --nonblock 8 || { say "Another clone is installing tools; waiting for it" && flock 8; }
    fi
  fi
  if [[ ! -x $folder/$executable ]]; then
    say "Installing $1 into $store (once)"
    local partial=$store/.partial-$1
    rm -rf "$partial"
    mkdir "$partial"
    "$by" "$partial"
    [[ -x $partial/$executable ]]
    rm -rf "$folder"
    mv "$partial" "$folder"
  fi
  ln -sfn "$folder/$executable" ".tools/bin/$(basename "$executable")"
}

# These run for seconds and compile for many minutes: optimise little. The folder for building is kept until the end, so
# that a second try goes on where the first was interrupted.
cargo_install() { # root, arguments
  local root=$1 building=$store/.building
  shift
  env -u CARGO_BUILD_BUILD_DIR -u RUSTFLAGS CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=fallback \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_TARGET_DIR="$building" cargo install --root "$root" "$@" 8>&-
  rm -rf "$building"
}

install_cargo_leptos() { cargo_install "$1" "cargo-leptos@$cargo_leptos" --locked; }
# Not --locked: its lock file names a crate that cannot be had any more.
install_wasm_bindgen() { cargo_install "$1" "wasm-bindgen-cli@$wasm_bindgen" --bin wasm-bindgen; }
install_binaryen() { npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$1" "binaryen@$binaryen" 8>&-; }

# A Python of its own, which finds its folder wherever it is.
python_install() { # root, package, name of what starts it, its first arguments
  local root=$1 package=$2 name=$3
  shift 3
  python3 -m venv "$root"
  "$root/bin/python" -m pip install --quiet --disable-pip-version-check "$package" 8>&-
  {
    echo '#!/bin/sh'
    echo 'folder=$(dirname "$(readlink -f "$0")")'
    echo "exec \"\$folder/bin/python\" $* \"\$@\""
  } >"$root/$name"
  chmod +x "$root/$name"
}

install_aiosmtpd() { python_install "$1" "aiosmtpd==$aiosmtpd" mail-python; }
install_schemathesis() { python_install "$1" "schemathesis==$schemathesis" schemathesis '"$folder/bin/schemathesis"'; }

need_python() { # what for
  need python3 "$1 runs in it" "apt-get install python3-venv"
  python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv "it makes a folder of its own for $1" "apt-get install python3-venv"
}

if [[ ${1:-build} == mail ]]; then
  need_python "the mail server for the journeys"
  install "aiosmtpd-$aiosmtpd" mail-python install_aiosmtpd
  exit
fi

if [[ ${1:-build} == api ]]; then
  need_python "what tests the runtime API"
  install "schemathesis-$schemathesis" schemathesis install_schemathesis
  exit
fi

install "cargo-leptos-$cargo_leptos" bin/cargo-leptos install_cargo_leptos
install "wasm-bindgen-cli-$wasm_bindgen" bin/wasm-bindgen install_wasm_bindgen
install "binaryen-${binaryen%%.*}" node_modules/.bin/wasm-opt install_binaryen
