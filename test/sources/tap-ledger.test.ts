import { expect, test } from 'vitest';
import { TapLedger } from '../../src/sources/component/tap-ledger.ts';

const mark = (h: number, epoch = 'e1', node = 'n1') => ({ attachment: 'chat', host: 'localhost', node, epoch, h });
const ledger = (...marks: ReturnType<typeof mark>[]) => new TapLedger({ attachment: 'chat', host: 'localhost', marks });

test('resumes from the start without a mark', () => {
  expect(ledger().resumeFrom()).toEqual({ epoch: '', h: 0 });
});

test('resumes after its last mark', () => {
  expect(ledger(mark(41)).resumeFrom()).toEqual({ epoch: 'e1', h: 41 });
});

test('recognises items on disk as duplicates, also after a restart', () => {
  const restarted = ledger(mark(5));
  expect(restarted.resumed({ epoch: 'e1', node: 'n1', fromSeq: 3 })).toEqual([]);
  expect([3, 4, 5, 6].map((seq) => restarted.missingBefore(seq) < 0)).toEqual([true, true, true, false]);
});

test('recognises received items that are not on disk yet', () => {
  const running = ledger();
  running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 1 });
  running.received(1);
  running.received(2);
  running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 1 });
  expect(running.missingBefore(2)).toBeLessThan(0);
  expect(running.missingBefore(3)).toBe(0);
  expect(running.received(3)).toEqual(mark(3));
});

test('counts a hole once, at the resume or at the next item', () => {
  const running = ledger(mark(5));
  expect(running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 9 })).toEqual([{ kind: 'dropped', items: 3 }]);
  expect(running.missingBefore(9)).toBe(0);
  running.received(9);
  expect(running.missingBefore(12)).toBe(2);
});

test('a new epoch means that a queue of unknown length was lost', () => {
  const running = ledger(mark(5));
  expect(running.resumed({ epoch: 'e2', node: 'n1', fromSeq: 1 })).toEqual([{ kind: 'queue-lost' }]);
  expect(running.knows('e1')).toBe(false);
  expect(running.missingBefore(1)).toBe(0);
  expect(running.received(1)).toEqual(mark(1, 'e2'));
});

test('a new node has lost nothing', () => {
  expect(ledger(mark(5)).resumed({ epoch: 'e9', node: 'n2', fromSeq: 1 })).toEqual([]);
});

test('items that another pusher has acknowledged meanwhile are not lost, but unrecorded', () => {
  const running = ledger(mark(5));
  expect(running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 9, taken: 8 })).toEqual([{ kind: 'unrecorded', items: 3 }]);
  expect(running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 11, taken: 8 })).toEqual([{ kind: 'dropped', items: 2 }]);
});

test('items that the queue dropped after another pusher had acknowledged some are lost', () => {
  expect(ledger(mark(5)).resumed({ epoch: 'e1', node: 'n1', fromSeq: 12, taken: 8 })).toEqual([
    { kind: 'unrecorded', items: 3 },
    { kind: 'dropped', items: 3 },
  ]);
});

test('a new node that has sent items before has unrecorded items', () => {
  const running = ledger(mark(5));
  expect(running.resumed({ epoch: 'e9', node: 'n2', fromSeq: 42 })).toEqual([{ kind: 'unrecorded', items: 41 }]);
  expect(running.missingBefore(42)).toBe(0);
  running.received(42);
  expect(running.resumed({ epoch: 'e9', node: 'n2', fromSeq: 43 })).toEqual([]); // reported once
});

test('acknowledges items on disk, and none of an older epoch', () => {
  const running = ledger();
  running.resumed({ epoch: 'e1', node: 'n1', fromSeq: 1 });
  running.received(1);
  expect(running.committed(mark(1))).toBe(true);
  expect(running.acknowledge()).toEqual({ epoch: 'e1', h: 1 });
  running.resumed({ epoch: 'e2', node: 'n1', fromSeq: 1 });
  expect(running.committed(mark(2))).toBe(false);
});

test('knows no epoch before a resume', () => {
  expect(ledger().knows('')).toBe(false);
});
