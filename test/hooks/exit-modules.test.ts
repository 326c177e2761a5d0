import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { importBuilt } from '../support/built.ts';

const { loadModules } = await importBuilt<typeof import('../../src/hooks/exit-modules.ts')>('src/hooks/exit-modules.js');

/** A module in a folder without `node_modules`. */
async function moduleOf(code: string): Promise<{ readonly url: string; readonly usedBy: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'exit-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'exit.mjs');
  await writeFile(file, code);
  return { url: pathToFileURL(file).href, usedBy: 'descriptor D of front (exit)' };
}

test('returns the default export of each module by its URL', async () => {
  const [one, other] = [await moduleOf('export default () => 1;'), await moduleOf('export default async function unit() { return 2; }')];
  const loaded = await loadModules([one, other, one]);
  expect([...loaded.keys()]).toEqual([one.url, other.url]);
  expect([loaded.get(one.url)?.({}), await loaded.get(other.url)?.({})]).toEqual([1, 2]);
});

test.each([
  ['nothing by default', 'export const exit = () => 0;', /exports nothing by default, and must export a function$/],
  ['an object', 'export default { exit() {} };', /exports a value of type object by default, and must export a function$/],
  ['an error', 'throw new TypeError("no"); export default 1;', /cannot import .*exit\.mjs: TypeError: no/],
])('names the descriptor of a module that exports %s', async (_, code, problem) => {
  await expect(loadModules([await moduleOf(code)])).rejects.toThrow(
    expect.objectContaining({ code: 'CALLBACK_LOAD_FAILED', message: expect.stringMatching(problem) }),
  );
  await expect(loadModules([await moduleOf(code)])).rejects.toThrow(/^descriptor D of front \(exit\): /);
});
