#!/bin/sh
# Refresh the vendored files of GraphiQL from npm packages: sh update.sh
# The versions here and in README.md are changed together.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund \
    graphiql@4.1.2 react@18.3.1 react-dom@18.3.1 graphql@16.11.0

# Source maps are not served, so the comments that name them go.
copy() { sed '/^\/\/# sourceMappingURL=/d; s/\/\*# sourceMappingURL=[^*]*\*\///' "node_modules/$1" > "$here/$2"; }
copy graphiql/graphiql.min.js graphiql.min.js
copy graphiql/graphiql.min.css graphiql.min.css
copy react/umd/react.production.min.js react.production.min.js
copy react-dom/umd/react-dom.production.min.js react-dom.production.min.js

# graphiql.min.js is a bundle: the licences of all that may be in it go with it, each text once.
node > "$here/LICENSES.txt" <<'END'
const fs = require('fs'), path = require('path');
const texts = new Map();
function visit(directory) {
  for (const name of fs.readdirSync(directory).sort()) {
    const folder = path.join(directory, name);
    if (name.startsWith('@')) { visit(folder); continue; }
    if (!fs.existsSync(path.join(folder, 'package.json'))) continue;
    const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const file = fs.readdirSync(folder).find((each) => /^licen[sc]e/i.test(each));
    const text = file ? fs.readFileSync(path.join(folder, file), 'utf8').trim() : '(no licence text in the package)';
    const label = `${about.name} ${about.version} (${about.license})`;
    texts.set(text, [...(texts.get(text) ?? []), label]);
    if (fs.existsSync(path.join(folder, 'node_modules'))) visit(path.join(folder, 'node_modules'));
  }
}
visit('node_modules');
console.log('Licences of the packages whose code may be in the files of this directory.');
for (const [text, labels] of texts) console.log(`\n${'='.repeat(80)}\n${labels.join('\n')}\n${'='.repeat(80)}\n\n${text}`);
END
ls -l "$here"
