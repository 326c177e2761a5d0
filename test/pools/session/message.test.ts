import { describe, expect, test } from 'vitest';
import { DLV_RESPONSE_STATUS, DLV_RESPONSE_STATUS_DETAIL } from '../../../pools/callbacks.ts';
import { createMessage, Variables } from '../../../pools/session/message.ts';
import { makeJob } from '../../support/make-job.ts';

const xml =
  "<message xmlns='jabber:client' type='chat'>before<thread>1</thread><body>Hi &amp; bye</body><body xml:lang='de'>Hallo</body><x:y xmlns:x='urn:x'><z/></x:y></message>";

describe('a message', () => {
  const { context } = new Variables({});

  test('has the id of the delivery and the attempt', () => {
    expect(createMessage(makeJob({ attempt: 3 }), xml, context)).toMatchObject({ id: makeJob().id, attempt: 3 });
  });

  test('has the stanza, frozen', () => {
    const { packet } = createMessage(makeJob(), xml, context);

    expect(packet?.text('body')).toBe('Hi & bye');
    expect(Object.isFrozen(packet)).toBe(true);
  });

  test('has the stanza, the text of its first body, and each further child as parts', () => {
    const { parts } = createMessage(makeJob(), xml, context);

    expect(parts.map(({ kind, name, ns }) => [kind, name, ns])).toEqual([
      ['stanza', 'message', 'jabber:client'],
      ['body', 'body', 'jabber:client'],
      ['payload', 'thread', 'jabber:client'],
      ['payload', 'body', 'jabber:client'],
      ['payload', 'x:y', 'urn:x'],
    ]);
    expect(parts[1]?.content).toBe('Hi & bye');
    expect(parts[4]?.content).toMatch(/^<x:y xmlns:x=.urn:x.><z\/?.*<\/x:y>$/);
    expect(parts[0]?.content).toMatch(/^<message .*<\/message>$/);
    expect(Object.isFrozen(parts) && parts.every((part) => Object.isFrozen(part))).toBe(true);
  });

  test('has no body part without a body', () => {
    const { parts } = createMessage(makeJob(), '<presence/>', context);
    expect(parts.map(({ kind }) => kind)).toEqual(['stanza']);
  });

  test('has neither packet nor parts if it was stored without its stanza', () => {
    expect(createMessage(makeJob(), undefined, context)).toMatchObject({ packet: undefined, parts: [] });
  });
});

describe('its context', () => {
  test('starts with the variables of earlier attempts, without the last status', () => {
    const { context } = new Variables({ token: 't', [DLV_RESPONSE_STATUS]: '500', [DLV_RESPONSE_STATUS_DETAIL]: 'old' });
    expect(context.keys()).toEqual(['token']);
  });

  test('is set, read and deleted', () => {
    const { context, kept } = new Variables({});
    context.set('a', '1');
    context.set('b', '');

    expect([context.get('a'), context.get('b'), context.get('c')]).toEqual(['1', '', undefined]);
    expect([context.delete('a'), context.delete('a')]).toEqual([true, false]);
    expect(context.keys()).toEqual(['b']);
    expect(kept).toEqual({});
  });

  test('keeps everything except the status', () => {
    const variables = new Variables({ before: '1' });
    variables.context.set('__proto__', 'harmless');
    variables.context.set(DLV_RESPONSE_STATUS, '200');
    variables.context.set(DLV_RESPONSE_STATUS_DETAIL, 'fine');

    expect(Object.entries(variables.kept)).toEqual([
      ['before', '1'],
      ['__proto__', 'harmless'],
    ]);
    expect(variables).toMatchObject({ status: 200, detail: 'fine' });
  });

  test.each([
    ['a number', 'a', 1],
    ['nothing', 'a', undefined],
    ['an object', 'a', {}],
    ['a name that is not a string', 1, 'a'],
  ])('refuses %s', (_what, name, value) => {
    const { context } = new Variables({});
    expect(() => context.set(name as string, value as string)).toThrow(TypeError);
  });

  test('is limited to 16 KiB in total', () => {
    const { context } = new Variables({ before: 'x'.repeat(8000) });
    context.set('a', 'ä'.repeat(4000));

    expect(() => context.set('b', 'x'.repeat(400))).toThrow(RangeError);
    context.set('a', 'short');
    context.set('b', 'x'.repeat(400));
    expect(context.keys()).toEqual(['before', 'a', 'b']);
  });

  test.each([
    ['200', 200],
    ['-1', -1],
    ['', Number.NaN],
    ['2e2', Number.NaN],
    [' 200', Number.NaN],
    ['200.5', Number.NaN],
  ])('reads the status %j as %d', (text, status) => {
    const variables = new Variables({});
    variables.context.set(DLV_RESPONSE_STATUS, text);
    expect(variables.status).toBe(status);
  });
});
