import { expect, test } from 'vitest';
import { AdminClient } from '../../src/cli/admin-client.ts';

test.each(['', 'two words', 'line\n', 'schlüssel', '\u001b[2J'])(
  'the token %j, which a request cannot carry, is refused without being printed',
  (token) => {
    expect(() => new AdminClient(new URL('http://127.0.0.1:1'), token)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(/^the token has spaces[ -~]*$/) }),
    );
  },
);

test('a token of every character that a header can carry is accepted', () => {
  const token = Array.from({ length: 94 }, (_, at) => String.fromCharCode(0x21 + at)).join('');
  expect(new AdminClient(new URL('http://127.0.0.1:1'), token)).toBeInstanceOf(AdminClient);
});
