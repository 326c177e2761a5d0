import type { Stanza } from '../../model/packet.ts';
import { childElements, element, toXml } from '../../packet/xml/element.ts';

const stanzasNs = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/**
 * The answer to a question that users or servers put to the component: a ping is answered, anything else is not offered
 * here (RFC 6120 §8.2.3 wants every get and set answered). Undefined for what needs no answer.
 */
export function answerStranger(stanza: Stanza, domain: string): string | undefined {
  const { from, to, id, type } = stanza.attrs;
  if (stanza.name !== 'iq' || from === undefined || (type !== 'get' && type !== 'set')) return undefined;
  const [question] = childElements(stanza);
  const head = { id, from: to ?? domain, to: from };
  if (type === 'get' && question?.ns === 'urn:xmpp:ping') return toXml(element('iq', { ...head, type: 'result' }));
  const error = element('error', { type: 'cancel' }, [element('service-unavailable', { xmlns: stanzasNs })]);
  return toXml(element('iq', { ...head, type: 'error' }, [error]));
}
