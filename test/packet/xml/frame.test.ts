import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ServiceError } from '../../../src/kit/errors.ts';
import { ElementBuffer } from '../../../src/packet/xml/element-buffer.ts';
import { Framer, type FramerOptions } from '../../../src/packet/xml/frame.ts';
import { readCaptures } from '../../support/captures.ts';
import { plain } from './plain.ts';
import { byteByByte, cut, readStream, type StreamAsRead } from './read-stream.ts';
import { type PlainElement, readWholeDocument } from './whole-document.ts';

const captures = [...readCaptures()];
const header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";

describe.each(captures)('%s', (_file, bytes) => {
  const whole = readWholeDocument(bytes.toString());
  const expected = whole.children.filter((child): child is PlainElement => typeof child !== 'string');

  test('is framed and parsed as saxes reads the whole document', () => {
    const { stanzas, closed } = readStream([bytes]);
    expect(stanzas.map(plain)).toEqual(expected);
    expect(closed).toBe(true);
  });

  test('is the same when it is split in two at any byte', () => {
    for (let at = 0; at <= bytes.length; at += 1) expect(readStream(cut(bytes, [at])).stanzas.map(plain)).toEqual(expected);
  });

  test('is the same when it arrives byte by byte', () => {
    expect(readStream(byteByByte(bytes)).stanzas.map(plain)).toEqual(expected);
  });

  test('is the same when it is split at any positions', () => {
    const places = fc.uniqueArray(fc.nat(bytes.length), { maxLength: 20 }).map((some) => some.sort((a, b) => a - b));
    fc.assert(
      fc.property(places, (some) => {
        expect(readStream(cut(bytes, some)).stanzas.map(plain)).toEqual(expected);
      }),
    );
  });

  test('with changed bytes yields the result of saxes, or a ServiceError', () => {
    fc.assert(
      fc.property(changes(bytes.length), fc.nat(bytes.length), (change, at) => {
        const changed = applied(bytes, change);
        const read = readOrRefuse(cut(changed, [Math.min(at, changed.length)]));
        if (read !== undefined) expect(read.stanzas.map(plain)).toEqual(elementsOf(changed) ?? elementsOf(withoutTheRest(read)));
      }),
      { numRuns: 1000 },
    );
  });
});

interface Change {
  readonly kind: 'delete' | 'flip' | 'insert';
  readonly at: number;
  readonly byte: number;
}

function changes(length: number): fc.Arbitrary<Change[]> {
  const markup = fc.constantFrom(...Buffer.from('<>/&;"\'=![]-? \n:#x0'));
  const change: fc.Arbitrary<Change> = fc.record({
    kind: fc.constantFrom('delete', 'flip', 'insert'),
    at: fc.nat(length - 1),
    byte: fc.oneof(markup, fc.nat(255)),
  });
  return fc.array(change, { minLength: 1, maxLength: 3 });
}

function applied(bytes: Buffer, all: readonly Change[]): Buffer {
  const changed = [...bytes];
  for (const { kind, at, byte } of all) changed.splice(at, kind === 'insert' ? 0 : 1, ...(kind === 'delete' ? [] : [byte]));
  return Buffer.from(changed);
}

const refusals: ReadonlySet<string> = new Set(['STANZA_PREFIX_INVALID', 'STANZA_TOO_LARGE', 'STREAM_INVALID']);

/** Undefined when the stream was refused or did not end. Any error other than our own fails the test. */
function readOrRefuse(reads: Buffer[]): StreamAsRead | undefined {
  try {
    const read = readStream(reads);
    return read.closed ? read : undefined;
  } catch (thrown) {
    if (thrown instanceof ServiceError && refusals.has(thrown.code)) return undefined;
    throw thrown;
  }
}

/** The stream without the input between its stanzas, which the framer skips unread: errors may pass only there. */
function withoutTheRest({ header: opening, frames: stanzas }: StreamAsRead): Buffer {
  const name = /^<([^\s/>]+)/.exec(opening)?.[1] ?? '';
  return Buffer.concat([Buffer.from(opening), ...stanzas, Buffer.from(`</${name}>`)]);
}

