import type { Stanza, Subscription } from '../../src/model/packet.ts';
import { element, findChild, toXml } from '../../src/packet/xml/element.ts';
import { readTapItem, type TapItem, tapNs } from '../../src/sources/component/tap-item.ts';
import { type ComponentLogin, type ComponentSocket, connectComponent } from './component-socket.ts';
import type { XmppUser } from './xmpp-user.ts';

/** The pusher's end of a tap, controlled by the test: it acknowledges nothing by itself. */
export interface TapPusher extends Pick<ComponentSocket, 'cut' | 'inbox' | 'pause' | 'resume' | 'send'>, AsyncDisposable {
  /** Requests the feed with these attributes and returns those of `<resumed/>`. An attribute without a value is not sent. */
  request(attrs: Request): Promise<Resumed>;
  ask(from?: Progress, want?: string, instance?: string, max?: number): Promise<Resumed>;
  ack(progress: Progress): void;
  /** Acknowledges, requests the fill level, and returns the attributes of `<queue/>`. */
  fill(progress: Progress): Promise<Readonly<Record<string, string>>>;
  /** The next item of any kind. */
  item(): Promise<TappedItem>;
  /** The items before the first one with this body. */
  itemsUntil(body: string): Promise<TappedItem[]>;
}

interface Request extends Progress, Partial<Subscription> {
  readonly pusher?: string;
  readonly max?: number;
  readonly probe?: 'true';
}

type Resumed = Readonly<Record<string, string>>;

export interface TappedItem extends TapItem {
  /** The attributes of its `<tap/>`. */
  readonly marks: Readonly<Record<string, string>>;
}

export interface Progress {
  readonly epoch: string;
  readonly h: number;
}

export async function connectTapPusher(login: ComponentLogin, host = 'localhost'): Promise<TapPusher> {
  const socket = await connectComponent(login);
  const { inbox } = socket;
  let ids = 0;

  function sendProgress(name: 'ack' | 'resume', attrs: Readonly<Record<string, number | string | undefined>>): string {
    ids += 1;
    const id = `tap-${ids}`;
    socket.send(toXml(element('iq', { type: 'set', id, from: login.domain, to: host }, [element(name, { xmlns: tapNs, ...attrs })])));
    return id;
  }

  async function requestFeed(attrs: Readonly<Record<string, number | string | undefined>>): Promise<Resumed> {
    const id = sendProgress('resume', attrs);
    const answer = await inbox.next(({ name, attrs }) => name === 'iq' && attrs['id'] === id);
    const [resumed] = answer.children;
    if (typeof resumed !== 'object' || resumed.name !== 'resumed') throw new Error(`${host} refuses: ${answer.xml}`);
    return resumed.attrs;
  }

  async function item(): Promise<TappedItem> {
    const message = await inbox.next(({ name }) => name === 'message');
    const read = readTapItem(message);
    if (read === undefined || message.attrs['from'] !== host || message.attrs['to'] !== login.domain)
      throw new Error(`not a tap item of ${host}: ${message.xml}`);
    return { ...read, marks: findChild(message, 'tap', tapNs)?.attrs ?? {} };
  }

  return {
    ...socket,
    request: (attrs) => requestFeed({ ...attrs }),
    ask: ({ epoch, h } = { epoch: '', h: 0 }, want, instance, max) => requestFeed({ epoch, h, want, pusher: instance, max }),
    ack: (progress) => void sendProgress('ack', { ...progress }),
    fill: async (progress) => {
      const id = sendProgress('ack', { ...progress, report: 'queue' });
      const answer = await inbox.next(({ name, attrs }) => name === 'iq' && attrs['id'] === id);
      const queue = findChild(answer, 'queue', tapNs);
      if (queue === undefined) throw new Error(`${host} does not report its fill level: ${answer.xml}`);
      return queue.attrs;
    },
    item,
    itemsUntil: async (body) => {
      const items: TappedItem[] = [];
      for (;;) {
        const next = await item();
        if (next.stanza?.text('body') === body) return items;
        items.push(next);
      }
    },
  };
}

/** Connects and requests the whole feed; without `want`: messages. */
export async function attachTap(server: { readonly component: ComponentLogin }, want?: string): Promise<TapPusher> {
  const pusher = await connectTapPusher(server.component);
  await pusher.ask(undefined, want);
  return pusher;
}

/** All items before a last message of `speaker`, which has no receiver. */
export async function seen(pusher: TapPusher, speaker: XmppUser): Promise<string[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  return (await pusher.itemsUntil('the last word')).map(formatItem);
}

/** An item in one line, `in alice/phone > bob: Hi (1)`, without the common host; `in too-large` for an item without a stanza. */
export function formatItem({ direction, stanza, sessions, marks }: TappedItem): string {
  if (stanza === undefined) return `${direction} ${marks['reason']}`;
  const { name, attrs } = stanza;
  const { from = '', to = 'all', type = '' } = attrs;
  const what = name === 'message' ? '' : `${name} ${type === 'unavailable' ? `${type} ` : ''}`;
  const body = name === 'message' ? `: ${stanza.text('body')}` : '';
  const clients = sessions === undefined ? '' : ` (${sessions})`;
  return `${direction} ${what}${from.replace('@localhost', '')} > ${to.replace('@localhost', '')}${body}${clients}`;
}

/** Sends the words to a user that does not exist: one item each. */
export function chatter(user: XmppUser, words: readonly string[]): void {
  for (const word of words) user.sendChat('nobody@localhost', word);
}

/** Resolves when the server has processed all earlier stanzas of `user`. */
export async function answered(user: XmppUser): Promise<void> {
  await user.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');
}

/** Resolves when all earlier stanzas of the server to the component have arrived. */
export async function pinged(pusher: TapPusher): Promise<void> {
  pusher.send("<iq type='get' id='ping' from='pusher.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
  await pusher.inbox.next(({ attrs }) => attrs['id'] === 'ping');
}

export async function numbered(pusher: TapPusher, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) {
    const { seq, stanza } = await pusher.item();
    lines.push(`${seq} ${stanza?.text('body')}`);
  }
  return lines;
}

export function items({ inbox }: TapPusher): readonly Stanza[] {
  return inbox.all.filter(({ name, xml }) => name === 'message' && xml.includes(tapNs));
}
