import { execFileSync, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { HTTP_INTERNAL_CONT, type InternalCode, type Session } from '../../pools/callbacks.ts';
import { Signer } from '../../pools/sign.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import { readPage } from '../support/guide.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import { startTarget } from '../support/target.ts';

const newKey = (bytes = 32): string => `whsec_${randomBytes(bytes).toString('base64')}`;
const [first, second, own] = [newKey(24), newKey(64), newKey()];
const signing = { ofPool: [first, second], ofHandlers: [['vip', [own]]] } as const;

/** The code of the documentation. */
interface Receiver {
  isSigned(headers: Readonly<Record<string, string>>, body: Uint8Array, key: string): boolean;
}

/** Verifies a received request as a receiver does, over the bytes that arrived. Throws if no signature matches. */
function verify(request: TargetRequest | undefined, key: string): void {
  const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
  const headers = Object.fromEntries(names.map((name) => [name, request?.header(name) ?? '']));
  new Webhook(key).verify(request?.body.toString() ?? '', headers, { jsonParse: false });
}

/** Reads cases from standard input and writes the results. */
const goProgram = `package main

import (
	"encoding/json"
	"net/http"
	"os"

	"receiver/webhook"
)

func main() {
	var cases []struct {
		Headers map[string]string
		Body    []byte
		Key     string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	results := []bool{}
	for _, each := range cases {
		header := http.Header{}
		for name, value := range each.Headers {
			header.Set(name, value)
		}
		results = append(results, webhook.IsSigned(header, each.Body, each.Key))
	}
	json.NewEncoder(os.Stdout).Encode(results)
}
`;

describe('the receivers of the documentation accept what is signed, and nothing else:', () => {
  const page = readPage('docs/guides/receiver.md');
  const body = Buffer.from('message=Grüße 🎉');
  const now = Math.floor(Date.now() / 1000);
  const headersAt = (timestamp: number) => {
    const flat = new Signer(signing).sign({ ...makeJob(), body }, ['webhook-timestamp', String(timestamp)]);
    return { 'webhook-id': makeJob().id, 'webhook-timestamp': String(timestamp), 'webhook-signature': flat.at(-1) ?? '' };
  };
  const cases: readonly (readonly [headers: Readonly<Record<string, string>>, body: Buffer, key: string])[] = [
    [headersAt(now), body, first],
    [headersAt(now), body, second],
    [headersAt(now), body, own],
    [headersAt(now), Buffer.from('message=other'), first],
    [{ ...headersAt(now), 'webhook-id': 'other' }, body, first],
    [headersAt(now - 301), body, first],
    [headersAt(now + 330), body, first],
    [{ 'webhook-signature': headersAt(now)['webhook-signature'] }, body, first],
    [{ ...headersAt(now), 'webhook-signature': 'v1,ä v1, v2' }, body, first],
    [{}, body, first],
  ];
  const expected = cases.map((_case, index) => index < 2);

  test('Node.js', async () => {
    const code = page.block('js', 'isSigned');
    const { isSigned }: Receiver = await import(`data:text/javascript,${encodeURIComponent(code)}`);
    expect(cases.map(([headers, received, key]) => isSigned(headers, received, key))).toEqual(expected);
  });

  test('Python', () => {
    const given = JSON.stringify(cases.map(([headers, received, key]) => [headers, received.toString('hex'), key]));
    const run = 'import json, sys\nprint(json.dumps([is_signed(h, bytes.fromhex(b), k) for h, b, k in json.load(sys.stdin)]))';
    const output = execFileSync('python3', ['-c', `${page.block('python', 'is_signed')}\n${run}`], { input: given, encoding: 'utf8' });
    expect(JSON.parse(output)).toEqual(expected);
  });

  test.skipIf(spawnSync('go', ['version']).status !== 0)(
    'Go',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'receiver-'));
      try {
        const files = { 'go.mod': 'module receiver\n', 'webhook/webhook.go': page.block('go', 'IsSigned'), 'main.go': goProgram };
        await mkdir(join(folder, 'webhook'));
        for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
        const given = JSON.stringify(cases.map(([headers, received, key]) => ({ headers, body: received.toString('base64'), key })));
        const env = { ...process.env, GOCACHE: join(folder, 'cache'), GOPATH: join(folder, 'path'), GOFLAGS: '-mod=mod', GOPROXY: 'off' };
        const output = execFileSync('go', ['run', '.'], { cwd: folder, env, input: given, encoding: 'utf8' });
        expect(JSON.parse(output)).toEqual(expected);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    120_000, // the first build compiles the standard library
  );
});

