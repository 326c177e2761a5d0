import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
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

test('a connection that breaks within a response is a service that does not answer', async () => {
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': '100' });
    answer.write('{"lines":', () => answer.destroy());
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new AdminClient(new URL(`http://127.0.0.1:${port}`), undefined);
  await expect(client.get('/tail', z.unknown())).rejects.toMatchObject({ code: 'ADMIN_UNREACHABLE' });
});
