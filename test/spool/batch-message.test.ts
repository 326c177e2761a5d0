import { expect, test } from 'vitest';
import { BatchReader, encodeBatch } from '../../src/spool/sqlite/batch-message.ts';
import { type Command, rowOf } from '../../src/spool/sqlite/protocol.ts';
import { idOf, makeDelivery, makeFailedPacket, makeSettlement } from './build.ts';

const mark = { attachment: 'chat', host: 'localhost', node: 'n', epoch: 'e', h: 1 };
const target = { kind: 'http', method: 'POST', path: '/other', headers: [] } as const;
const row = (...given: Parameters<typeof makeDelivery>) => rowOf(makeDelivery(...given));

test('the thread receives the commands as they were sent, in their order', () => {
  const { claimNext } = makeSettlement(1, { kind: 'delivered' });
  const commands: readonly Command[] = [
    ['delivered', 2 ** 40, claimNext],
    ['append', [row()], [true], [], mark],
    ['marks'],
    ['delivered', 1, claimNext],
    ['pause', 'pool'],
    ['append', [row({ id: 'd2' }), row({ id: 'd3', host: 'b', lane: 'lane' })], [false, true], [], { ...mark, node: 'm', h: 2 ** 40 }],
    ['append', [row({ handler: 'log', pool: 'other', host: 'b', body: new Uint8Array([0, 255]) })], [true], [], undefined],
    ['append', [row({ target, lane: '', body: 'grüße 🐘' })], [true], [], undefined],
    ['append', [row({ id: '', target, body: new Uint8Array() }), row({ id: 'd5' })], [true, false], [], undefined],
    ['append', [], [], [], mark],
    ['append', [row({ sender: '', receiver: '0', body: '' })], [false], [makeFailedPacket()], mark],
    ['append-full', [row()], [true], [], { ...mark, host: '', h: 0 }, [[row({ id: 'd9' }), 'overflow', 'full']], idOf('d0')],
    ['append', [row({ pool: '', host: '', handler: '' })], [true], [], { ...mark, host: '', epoch: '' }],
  ];
  expect(new BatchReader(structuredClone(encodeBatch(commands))).read()).toEqual(commands);
  expect(new BatchReader(encodeBatch([])).read()).toEqual([]);
});
