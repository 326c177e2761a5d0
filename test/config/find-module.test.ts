import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { builtinModules, findModule, searchedPlaces } from '../../src/config/find-module.ts';
import { writeConfig } from './write-config.ts';

const manifest = (fields: object): string => JSON.stringify({ name: 'push', version: '1.0.0', ...fields });

test.each(builtinModules)('%s is built in, even if a file has the same name', async (name) => {
  const folder = dirname(await writeConfig('', { [`${name}.mjs`]: '' }));
  expect(await findModule(name, folder)).toEqual({ kind: 'found', module: { kind: 'builtin', name } });
});

test.each([
  ['push', ['push.mjs', 'push.js', 'callbacks/push.mjs'], 'push.mjs'],
  ['push', ['push.js', 'callbacks/push.mjs'], 'push.js'],
  ['push', ['callbacks/push.mjs', 'callbacks/push.js'], 'callbacks/push.mjs'],
  ['push', ['callbacks/push.js', 'node_modules/push/package.json'], 'callbacks/push.js'],
  ['./push.mjs', ['push.mjs'], 'push.mjs'],
  ['hooks/push.mjs', ['hooks/push.mjs'], 'hooks/push.mjs'],
  ['hooks/push', ['hooks/push.mjs'], 'hooks/push.mjs'],
])('"%s" with %j is %s', async (name, files, expected) => {
  const folder = dirname(await writeConfig('', Object.fromEntries(files.map((file) => [file, '']))));
  expect(await findModule(name, folder)).toEqual(found(join(folder, expected)));
});

test.each([
  ['push', { exports: './entry.mjs' }, 'entry.mjs'],
  ['push', { exports: { '.': { types: './t.d.ts', require: './no.cjs', import: './entry.mjs' } } }, 'entry.mjs'],
  ['push', { exports: { node: { import: './entry.mjs' }, default: './no.mjs' } }, 'entry.mjs'],
  ['push/chat', { exports: { './chat': './entry.mjs' } }, 'entry.mjs'],
  ['push', { main: './entry.js' }, 'entry.js'],
])('"%s" is found in a package with %j', async (name, fields, expected) => {
  const inPackage = (file: string): string => `node_modules/push/${file}`;
  const folder = dirname(await writeConfig('', { [inPackage('package.json')]: manifest(fields), [inPackage(expected)]: '' }));
  expect(await findModule(name, folder)).toEqual(found(join(folder, inPackage(expected))));
});

test('a scoped package is also searched in the parent folders', async () => {
  const folder = dirname(
    await writeConfig('', {
      'node_modules/@acme/push/package.json': manifest({ exports: './x.mjs' }),
      'node_modules/@acme/push/x.mjs': '',
    }),
  );
  expect(await findModule('@acme/push', join(folder, 'etc', 'pusher'))).toEqual(found(join(folder, 'node_modules/@acme/push/x.mjs')));
});

test('a package without an export of the name is no match', async () => {
  const folder = dirname(await writeConfig('', { 'node_modules/push/package.json': manifest({ exports: { './other': './x.mjs' } }) }));
  expect(await findModule('push', folder)).toMatchObject({ kind: 'missing' });
});

test('a built-in module of Node is no callback module', async () => {
  const folder = dirname(await writeConfig('', { 'node_modules/crypto/package.json': manifest({}), 'node_modules/crypto/index.js': '' }));
  expect(await findModule('crypto', folder)).toMatchObject({ kind: 'missing' });
});

test('a folder is no callback module', async () => {
  const folder = dirname(await writeConfig('', { 'push.mjs/file': '' }));
  expect(await findModule('./push.mjs', folder)).toMatchObject({ kind: 'missing' });
});

test('a missing module is reported with the searched places', async () => {
  const folder = dirname(await writeConfig(''));
  const places = ['push.mjs', 'push.js', 'callbacks/push.mjs', 'callbacks/push.js'];
  expect(await findModule('./push', folder)).toEqual({ kind: 'missing', lookedAt: places.map((place) => join(folder, place)) });
  expect(await findModule('./push.mjs', folder)).toEqual({ kind: 'missing', lookedAt: [join(folder, 'push.mjs')] });
});

function found(file: string) {
  return { kind: 'found', module: { kind: 'url', url: pathToFileURL(file).href } };
}

test.each([
  ['push', 'callbacks/push.ts'],
  ['push', 'push.mts'],
  ['hooks/push.ts', 'hooks/push.ts'],
])('"%s" with only %s is missing and reported as TypeScript', async (name, file) => {
  const folder = dirname(await writeConfig('', { [file]: '' }));
  const result = await findModule(name, folder);
  expect(result).toMatchObject({ kind: 'missing', typeScript: join(folder, file) });
  if (result.kind === 'missing') expect(searchedPlaces(result)).toMatch(/\. \/.*push\.m?ts is TypeScript: compile it to \.mjs or \.js$/);
});
