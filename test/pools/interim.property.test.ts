/**
 * Unsolicited interim responses (1xx) before the final one, in any number and any pieces: the request is answered by the final
 * response and sent once, and its connection continues (RFC 9110 §15.2).
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { effort } from '../sources/fuzz/effort.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { bytes, head } from '../support/misbehaviour.ts';
import { type ServedThread, serveHere } from '../support/pool-thread.ts';
import { type ScriptedBackend, startScriptedBackend } from '../support/scripted-backend.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';

const final = `${head('HTTP/1.1 201 Created', 'content-length: 2')}ok`;
const proceed = head('HTTP/1.1 100 Continue');
const hints = head('HTTP/1.1 103 Early Hints', 'link: </a>');

const header = fc.constantFrom('link: </style.css>', 'x: HTTP/1.1 100 Continue', 'content-length: 5', 'x:', 'date: now');
const interim = fc
  .tuple(fc.constantFrom(100, 100, 102, 103, 110, 199), fc.constantFrom(' Continue', ' ', ' 100'), fc.uniqueArray(header, { maxLength: 3 }))
  .map(([code, reason, headers]) => head(`HTTP/1.1 ${code}${reason}`, ...headers));
const answers = fc
  .tuple(fc.array(interim, { maxLength: 5 }), fc.array(fc.nat(400), { maxLength: 6 }))
  .map(([heads, cuts]) => cut(heads.join('') + final, cuts));

/** Split into pieces, each sent separately. */
function cut(text: string, cuts: readonly number[]): string[] {
  const places = [0, ...new Set(cuts.filter((at) => at > 0 && at < text.length)), text.length].sort((one, other) => one - other);
  return places.slice(1).map((end, index) => text.slice(places[index], end));
}

const ways = ['undici', 'got', 'a session over undici', 'a session over got'] as const;

describe.each(ways)('through %s', (way) => {
  let backend: ScriptedBackend;
  let thread: ServedThread;
  let key = 0;
  const deliver = () => {
    key += 1;
    return thread.deliver(way.startsWith('a session') ? makeMessageJob({ key }) : makeJob({ key }));
  };

  beforeAll(async () => {
    backend = await startScriptedBackend({ remembers: false });
    const client = way.endsWith('got') ? 'got' : 'undici';
    thread = way.startsWith('a session')
      ? serveSessions({}, { client, origin: backend.origin })
      : serveHere(makeThreadSettings({ client, origin: backend.origin, workers: 1 }));
    await deliver();
  });
  afterAll(async () => {
    await thread.stop();
    await backend.stop();
  });

  async function meets(pieces: readonly string[]): Promise<void> {
    backend.obey(() => bytes(pieces, { gapMs: 1 }));
    const before = [backend.sightings.length, backend.counts.connections] as const;
    expect(await deliver()).toMatchObject({ kind: 'answered', status: 201, excerpt: 'ok', truncated: false });
    expect([backend.sightings.length - before[0], backend.counts.connections - before[1]]).toEqual([1, 0]);
  }

  test('a 100 (Continue) is skipped for any split of its bytes', async () => {
    const text = proceed + proceed + hints + final;
    await meets([text]);
    for (let at = 1; at < text.length; at += 1) await meets([text.slice(0, at), text.slice(at)]);
    await meets(text.split(''));
  });

  test('all interim responses are skipped', async () => {
    await fc.assert(fc.asyncProperty(answers, meets), effort(60));
  });
});
