import { expect, test } from 'vitest';
import { infoAsJson, infoText } from '../../src/cli/spool-text.ts';

const mark = { attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch: JSON.stringify(['m0', 'm1'.repeat(500)]), h: 7 };
const info = { path: 'spool.sqlite', bytes: 0, version: 2, isOld: false, holder: null, queues: [], oldest: {}, marks: [mark], paused: [] };

test('the mark of an archive takes one line for people, and is whole for programs', () => {
  const line =
    infoText(info)
      .split('\n')
      .find((each) => each.startsWith('mark')) ?? '';
  expect(line).toMatch(/bob@localhost \["m0","(m1)+.*… 7$/);
  expect(line.length).toBeLessThan(130);
  expect(infoAsJson(info)).toMatchObject({ marks: [mark] });
});
