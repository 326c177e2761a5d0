/**
 * Reduces the installed dependencies to the files that run, and prints a paragraph of debian/copyright for each:
 * `node dependencies.mjs NODE_MODULES PATH`. PATH is their place in the package. Licence files are kept.
 */
import { chmod, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const [modules = '', path = ''] = process.argv.slice(2);

/** Top-level folders of packages that are not imported. */
const unused = new Set(
  '.github .husky .vscode bench benchmark benchmarks docs example examples integration scripts spec test tests'.split(' '),
);
const runnable = /\.(?:cjs|js|json|mjs|node|wasm)$/;
const isLicence = (/** @type {string} */ name) => /^(?:copying|licen[cs]e|notice)/i.test(name);

for (const folder of await packagesIn(modules)) {
  const { bin = {}, licenses, license = licenses?.[0]?.type ?? 'unknown', author = 'The authors', name } = await manifestOf(folder);
  const commands = typeof bin === 'string' ? [bin] : Object.values(bin);
  await Promise.all(commands.map((command) => rm(join(folder, command), { force: true })));
  await prune(folder, true);

  const licence = (await readdir(folder)).find(isLicence);
  const text = licence === undefined ? '' : await readFile(join(folder, licence), 'utf8');
  const holders = [...text.matchAll(/^.*copyright.*\d{4}.*$/gim)].map(([line]) =>
    line.replaceAll(/^[\W_]+|copyright|\(c\)|©/gi, '').trim(),
  );
  const holder = holders.length > 0 ? holders.join('\n           ') : (author.name ?? author).replaceAll(/ [<(].*/g, '');
  const place = folder.replace(modules, path);
  const where =
    licence === undefined
      ? `${name} contains no licence file; its package.json names this licence.`
      : `The text is in /${place}/${licence}.`;
  process.stdout.write(
    `\nFiles: ${place}/*\nCopyright: ${holder}\nLicense: ${license.replaceAll(/[()]/g, '').replaceAll(' OR ', ' or ')}\n ${where}\n`,
  );
}

/** @param {string} folder */
async function manifestOf(folder) {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
}

/** The folders of all packages, nested ones included. @param {string} folder @returns {Promise<string[]>} */
async function packagesIn(folder) {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found = [];
  for (const { name } of entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))) {
    const inside = join(folder, name);
    found.push(...(name.startsWith('@') ? await packagesIn(inside) : [inside, ...(await packagesIn(join(inside, 'node_modules')))]));
  }
  return found.sort();
}

/** @param {string} folder @param {boolean} isTop */
async function prune(folder, isTop) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = join(folder, entry.name);
    if (entry.name === 'node_modules' && isTop) continue;
    const keeps = entry.isDirectory()
      ? !(isTop && unused.has(entry.name))
      : isLicence(entry.name) || (runnable.test(entry.name) && !entry.name.startsWith('.'));
    if (!keeps) await rm(file, { recursive: true });
    else if (entry.isDirectory()) await prune(file, false);
    else await chmod(file, 0o644);
  }
}
