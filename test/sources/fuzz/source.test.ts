import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../../src/kit/clock.ts';
import { chat, startSource } from '../../support/component-source.ts';
import { eventually } from '../../support/eventually.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';
import { cutAt, cuts, mutations } from './mutations.ts';
import { tappedItems } from './streams.ts';

/** Shortens all waits except the deadlines of 10 s. */
const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };

test(
  'after any input from a chat server the source reconnects and receives the next stanzas',
  async () => {
    await using chatServer = await startSource({ timers: fast, attachment: { maxStanzaBytes: 8192 } });
    const { server, handed, states, events } = chatServer;
    await chatServer.attached();
    let read = 0;
    events.on('stream.read', ({ bytes }) => {
      read += bytes;
    });
    let life = 1;

    const survives = fc.asyncProperty(mutations, cuts, async (change, parts) => {
      const bytes = change(Buffer.from(tappedItems({ host: 'localhost', domain: 'pusher.localhost', epoch: `e${life}` })));
      states.length = 0;
      read = 0;
      for (const part of cutAt(bytes, parts)) server.sendRaw(part);
      await eventually(() => read >= bytes.length || states.some(({ state }) => state === 'offline' || state === 'refused'));

      life += 1;
      server.loseQueue(`e${life}`);
      server.disconnect();
      server.push(chat(`after ${life}`), { dir: 'in' });
      await eventually(() => handed.at(-1)?.packet?.stanza.text('body') === `after ${life}` && server.acked === 1);
      handed.length = 0;
    });
    await fc.assert(survives, effort(40));
    expect(life).toBeGreaterThan(1);
  },
  fuzzTimeoutMs,
);