const at = (timestamp: string): string[] => ['webhook-timestamp', timestamp];

test('signs the published vector of Standard Webhooks', () => {
  const signer = new Signer({ ofPool: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], ofHandlers: [] });
  const job = makeJob({ id: 'msg_p5jXN8AQM9LWM0D4loKWxJek' as DeliveryId, body: '{"test": 2432232314}' });
  const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
  expect(signer.sign(job, at('1614265330'))).toEqual([...at('1614265330'), 'webhook-signature', signature]);
});

test('a handler with keys of its own signs with these only, any other handler with those of the pool', () => {
  const signer = new Signer(signing);
  const signaturesOf = (name = ''): readonly string[] => signer.sign(makeJob({ signer: name }), at('1'))[3]?.split(' ') ?? [];
  expect(signaturesOf()).toHaveLength(2);
  expect(signaturesOf('constructor')).toEqual(signaturesOf());
  expect(signaturesOf('vip')).toHaveLength(1);
  expect(signaturesOf()).not.toContain(signaturesOf('vip')[0]);
});

test('without keys for a handler, its own signature is left as it is', () => {
  const headers = ['Webhook-Signature', 'v1,made-by-the-module'];
  expect(new Signer({ ofPool: [], ofHandlers: [['vip', [own]]] }).sign(makeJob(), headers)).toEqual(headers);
});

describe.each(['undici', 'got'] as const)('through %s', (client) => {
  test.each([
    ['a form', 'POST', 'author=alice&server=localhost&receiver=bob&message=Hi'],
    ['text beyond ASCII', 'POST', 'message=Grüße 🎉'],
    ['text with a lone surrogate', 'PUT', 'a\ud800b'],
    ['no body', 'GET', ''],
    ['an empty body', 'POST', ''],
    ['a body of DELETE', 'DELETE', 'x'],
  ])('every key signs %s, as it arrives', async (_what, method, body) => {
    await using target = await startTarget();
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, signing }));
    await thread.deliver(makeJob({ method, body, headers: [['Webhook-Signature', 'v1,of-a-callback']] }));

    const [request] = target.requests;
    for (const key of [first, second]) verify(request, key);
    expect(() => verify(request, own)).toThrow('No matching signature');
    expect(request?.headers.filter(([name]) => name.toLowerCase() === 'webhook-signature')).toHaveLength(1);
  });

  test('bytes are signed as they are', async () => {
    await using target = await startTarget();
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, signing }));
    await thread.deliver(makeJob({ body: new Uint8Array([9, 0, 255, 128, 10, 9]).subarray(1, 5), signer: 'vip' }));

    const [request] = target.requests;
    const mac = createHmac('sha256', Buffer.from(own.slice(6), 'base64'));
    mac.update(`${request?.header('webhook-id')}.${request?.header('webhook-timestamp')}.`).update(request?.body ?? '');
    expect(request?.body).toEqual(Buffer.from([0, 255, 128, 10]));
    expect(request?.header('webhook-signature')).toBe(`v1,${mac.digest('base64')}`);
  });

  test('the request that a callback at delivery has built is signed', async () => {
    await using target = await startTarget();
    const buildRequest = (session: Session): InternalCode => {
      session.request.method = 'PUT';
      session.request.body = '{"built":true}';
      session.request.headers['Webhook-Signature'] = 'v1,of-the-module';
      return HTTP_INTERNAL_CONT;
    };
    await using thread = serveSessions({ buildRequest }, { client, origin: target.origin, settings: { signing } });
    await thread.judge(makeMessageJob({ signer: 'vip' }));

    expect(target.requests[0]).toMatchObject({ method: 'PUT', body: Buffer.from('{"built":true}') });
    verify(target.requests[0], own);
    expect(target.requests[0]?.header('webhook-signature')).toMatch(/^v1,[\w+/]{43}=$/);
  });
});