/** The result of saxes; undefined if it finds an error. */
function elementsOf(bytes: Buffer): PlainElement[] | undefined {
  try {
    const { children } = readWholeDocument(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return children.filter((child): child is PlainElement => typeof child !== 'string');
  } catch {
    return undefined; // the reason does not matter: only the result is compared
  }
}

function frames(reads: readonly (Buffer | string)[], options: Partial<FramerOptions> = {}): Buffer[] {
  const stanzas: Buffer[] = [];
  const framer = new Framer({
    maxStanzaBytes: 1000,
    onOpen: () => undefined,
    onStanza: (bytes) => stanzas.push(bytes),
    onClose: () => undefined,
    ...options,
  });
  for (const read of reads) framer.push(typeof read === 'string' ? Buffer.from(read) : read);
  return stanzas;
}

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

describe('refuses input that is not a stream of stanzas', () => {
  test.each([
    ['text before the header', 'HTTP/1.1 400 Bad Request\r\n'],
    ['text between stanzas', `${header}<a/>x<b/>`],
    ['a CDATA section between stanzas', `${header}<![CDATA[x]]>`],
    ['an entity between stanzas', `${header}&amp;`],
    ['a DOCTYPE before the header', '<!DOCTYPE stream>'],
    ['a DOCTYPE in a stanza', `${header}<a><!ENTITY x "y"></a>`],
    ['a closing tag before the header', '</stream:stream>'],
    ['the closing tag of another element', `${header}</stream>`],
    ['a stanza after the end', `${header}</stream:stream><a/>`],
    ['text after the end', `${header}</stream:stream>x`],
    ['a tag without a name', `${header}< a/>`],
    ['a header that is not UTF-8', Buffer.from("<stream x='\xff'>", 'latin1')],
    ['a byte order mark', `\ufeff${header}`],
  ])('%s', (_what, read) => {
    expect(thrownBy(() => frames([read]))).toMatchObject({ code: 'STREAM_INVALID' });
    expect(thrownBy(() => frames(byteByByte(Buffer.from(read))))).toMatchObject({ code: 'STREAM_INVALID' });
  });
});

test('refuses all further input after an error', () => {
  const framer = new Framer({ maxStanzaBytes: 10, onOpen: () => undefined, onStanza: () => undefined, onClose: () => undefined });
  const first = thrownBy(() => framer.push(Buffer.from('no')));
  expect(thrownBy(() => framer.push(Buffer.from('<a/>')))).toBe(first);
});

test('accepts a stanza of exactly the limit in any chunks', () => {
  const stanza = `<a>${'x'.repeat(93)}</a>`;
  const all = Buffer.from(header + stanza);
  const limit = { maxStanzaBytes: Buffer.byteLength(stanza) };
  expect(frames([all], limit)).toEqual([Buffer.from(stanza)]);
  expect(frames(byteByByte(all), limit)).toEqual([Buffer.from(stanza)]);
});

test('refuses a stanza above the limit before its end and names the option', () => {
  const begun = Buffer.from(`${header}<a>${'x'.repeat(98)}`);
  for (const reads of [[begun], byteByByte(begun)]) {
    const thrown = thrownBy(() => frames(reads, { maxStanzaBytes: 100 }));
    expect(thrown).toMatchObject({ code: 'STANZA_TOO_LARGE', message: expect.stringContaining('max_stanza_bytes (100)') });
  }
});

test('refuses a stanza above the limit in a single chunk', () => {
  const whole = Buffer.from(`${header}<a>${'x'.repeat(98)}</a>`);
  for (const reads of [[whole], cut(whole, [whole.length - 1])]) {
    expect(thrownBy(() => frames(reads, { maxStanzaBytes: 100 }))).toMatchObject({ code: 'STANZA_TOO_LARGE' });
  }
});

describe('a stanza above the limit is skipped to its end if the reader accepts its first bytes', () => {
  const large = `<b c='1'>${'x'.repeat(300)}<d>&apos;</d><![CDATA[</b>]]></b>`;
  const stream = Buffer.from(`${header}<a/>${large}<e/>${large}<f/></stream:stream>`);
  const read = (reads: readonly Buffer[], maxStanzaBytes = 100) => {
    const seen: string[] = [];
    frames(reads, {
      maxStanzaBytes,
      onStanza: (bytes) => seen.push(bytes.toString()),
      onTooLarge: (head) => seen.push(`too large: ${head}`),
      onClose: () => seen.push('closed'),
    });
    return seen;
  };
  const expected = ['<a/>', `too large: ${large.slice(0, 100)}`, '<e/>', `too large: ${large.slice(0, 100)}`, '<f/>', 'closed'];

  test('in one read', () => expect(read([stream])).toEqual(expected));
  test('byte by byte', () => expect(read(byteByByte(stream))).toEqual(expected));
  test('in two reads, split anywhere', () => {
    for (let at = 1; at < stream.length; at += 1) expect(read(cut(stream, [at]))).toEqual(expected);
  });

  test('but only the first 16 KiB of an endless one are passed on, and nothing is kept in memory', () => {
    const heads: number[] = [];
    const options = { maxStanzaBytes: 100_000, onTooLarge: (head: Buffer) => heads.push(head.length) };
    const framer = new Framer({ ...options, onOpen: () => undefined, onStanza: () => undefined, onClose: () => undefined });
    framer.push(Buffer.from(`${header}<a>`));
    const part = Buffer.alloc(60_000, 'x');
    for (let nth = 0; nth < 100; nth += 1) framer.push(part);
    expect([heads, framer.skipping]).toEqual([[16_384], true]);
    framer.push(Buffer.from('</a>'));
    expect(framer.skipping).toBe(false);

    const held = new ElementBuffer(options.maxStanzaBytes, options.onTooLarge);
    held.begin(0);
    held.allowSkipping();
    const lengths = [1, 2, 3].map(() => {
      held.carry(part);
      return held.length;
    });
    expect(lengths).toEqual([60_000, 0, 0]);
  });

  test('but neither the header nor the end of the stream is skipped', () => {
    const onTooLarge = () => undefined;
    const long = ' '.repeat(200);
    expect(thrownBy(() => frames([`<s a='${long}'>`], { maxStanzaBytes: 100, onTooLarge }))).toMatchObject({ code: 'STANZA_TOO_LARGE' });
    const end = `${header}</stream:stream${long}>`;
    expect(thrownBy(() => frames([end], { maxStanzaBytes: 100, onTooLarge }))).toMatchObject({ code: 'STANZA_TOO_LARGE' });
  });
});

test('reassembles a large stanza from single bytes', () => {
  const stanza = Buffer.from(`<a>${Array.from({ length: 20_000 }, (_, index) => index).join('ü')}</a>`);
  const [whole] = frames([header, ...byteByByte(stanza)], { maxStanzaBytes: stanza.length });
  expect(whole?.equals(stanza)).toBe(true);
});

test('refuses a header above the limit', () => {
  expect(thrownBy(() => frames([`<s a='${'x'.repeat(200)}'`], { maxStanzaBytes: 100 }))).toMatchObject({ code: 'STANZA_TOO_LARGE' });
});

test('white space and comments of any length between stanzas are ignored', () => {
  const filler = `${' \r\n\t'.repeat(500)}<!-- ${'x'.repeat(2000)} --><?x ${'y'.repeat(2000)}?>`;
  for (const reads of [[header + filler, '<a/>'], byteByByte(Buffer.from(`${header + filler}<a/>`))]) {
    expect(frames(reads, { maxStanzaBytes: 100 })).toEqual([Buffer.from('<a/>')]);
  }
});

test('a stanza that arrives complete in one read is passed on as a view of it', () => {
  const read = Buffer.from(`${header}<a>${'x'.repeat(Buffer.poolSize)}</a><b/>`); // too long for Node's pool of small buffers
  const [first, second] = frames([read], { maxStanzaBytes: 200_000 });
  expect([first?.buffer, second?.buffer]).toEqual([read.buffer, read.buffer]);
  expect(frames(cut(read, [header.length + 2]), { maxStanzaBytes: 200_000 })[0]?.buffer).not.toBe(read.buffer);
});

test('the header is passed on unchanged, without the XML declaration', () => {
  const headers: string[] = [];
  frames([`<?xml version='1.0'?>\n${header}`], { onOpen: (opening) => headers.push(opening) });
  expect(headers).toEqual([header]);
});

test('a self-closing header opens and closes the stream', () => {
  const seen: string[] = [];
  frames(['<s/>'], { onOpen: () => seen.push('open'), onClose: () => seen.push('close') });
  expect(seen).toEqual(['open', 'close']);
});

test('frames an element ten thousand levels deep', () => {
  const deep = '<a>'.repeat(10_000) + '</a>'.repeat(10_000);
  expect(frames([header + deep], { maxStanzaBytes: 1 << 20 })).toEqual([Buffer.from(deep)]);
});
