#!/bin/sh
# Refresh the vendored files from npm packages: sh update.sh
# The versions here and in README.md are changed together.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund lightweight-charts@5.2.1 tslib@2.8.1 \
  graphql-ws@6.4.2
cp node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.mjs "$here/lightweight-charts.js"
rm -rf "$here/graphql-ws"
mkdir "$here/graphql-ws"
cp node_modules/graphql-ws/LICENSE.md node_modules/graphql-ws/dist/client.js node_modules/graphql-ws/dist/common-*.js \
  "$here/graphql-ws"

# The notice and the licence of fancy-canvas are in their repositories only, not in the packages.
{
  cat <<'END'
Licences of what is in lightweight-charts.js.

================ Notice of lightweight-charts ================

TradingView Lightweight Charts™
Copyright (c) 2026 TradingView, Inc. https://www.tradingview.com/

================ fancy-canvas (MIT) ================

Copyright (c) 2019 TradingView, Inc

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
END
  printf '\n%s\n\n' '================ tslib (0BSD) ================'
  cat node_modules/tslib/LICENSE.txt
  printf '\n%s\n\n' '================ lightweight-charts (Apache-2.0) ================'
  cat node_modules/lightweight-charts/LICENSE
} > "$here/LICENSES.txt"
ls -lR "$here"
