import { expect, test } from 'vitest';
import * as cloudevents from '../../../src/hooks/builtin/cloudevents.ts';
import * as json from '../../../src/hooks/builtin/json.ts';
import { createContexts } from '../../../src/hooks/context.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { makeHandler } from '../../support/make-handler.ts';
import { makePacket } from '../../support/make-packet.ts';

test('a message becomes a CloudEvent with the JSON module’s object as its data', () => {
  const packet = makePacket();

  expect(eventOf(packet)).toEqual({
    specversion: '1.0',
    id: 'packet-1',
    source: 'xmpp://localhost',
    type: 'im.xmpp.message.in',
    time: '2026-11-22T10:30:00.125Z',
    subject: 'alice@localhost',
    partitionkey: 'alice@localhost bob@localhost',
    datacontenttype: 'application/json',
    data: JSON.parse(json.prepareBody(createContexts()(packet).requestPrepared(makeHandler()))),
  });
});

test('the subject of an outgoing packet is its receiver', () => {
  expect(eventOf(makePacket({ direction: 'out' }))).toMatchObject({ type: 'im.xmpp.message.out', subject: 'bob@localhost' });
});

test('the type of a report is its name', () => {
  expect(eventOf(makePacket({ event: 'status' }))).toMatchObject({ type: 'im.xmpp.status.in' });
  expect(eventOf(makePacket({ event: 'unack', direction: 'out' }))).toMatchObject({ type: 'im.xmpp.unack.out' });
  expect(eventOf(makePacket({ event: 'account-deleted', kind: 'life' }))).toMatchObject({ type: 'im.xmpp.account-deleted.in' });
});

test('the source of an internationalised host is a URI', () => {
  expect(eventOf(makePacket({ host: 'żółć.example' }))).toMatchObject({ source: 'xmpp://%C5%BC%C3%B3%C5%82%C4%87.example' });
});

test('the structured mode is named in the content type', () => {
  expect(cloudevents.prepareHeaders()).toEqual([['content-type', 'application/cloudevents+json; charset=utf-8']]);
});

function eventOf(packet: Packet): Record<string, unknown> {
  return JSON.parse(cloudevents.prepareBody(createContexts()(packet).requestPrepared(makeHandler())));
}
