/** The limits on the globs of all handlers together. */
import { expect, test } from 'vitest';
import { load, mistakeLines, pool } from './write-config.ts';

const at = 'modules.mod_event_pusher.backend.http';

/** A configuration with one handler for each `when`. */
function withRules(rules: readonly string[]): string {
  return `${pool}${rules.map((when, index) => `[[${at}]]\nname = "h${index}"\nwhen = { ${when} }\n`).join('')}`;
}

const list = (length: number, glob: string): string =>
  JSON.stringify(Array.from({ length }, (_, index) => glob.replace('N', String(index))));

test('the first handler that exceeds the limit is reported, with a remedy', async () => {
  const within = [...Array.from({ length: 4 }, () => `text = ${list(100, '*N*')}`), `any = [{ not = { text = ${list(33, '*N?')} } }]`];
  expect(await load(withRules([...within, 'text = "*"']))).toBeDefined();
  expect(await mistakeLines(withRules([...within, 'text = "a?"', 'text = "*"']))).toEqual([
    `${at}[5].when: received globs of 3 steps, after 499 in the handlers before it, expected at most 500 steps for \`text\` in all handlers together: 1 per glob with *, 2 and 1 per 64 characters with ? (use fewer globs, * in place of ?, or values without wildcards, which do not count)`,
  ]);
});

test('JIDs without wildcards, and handlers that are not enabled, do not count', async () => {
  const many = list(21_000, 'userN@localhost');
  expect(await load(withRules([`from = ${many}`]))).toBeDefined();
  const disabled = `${withRules([`sender = ${list(21_000, 'N@*')}`])}enabled = false`;
  expect(await load(disabled)).toBeDefined();
});

test.each(['from', 'to', 'sender', 'room'])('the globs of %s count together with those of other JIDs', async (key) => {
  const lines = await mistakeLines(withRules([`room = ${list(19_999, '*N@x')}`, `${key} = ["a?@x"]`]));
  expect(lines).toEqual([expect.stringContaining(`${at}[1].when: received globs of 3 steps, after 19999`)]);
});
