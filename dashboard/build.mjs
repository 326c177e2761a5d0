/** Copies the page and its libraries to dist. The browser loads them as they are: no bundler, no step at run time. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = `${root}dashboard/`;
const target = `${root}dist/dashboard/`;

/** Each library: its file in node_modules, the name under which the page imports it, and its licence. */
const libraries = [
  { from: 'preact/dist/preact.mjs', to: 'preact.js', licence: 'preact/LICENSE' },
  { from: 'preact/hooks/dist/hooks.mjs', to: 'hooks.js', licence: 'preact/LICENSE' },
  { from: 'htm/dist/htm.module.js', to: 'htm.js', licence: 'htm/LICENSE' },
  { from: 'uplot/dist/uPlot.esm.js', to: 'uPlot.js', licence: 'uplot/LICENSE' },
  { from: 'uplot/dist/uPlot.min.css', to: 'uPlot.css', licence: 'uplot/LICENSE' },
];

/** A browser finds a module by its address only. */
const addresses = new Map([['preact', './preact.js']]);

/** @param {string} text @param {string} file */
function withAddresses(text, file) {
  const changed = text.replace(/\n?\/\/# sourceMappingURL=.*\n?$/, '\n').replace(/\b(from|import)\s*"([\w@./-]+)"/g, (_, word, name) => {
    const address = addresses.get(name);
    if (address === undefined) throw new Error(`${file} imports ${name}, which has no address in the page`);
    return `${word}"${address}"`;
  });
  return changed;
}

await mkdir(`${target}vendor`, { recursive: true });
for (const name of await readdir(source)) if (/\.(css|html|js|svg)$/.test(name)) await cp(source + name, target + name);
for (const { from, to } of libraries) {
  const text = await readFile(`${root}node_modules/${from}`, 'utf8');
  await writeFile(`${target}vendor/${to}`, to.endsWith('.js') ? withAddresses(text, from) : text);
}
for (const licence of new Set(libraries.map((library) => library.licence))) {
  await cp(`${root}node_modules/${licence}`, `${target}vendor/LICENSE-${licence.split('/')[0]}`);
}
