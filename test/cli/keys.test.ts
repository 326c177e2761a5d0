import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { readCapture, readHeader } from '../../src/cli/captured-request.ts';
import { verifySignature } from '../../src/cli/verify-signature.ts';
import { isSigningKey } from '../../src/config/sign.ts';
import { runCli } from '../support/run-cli.ts';

const newKey = (letter: string): string => `whsec_${letter.repeat(32)}`;
const [key, other] = [newKey('a'), newKey('b')];
const signedAt = 1_764_403_200;

/** Headers of a request that the library of Standard Webhooks has signed. */
function headersFor(body: string, by = key, at = signedAt): [string, string][] {
  return [
    ['webhook-id', 'msg_1'],
    ['webhook-timestamp', String(at)],
    ['webhook-signature', new Webhook(by).sign('msg_1', new Date(at * 1000), body)],
  ];
}

interface Given {
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly keys?: readonly string[];
  readonly ageSeconds?: number;
}

function verify({ headers = headersFor('a=1\n'), body = 'a=1\n', keys = [key], ageSeconds = 0 }: Given) {
  const now = (signedAt + ageSeconds) * 1000;
  return verifySignature({ headers, body: Buffer.from(body) }, { keys, toleranceMs: 300_000, now });
}

const without = (name: string) => headersFor('a=1\n').filter(([each]) => each !== name);
const instead = (name: string, value: string): [string, string][] => [...without(name), [name, value]];

describe('verification', () => {
  test('accepts what the library of Standard Webhooks has signed, and names the key', () => {
    expect(verify({})).toEqual({ kind: 'valid', key: 1, detail: 'signed with key 1 of 1; webhook-timestamp is 0 seconds old' });
    expect(verify({ keys: [other, key], ageSeconds: 300 })).toMatchObject({ kind: 'valid', key: 2 });
    const [, , [, signature]] = headersFor('a=1\n', other) as [unknown, unknown, [string, string]];
    expect(verify({ headers: instead('webhook-signature', `v1a,x ${signature}`), keys: [key, other] })).toMatchObject({ key: 2 });
  });

  test.each<readonly [string, Given, string, string]>([
    ['no id', { headers: without('webhook-id') }, 'header-missing', 'the request has no header webhook-id'],
    ['no signature', { headers: without('webhook-signature') }, 'header-missing', 'no header webhook-signature'],
    ['two timestamps', { headers: [...headersFor('a=1\n'), ['webhook-timestamp', '1']] }, 'header-repeated', '2 headers webhook-timestamp'],
    ['a date', { headers: instead('webhook-timestamp', '2026-11-29') }, 'header-invalid', '"2026-11-29", expected seconds since 1970'],
    ['another scheme', { headers: instead('webhook-signature', 'v1a,c2ln') }, 'header-invalid', 'expected at least one signature "v1,…"'],
    ['an old request', { ageSeconds: 301 }, 'timestamp-too-old', 'the signature is valid, but webhook-timestamp is 301 seconds old'],
    ['a fast clock', { ageSeconds: -301 }, 'timestamp-too-new', '301 seconds in the future, and 300 seconds are permitted'],
    ['another key', { keys: [other] }, 'no-signature-matches', 'no signature was made with the key for this id, timestamp and body'],
    ['other keys', { keys: [other, newKey('c')] }, 'no-signature-matches', 'with any of the 2 keys'],
    ['another body', { body: 'a=2\n' }, 'no-signature-matches', 'they were signed with another key, or changed since'],
    ['another id', { headers: instead('webhook-id', 'msg_2') }, 'no-signature-matches', 'no signature'],
    ['a lost line break', { body: 'a=1' }, 'body-changed', 'its last line break is missing'],
    ['an added line break', { headers: headersFor('a=1'), body: 'a=1\n' }, 'body-changed', 'a line break was added at its end'],
    ['other line breaks', { headers: headersFor('a\nb\n'), body: 'a\r\nb\r\n' }, 'body-changed', 'its line breaks were LF and are CR LF'],
    ['a byte order mark', { body: '\ufeffa=1\n' }, 'body-changed', 'a byte order mark was added'],
    ['formatted JSON', { headers: headersFor('{"a":[1]}'), body: '{ "a": [1] }' }, 'body-changed', 'parsed as JSON and written'],
    [
      'a part',
      { headers: [...headersFor('a=1&b=2'), ['content-length', '7']], body: 'a=1' },
      'body-changed',
      '3 bytes, content-length is 7',
    ],
    ['deep JSON', { body: '['.repeat(200_000) + ']'.repeat(200_000) }, 'no-signature-matches', 'no signature'],
  ])('explains %s', (_what, given, kind, detail) => {
    const finding = verify(given);
    expect(finding.kind).toBe(kind);
    expect(finding.detail).toContain(detail);
  });
});

