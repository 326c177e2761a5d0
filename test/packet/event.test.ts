import { expect, test } from 'vitest';
import { eventOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

test.each([
  ["<message type='chat'/>", 'chat'],
  ["<message type='groupchat'/>", 'groupchat'],
  ["<message type='headline'/>", 'headline'],
  ["<message type='error'/>", 'error'],
  ["<message type='normal'/>", 'normal'],
  ['<message/>', 'normal'],
  ["<message type=''/>", 'normal'],
  ["<message type='Chat'/>", 'normal'],
  ["<message type='status'/>", 'normal'],
  ["<presence type='chat'/>", 'presence'],
  ["<iq type='get'/>", 'iq'],
])('%s is %s', (xml, event) => {
  expect(eventOf(parseStanza(xml))).toBe(event);
});
