import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { toError } from '../src/kit/errors.ts';

/** Why a module cannot be imported, with the file and line where it stands in code that is not ours. */
export async function importProblem(url: string, thrown: unknown): Promise<string> {
  const error = toError(thrown);
  const place = error instanceof SyntaxError ? await syntaxErrorIn(url) : placeIn(error.stack ?? '');
  return `cannot import ${url}: ${error.name}: ${error.message}${place === undefined ? '' : ` (${place})`}`;
}

/** The first place in the stack that is neither ours, a dependency's nor Node's own. */
function placeIn(stack: string): string | undefined {
  const places = stack.match(/file:\/\/[^\s)]+:\d+/g) ?? [];
  const ours = ['../pools/', '../src/'].map((folder) => new URL(folder, import.meta.url).href);
  return places.find((place) => !place.includes('/node_modules/') && !ours.some((folder) => place.startsWith(folder)));
}

/** An import does not tell where its syntax error is; `node --check`, which runs nothing, does. */
function syntaxErrorIn(url: string): Promise<string | undefined> {
  if (!url.startsWith('file:')) return Promise.resolve(undefined);
  const path = fileURLToPath(url);

  return new Promise((resolve) => {
    execFile(process.execPath, ['--check', path], (_failed, _stdout, stderr) => {
      const [first = ''] = stderr.split('\n');
      resolve(first.startsWith(`${path}:`) ? first : undefined);
    });
  });
}