describe('a captured request', () => {
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

  test.each(['\n', '\r\n'])('is headers, an empty line and the body byte for byte, with %j', (end) => {
    const body = bytes('\r\na\n\0\xff\r\n');
    const head = ['POST /n HTTP/1.1', 'Webhook-Id:  msg_1 ', 'x-empty:', '', ''].join(end);
    const read = readCapture(Buffer.concat([bytes(head), body]));
    expect(read.headers).toEqual([
      ['webhook-id', 'msg_1'],
      ['x-empty', ''],
    ]);
    expect(read.body).toEqual(body);
  });

  test('has no body without an empty line', () => {
    expect(readCapture(bytes('webhook-id: 1\n'))).toEqual({ headers: [['webhook-id', '1']], body: undefined });
    expect(readCapture(bytes(''))).toEqual({ headers: [], body: undefined });
  });

  test('is refused with the line that is no header, and with too many headers', () => {
    expect(() => readCapture(bytes('a: 1\n> b: 2\n\n'))).toThrow('line 2 of the request: received "> b: 2", expected a header');
    expect(() => readCapture(bytes('a: 1\n'.repeat(1001)))).toThrow('more than 1000 headers');
    expect(() => readHeader('v1,abc', '--header')).toThrow('--header: received "v1,abc", expected a header');
  });
});

describe('on the command line', () => {
  async function inFolder(files: Readonly<Record<string, string>>) {
    const folder = await mkdtemp(join(tmpdir(), 'keys-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return { path: (name: string) => join(folder, name), [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
  }
  const now = Math.floor(Date.now() / 1000);
  const head = headersFor('Grüße\n', key, now).map((header) => header.join(': '));

  test('a generated key verifies as one of the configuration, and each is new', async () => {
    const made = await Promise.all([runCli(['keys', 'generate']), runCli(['keys', 'generate', '--bytes', '64', '--json'])]);
    const [plain, json] = [made[0].stdout.trimEnd(), JSON.parse(made[1].stdout)];
    expect([plain, json.key].map(isSigningKey)).toEqual([true, true]);
    expect([Buffer.from(plain.slice(6), 'base64').length, Buffer.from(json.key.slice(6), 'base64').length]).toEqual([32, 64]);
    expect(json.bytes).toBe(64);
    const few = await runCli(['keys', 'generate', '--bytes', '23']);
    expect([few.code, few.stderr.split('\n')[0]]).toEqual([
      2,
      'event-pusher: --bytes: received "23", expected a whole number from 24 to 64',
    ]);
  });

  test('a captured request is verified with a key of a file, another one with a key of the environment', async () => {
    await using folder = await inFolder({ key: `${other}\n${key}\n`, request: `${head.join('\r\n')}\r\n\r\nGrüße\n`, body: 'Grüße' });
    const fromFile = await runCli(['keys', 'verify', '--key-file', folder.path('key'), '--request', folder.path('request'), '--json']);
    expect(fromFile.code).toBe(0);
    expect(JSON.parse(fromFile.stdout)).toMatchObject({ valid: true, reason: '', key: 2 });

    const flags = head.flatMap((line) => ['--header', line]);
    const fromEnv = await runCli(['keys', 'verify', '--key-env', 'KEY', '--body', folder.path('body'), ...flags], { KEY: key });
    expect(fromEnv).toMatchObject({ code: 1, stdout: 'Not valid: the body was changed: its last line break is missing\n' });
  });

  test('a key on the command line or an unusable one is refused, and not printed', async () => {
    await using folder = await inFolder({ key: 'whsec_c2VjcmV0LWtleQ' });
    const results = await Promise.all([
      runCli(['keys', 'verify', '--key-file', key]),
      runCli(['keys', 'verify', '--key-file', folder.path('key')]),
      runCli(['keys', 'verify', '--key-env', 'KEY'], { KEY: '' }),
      runCli(['keys', 'verify']),
    ]);
    expect(results.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    const said = results.map(({ stderr }) => stderr.split('\n')[0]);
    expect(said[0]).toContain('this is the key itself: give the name of a file or variable');
    expect(said[1]).toContain('line 1 of the keys is not a signing key');
    expect(said[2]).toContain('the environment variable KEY is not set or is empty');
    expect(said[3]).toContain('either --key-file PATH or --key-env NAME');
    expect(JSON.stringify(results)).not.toMatch(/whsec_(a|c2)/);
  });
});
