import { createDeferred } from '../../src/kit/lifecycle.ts';
import { childElements } from '../../src/packet/xml/element.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { createInbox } from './inbox.ts';
import type { Transport } from './xmpp-user.ts';

/** A client's transport over BOSH (XEP-0124, XEP-0206); one request is always open for the server's response. */
export async function openBosh(owner: string, port: number, host: string): Promise<Transport> {
  const inbox = createInbox(owner);
  const closed = createDeferred<void>();
  const abort = new AbortController();
  let rid = 1_000_000;
  let sid = '';
  let unanswered = 0;
  let over = false;

  async function post(attributes: string, children = ''): Promise<void> {
    rid += 1;
    unanswered += 1;
    const body = `<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' rid='${rid}' ${attributes}>${children}</body>`;
    const headers = { 'content-type': 'text/xml; charset=utf-8', host };
    const response = await fetch(`http://127.0.0.1:${port}/http-bind`, { method: 'POST', body, headers, signal: abort.signal });
    const answer = parseStanza(await response.text());
    unanswered -= 1;
    sid = answer.attrs['sid'] ?? sid;
    for (const stanza of childElements(answer)) inbox.put(stanza);
    if (answer.attrs['type'] === 'terminate') finish('the BOSH session is over');
    else setImmediate(poll);
  }

  /** Only if the test sent nothing in reaction to the stanzas: of two simultaneous requests one could overtake the other. */
  function poll(): void {
    if (unanswered === 0) say('');
  }

  function say(children: string, attributes = ''): void {
    if (over) return;
    post(`sid='${sid}' ${attributes}`, children).catch((error) => finish(String(error)));
  }

  function finish(reason: string): void {
    over = true;
    inbox.end(reason);
    closed.resolve();
  }

  return {
    inbox,
    open: async () => {
      if (sid === '') await post(`to='${host}' wait='30' hold='1' ver='1.6' xmpp:version='1.0'`);
      else say('', `to='${host}' xmpp:restart='true'`);
    },
    send: (xml) => say(xml),
    end: () => say('', "type='terminate'"),
    cut: async () => {
      finish('cut off');
      abort.abort();
    },
    closed: closed.promise,
  };
}
