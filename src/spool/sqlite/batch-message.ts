/**
 * The commands of a batch as they travel to the thread. Cloning costs more per array and object than per value, so the two most
 * frequent commands become plain values in one flat array. A text that equals that of the row or mark before travels as 0.
 */
import type { Mark } from '../../model/packet.ts';
import type { BatchMessage, BatchValue, Command, CommandOf, Row } from './protocol.ts';

/** First value of each command. */
const [other, delivered, append, appendWithMark] = [0, 1, 2, 3] as const;

type SharedTexts = readonly [host: string, handler: string, pool: string, target: string];

const noTexts: SharedTexts = ['', '', '', ''];
const noMark: Mark = { attachment: '', host: '', node: '', epoch: '', h: 0 };

export function encodeBatch(commands: readonly Command[]): BatchMessage {
  const writer = new BatchWriter();
  for (const command of commands) writer.add(command);
  return { values: writer.values, others: writer.others };
}

class BatchWriter {
  readonly values: BatchValue[] = [];
  readonly others: Command[] = [];
  #texts = noTexts;
  #mark = noMark;

  add(command: Command): void {
    if (command[0] === 'delivered') {
      const [, seq, claimNext] = command;
      this.values.push(delivered, seq, claimNext);
    } else if (command[0] === 'append' && command[3].length === 0) this.#addAppend(command);
    else {
      this.values.push(other);
      this.others.push(command);
    }
  }

  #addAppend([, rows, claim, , mark]: CommandOf<'append'>): void {
    this.values.push(mark === undefined ? append : appendWithMark, rows.length);
    if (mark !== undefined) this.#addMark(mark);
    for (const [index, row] of rows.entries()) this.#addRow(row, claim[index] === true);
  }

  #addMark(mark: Mark): void {
    const before = this.#mark;
    this.values.push(zeroIf(mark.attachment, before.attachment), zeroIf(mark.host, before.host));
    this.values.push(zeroIf(mark.node, before.node), zeroIf(mark.epoch, before.epoch), mark.h);
    this.#mark = mark;
  }

  #addRow([id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body, facts]: Row, claim: boolean): void {
    const [hostBefore, handlerBefore, poolBefore, targetBefore] = this.#texts;
    this.values.push(claim, id, packetId, zeroIf(host, hostBefore), zeroIf(handler, handlerBefore), zeroIf(pool, poolBefore));
    this.values.push(zeroIf(target, targetBefore), lane, sender, receiver, seenAt, createdAt, body, facts);
    this.#texts = [host, handler, pool, target];
  }
}

function zeroIf(text: string, before: string): string | 0 {
  return text === before ? 0 : text;
}

export class BatchReader {
  readonly #values: readonly BatchValue[];
  readonly #others: Command[];
  #at = 0;
  #texts = noTexts;
  #mark = noMark;

  constructor({ values, others }: BatchMessage) {
    this.#values = values;
    this.#others = [...others].reverse();
  }

  read(): readonly Command[] {
    const commands: Command[] = [];
    while (this.#at < this.#values.length) commands.push(this.#command());
    return commands;
  }

  #command(): Command {
    const kind = this.#next();
    if (kind === delivered) return ['delivered', this.#next<number>(), this.#next<CommandOf<'delivered'>[2]>()];
    const queued = kind === other ? this.#others.pop() : undefined;
    if (queued !== undefined) return queued;
    const count = this.#next<number>();
    const mark = kind === appendWithMark ? this.#readMark() : undefined;
    const rows: Row[] = [];
    const claim: boolean[] = [];
    while (rows.length < count) {
      claim.push(this.#next());
      rows.push(this.#row());
    }
    return ['append', rows, claim, [], mark];
  }

  #readMark(): Mark {
    const before = this.#mark;
    const [attachment, host] = [this.#text(before.attachment), this.#text(before.host)];
    this.#mark = { attachment, host, node: this.#text(before.node), epoch: this.#text(before.epoch), h: this.#next() };
    return this.#mark;
  }

  #row(): Row {
    const [host, handler, pool, target] = this.#texts;
    const [id, packetId]: [Row[0], Row[1]] = [this.#next(), this.#next()];
    const texts: SharedTexts = [this.#text(host), this.#text(handler), this.#text(pool), this.#text(target)];
    this.#texts = texts;
    const [lane, sender, receiver]: [Row[5], string, string] = [this.#next(), this.#next(), this.#next()];
    const [seenAt, createdAt]: [number, number] = [this.#next(), this.#next()];
    const [body, facts]: [Row[11], Row[12]] = [this.#next(), this.#next()];
    return [id, packetId, texts[0], texts[1], texts[2], lane, sender, receiver, seenAt, createdAt, texts[3], body, facts];
  }

  /** A text that may be that of the row or mark before. */
  #text(before: string): string {
    const text = this.#next<string | 0>();
    return text === 0 ? before : text;
  }

  #next<T extends BatchValue>(): T {
    const value = this.#values[this.#at];
    this.#at += 1;
    return value as T; // the writer wrote the values in this order
  }
}
