import { expect, test } from 'vitest';
import { makeSelfSigned } from '../support/self-signed.ts';
import { load, mistakeLines } from './write-config.ts';

const identity = makeSelfSigned(['DNS:localhost']);
const files = { 'cert.pem': identity.cert, 'key.pem': identity.key, 'not-a-key.pem': 'hello\n' };
const tls = 'outgoing_pools.http.p.connection.tls';
const poolWith = (lines: string): string => `[outgoing_pools.http.p.connection]\nhost = "https://localhost"\n[${tls}]\n${lines}\n`;

test('files are read relative to the configuration', async () => {
  const config = await load(poolWith('cacertfile = "cert.pem"\ncertfile = "cert.pem"\nkeyfile = "key.pem"'), { files });
  expect(config.pools[0]?.tls).toMatchObject({ verify: true, ca: identity.cert, cert: identity.cert, key: identity.key });
});

test('verification is disabled only by verify_mode, with a notice', async () => {
  const config = await load(poolWith('verify_mode = "none"'));
  expect(config.pools[0]?.tls.verify).toBe(false);
  expect(config.notices.join('\n')).toContain(`${tls}.verify_mode: "none" accepts any certificate`);
});

test.each([
  ['versions = ["tlsv1.2"]', 'TLSv1.2', 'TLSv1.2'],
  ['versions = ["tlsv1.3"]', 'TLSv1.3', 'TLSv1.3'],
  ['versions = ["tlsv1.3", "tlsv1.2"]', 'TLSv1.2', 'TLSv1.3'],
  ['versions = ["tlsv1.1", "tlsv1.2"]', 'TLSv1.2', 'TLSv1.2'],
  ['', undefined, undefined],
])('%j gives the versions %s to %s', async (line, minVersion, maxVersion) => {
  expect((await load(poolWith(line))).pools[0]?.tls).toMatchObject({ minVersion, maxVersion });
});

test('the server name can be set', async () => {
  const config = await load(poolWith('server_name_indication.host = "backend.example"'));
  expect(config.pools[0]?.tls.serverName).toBe('backend.example');
});

test.each([
  ['verify_mode = "selfsigned_peer"', 'verify_mode: "selfsigned_peer" accepts a self-signed certificate only if cacertfile contains it'],
  ['crl_files = ["a.crl"]', 'crl_files: has no effect: revocation lists are not checked'],
  ['disconnect_on_failure = false', 'disconnect_on_failure: has no effect: an invalid certificate always ends the connection'],
  ['server_name_indication.enabled = false', 'server_name_indication.enabled: has no effect: the name is always sent and verified'],
  [
    'server_name_indication.protocol = "default"',
    'server_name_indication.protocol: has no effect: names are always matched as for HTTPS, including wildcards',
  ],
  ['versions = ["tlsv1", "tlsv1.2"]', 'versions: tlsv1 is never offered, only TLS 1.2 and newer'],
])('%s gives a notice about the difference from MongooseIM', async (line, notice) => {
  expect((await load(poolWith(line))).notices).toContain(`${tls}.${notice}`);
});

test('TLS options of an http host give a notice', async () => {
  const config = await load(poolWith('').replace('https:', 'http:'));
  expect(config.notices).toContain('outgoing_pools.http.p.connection.tls: has no effect: the host is http');
});

test.each([
  ['certfile = "cert.pem"', [`${tls}.keyfile: received nothing, expected the key of certfile`]],
  ['versions = ["tlsv1"]', [`${tls}.versions: received a list, expected tlsv1.2 or tlsv1.3 among the versions`]],
  [
    'versions = ["tlsv1.4"]',
    [`${tls}.versions[0]: received "tlsv1.4", expected one of tlsv1, tlsv1.1, tlsv1.2, tlsv1.3 (did you mean "tlsv1.1"?)`],
  ],
  [
    'cacertfile = "gone.pem"',
    [expect.stringMatching(/tls\.cacertfile: received "gone\.pem", expected a readable file: .*gone\.pem \(ENOENT\)$/)],
  ],
  [
    'certfile = "cert.pem"\nkeyfile = "not-a-key.pem"',
    [expect.stringMatching(/tls: received invalid files or ciphers, expected usable TLS options/)],
  ],
  ['ciphers = "NO-SUCH-CIPHER"', [expect.stringMatching(/tls: received invalid files or ciphers, expected usable TLS options/)]],
])('%j is a mistake', async (lines, mistakes) => {
  expect(await mistakeLines(poolWith(lines), { files })).toEqual(mistakes);
});

test('a key without its certificate is a mistake', async () => {
  expect(await mistakeLines(poolWith('keyfile = "key.pem"'), { files })).toEqual([
    `${tls}.certfile: received nothing, expected the certificate of keyfile`,
  ]);
});
