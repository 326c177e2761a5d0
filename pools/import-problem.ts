import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { toError, userPositionIn } from '../src/kit/errors.ts';

/** Why a module cannot be imported, with the file and line where it stands in code that is not ours. */
export async function importProblem(url: string, thrown: unknown): Promise<string> {
  const error = toError(thrown);
  const place = error instanceof SyntaxError ? await syntaxErrorIn(url) : userPositionIn(error.stack ?? '');
  return `cannot import ${url}: ${error.name}: ${error.message}${place === undefined ? '' : ` (${place})`}`;
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
