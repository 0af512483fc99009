#!/usr/bin/env bash
# The browser's code must not drag in what only the server needs.
set -euo pipefail
cd "$(dirname "$0")/../.."

tree=$(cargo tree --locked --package client --target wasm32-unknown-unknown --edges normal --prefix none --format '{p}')
if found=$(grep --extended-regexp '^(tokio|axum|hyper|sqlx|reqwest)(-[a-z-]+)? ' <<<"$tree"); then
  printf 'The client must not depend on:\n%s\n' "$found" >&2
  exit 1
fi
