import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packetFromJson, packetToJson } from '../../../src/hooks/delivery-factory.ts';
import type { Packet, Stanza } from '../../../src/model/packet.ts';
import { byteByByte, cut } from '../../packet/xml/read-stream.ts';
import { effort, fuzzTimeoutMs } from './effort.ts';
import { cutAt, cuts, decorations, mutations } from './mutations.ts';
import { requestsOf } from './requests.ts';
import { walk } from './stanza-path.ts';
import { recordedStreams } from './streams.ts';

const streams = recordedStreams();
const stream = fc.constantFrom(...streams);

describe.each(streams.map((recorded, index) => [index, recorded.feed, recorded] as const))(
  'recorded stream %i (%s)',
  (_i, _feed, recorded) => {
    test('gives the same packets if it is split at any byte', () => {
      const whole = walk(recorded, [recorded.bytes]);
      expect(whole.packets.length).toBeGreaterThan(0);
      expect(whole.told.at(-1)).toBe('closed');
      const places = Array.from({ length: recorded.bytes.length - 1 }, (_, index) => index + 1);
      const differing = places.filter((place) => String(walk(recorded, cut(recorded.bytes, [place])).told) !== String(whole.told));
      expect(differing).toEqual([]);
    });
  },
);

test(
  'any mutated stream gives the same packets for any split, and no corrupted packet',
  () => {
    fc.assert(
      fc.property(stream, mutations, cuts, (recorded, change, parts) => {
        const bytes = change(recorded.bytes);
        const met = walk(recorded, [bytes]);
        expect(walk(recorded, cutAt(bytes, parts)).told).toEqual(met.told);
        expect(walk(recorded, byteByByte(bytes)).told).toEqual(met.told);
        for (const packet of met.packets) {
          comesBackWhole(packet);
          isAskedForTheSame(packet);
          if (!sendsReplacements(bytes)) expect(packetToJson(packet)).not.toContain('\ufffd');
        }
      }),
      effort(250),
    );
  },
  fuzzTimeoutMs,
);

test(
  'XML constructs inside of a text are read as XML defines, and change nothing else',
  () => {
    fc.assert(
      fc.property(stream, decorations, cuts, (recorded, decorate, parts) => {
        const bytes = decorate(recorded.bytes);
        const { packets, told } = walk(recorded, cutAt(bytes, parts));
        expect(told.at(-1)).toBe('closed');
        expect(packets.map(({ stanza }) => stanza.text('body')).filter((body) => body !== '')).toEqual(bodiesIn(bytes));
      }),
      effort(150),
    );
  },
  fuzzTimeoutMs,
);

/** A stored packet is read back unchanged: the stanza's XML has the same content as the stanza. */
function comesBackWhole(packet: Packet): void {
  expect(packetToJson(packetFromJson(packetToJson(packet)))).toBe(packetToJson(packet));
  const read = packetFromJson(packetToJson(packet)).stanza;
  expect(essence(read)).toEqual(essence(packet.stanza));
}

/** Without declarations: those of the stream are repeated in a stanza that stands alone. */
function essence({ name, ns, attrs, children }: Stanza): unknown {
  const own = Object.entries(attrs).filter(([attribute]) => !attribute.startsWith('xmlns'));
  return [name, ns, own, children.map((child) => (typeof child === 'string' ? child : essence(child)))];
}

/** The requests of the built-in modules contain the packet's text, each in its format. */
function isAskedForTheSame(packet: Packet): void {
  const [form, object, event] = requestsOf(packet);
  const texts = [new URLSearchParams(form).get('message'), JSON.parse(object).body ?? '', JSON.parse(event).data.body ?? ''];
  expect(texts).toEqual(Array(3).fill(packet.stanza.text('body')));
}

function sendsReplacements(bytes: Buffer): boolean {
  return bytes.includes('\ufffd') || /&#(?:x0*fffd|0*65533);/i.test(bytes.toString('latin1'));
}

/** The texts of the bodies that become packets, read with another method than ours. */
function bodiesIn(bytes: Buffer): readonly string[] {
  const xml = bytes.toString();
  return [...xml.matchAll(/<body>(.*?)<\/body>/gs)].map(([, content = '']) => readText(content));
}

function readText(content: string): string {
  const pieces = content.matchAll(
    /<!--.*?-->|<\?.*?\?>|<!\[CDATA\[(?<cdata>.*?)\]\]>|&#x(?<hex>[\da-f]+);|&#(?<decimal>\d+);|&(?<entity>\w+);|(?<plain>[^<&]+)/gis,
  );
  return [...pieces].map(({ groups = {} }) => textOf(groups)).join('');
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function textOf({ cdata, hex, decimal, entity, plain }: Readonly<Record<string, string | undefined>>): string {
  if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
  if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
  if (entity !== undefined) return entities[entity] ?? '';
  return (cdata ?? plain ?? '').replaceAll('\r\n', '\n');
}
