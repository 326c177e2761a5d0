/** Reads the orders in a response body, in the formats of SMSSync and of HTTP callbacks: `callback` is a request, `payload` are messages. */
import { asMap, asObject, readJson } from '../../kit/json.ts';
import type { HeaderPair, XmppTarget } from '../../model/delivery.ts';
import type { IgnoredReason } from '../../telemetry/events.ts';

/** The members of a response that order something; undefined if absent or null. */
export interface Orders {
  readonly callback: unknown;
  readonly payload: unknown;
}

/** Reads a response body as JSON, regardless of its content type. Undefined if it is not a JSON object, which is not an error. */
export function readOrders(body: string): Orders | 'too-deep' | undefined {
  const read = readJson(body);
  if (read.kind === 'too-deep') return 'too-deep';
  const answer = read.kind === 'read' ? asObject(read.value) : undefined;
  return answer && { callback: answer['callback'] ?? undefined, payload: answer['payload'] ?? undefined };
}

interface OrderedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  /** Scheme, host and port; empty if there is a fault. */
  readonly origin: string;
  readonly body: string;
  /** The violated rule of the format: the request is stored and never sent. */
  readonly fault: string | undefined;
}

const methods = ['GET', 'POST', 'PUT'];

/**
 * Reads `callback`: `options` contains the destination, method and headers, `data` the body: an object is sent as JSON, text
 * unchanged, and GET has no body. Headers of the connection, of this service or of other protocols are omitted.
 */
export function readRequest(callback: unknown): OrderedRequest {
  const { options, data } = asObject(callback) ?? {};
  const given = asObject(options) ?? {};
  const method = typeof given['method'] === 'string' ? given['method'].toUpperCase() : '';
  const path = given['path'] ?? '/';
  const destination = originOf(given);
  const content = method === 'GET' ? { body: '' } : bodyOf(data);
  const headers = headersOf(given['headers']);

  const fault =
    (asObject(options) === undefined ? 'callback.options is missing' : undefined) ??
    (methods.includes(method) ? undefined : `callback.options.method must be ${methods.join(', ')}`) ??
    destination.fault ??
    (typeof path === 'string' ? undefined : 'callback.options.path must be text') ??
    headers.fault ??
    content.fault;
  return {
    method: method === '' ? 'GET' : method,
    path: typeof path === 'string' ? path : '/',
    headers: headers.headers ?? [],
    origin: fault === undefined ? (destination.origin ?? '') : '',
    body: content.body ?? '',
    fault,
  };
}

type Fault = { readonly fault: string };
type Read<T> = (T & { readonly fault?: undefined }) | (Partial<Record<keyof T, undefined>> & Fault);

function originOf({ host, port, protocol = 'http:' }: Readonly<Record<string, unknown>>): Read<{ readonly origin: string }> {
  if (protocol !== 'http:' && protocol !== 'https:') return { fault: 'callback.options.protocol must be "http:" or "https:"' };
  const number = port ?? (protocol === 'https:' ? 443 : 80);
  if (!isPort(number)) return { fault: 'callback.options.port must be a number from 1 to 65535' };
  const url = typeof host === 'string' ? `${protocol}//${isBareIpv6(host) ? `[${host}]` : host}:${number}` : '';
  if (typeof host !== 'string' || !/^[^\s/\\?#@:]+$|^\[[^\]/?#@]+\]$|^[\da-f:.]+$/i.test(host) || !URL.canParse(url)) {
    return { fault: 'callback.options.host must be a host name or an IP address' };
  }
  return { origin: new URL(url).origin };
}

function isPort(port: unknown): port is number | string {
  return (
    (typeof port === 'number' || typeof port === 'string') && /^\d{1,5}$/.test(String(port)) && Number(port) >= 1 && Number(port) <= 65_535
  );
}

function isBareIpv6(host: string): boolean {
  return /^[\da-f:.]*:[\da-f:.]*$/i.test(host);
}

function bodyOf(data: unknown): Read<{ readonly body: string }> {
  if (data === undefined) return { body: '' };
  if (typeof data === 'string') return { body: data };
  const map = asMap(data);
  if (map !== undefined) return { body: JSON.stringify(map) };
  return { fault: `callback.data must be text or an object, not ${Array.isArray(data) ? 'an array' : `${data}`}` };
}

function headersOf(headers: unknown): Read<{ readonly headers: readonly HeaderPair[] }> {
  const given = asMap(headers ?? {});
  const pairs = Object.entries(given ?? {}).filter(([name]) => !isOmitted(name.toLowerCase()));
  const wrong = pairs.find(([, value]) => typeof value !== 'string' && typeof value !== 'number');
  if (given === undefined) return { fault: 'callback.options.headers must be an object' };
  if (wrong !== undefined) return { fault: `callback.options.headers: ${JSON.stringify(wrong[0])} must be text or a number` };
  return { headers: pairs.map(([name, value]) => [name, String(value)]) };
}

function isOmitted(name: string): boolean {
  return forbidden.has(name) || forbiddenFamilies.test(name);
}

/** Signatures and tracing of this service, headers of proxies, cookies and browsers, and overrides of the method. */
const forbiddenFamilies = /^(webhook-|event-pusher-|proxy-|sec-|x-forwarded-|x-original-|x-rewrite-|x-aws-ec2-metadata-)/;

/** Headers of the connection (RFC 9110 §7.6.1), headers that the client computes, and headers that other systems trust without checks. */
const forbidden = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'metadata',
  'metadata-flavor',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
  'x-client-ip',
  'x-google-metadata-request',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-real-ip',
]);

interface OrderedMessage {
  readonly target: XmppTarget;
  readonly text: string;
}

type Payload =
  | { readonly kind: 'ignored'; readonly reason: IgnoredReason }
  | { readonly kind: 'messages'; readonly messages: readonly OrderedMessage[] };

/** Defaults for senders and receivers. */
interface MessageDefaults {
  readonly replyFrom: string | undefined;
  readonly defaultHost: string;
}

/** Maximum number of messages in one response; the excess becomes one dead letter with the reason. */
export const maxMessages = 100;

const noMessages: Payload = { kind: 'messages', messages: [] };

/**
 * Reads `payload`: `task` is `send`, and each of `messages` has `to` and `message`. Without a task there are no messages;
 * `success: false` cancels them.
 */
export function readPayload(payload: unknown, defaults: MessageDefaults): Payload {
  const given = asMap(payload);
  if (given === undefined) return { kind: 'ignored', reason: 'malformed' };
  const { success, task, messages = [] } = given;
  if (success === false || success === 'false') return { kind: 'ignored', reason: 'declined' };
  if (task === undefined || task === null) return noMessages;
  if (task !== 'send') return { kind: 'ignored', reason: 'unknown-task' };
  if (!Array.isArray(messages)) return { kind: 'ignored', reason: 'malformed' };
  const read = messages.slice(0, maxMessages).map((message) => readMessage(message, defaults));
  return { kind: 'messages', messages: messages.length > maxMessages ? [...read, omitted(messages.length - maxMessages)] : read };
}

function readMessage(message: unknown, { replyFrom: from, defaultHost }: MessageDefaults): OrderedMessage {
  const { to, message: text } = asObject(message) ?? {};
  const receiver = typeof to === 'string' ? receiverOf(to, defaultHost) : { to: '', fault: 'to must be text' };
  const fault = receiver.fault ?? (typeof text === 'string' && text !== '' ? undefined : 'message must be text');
  return {
    target: { kind: 'xmpp', from, to: receiver.to, ...(fault === undefined ? {} : { fault }) },
    text: typeof text === 'string' ? text : '',
  };
}

/**
 * Accepts a JID, or the local part of a user of `defaultHost`. Telephone numbers are rejected: they are meant for an SMS gateway. The
 * fault contains no receiver, because it is shown to operators who may not see receivers.
 */
function receiverOf(to: string, defaultHost: string): { readonly to: string; readonly fault?: string } {
  if (/^\+[\d\s()./-]+$/.test(to)) return { to, fault: 'to is a telephone number, not a JID' };
  const jid = to.includes('@') ? to : `${to}@${defaultHost}`;
  return jidForm.test(jid) ? { to: jid } : { to, fault: 'to is not a JID' };
}

/** The approximate form of a user's JID (RFC 7622 §3.1); the chat server decides whether the user exists. */
const jidForm = /^[^\s"&'/:<>@]{1,1023}@[^\s"&'/<>@]{1,1023}(\/.{1,1023})?$/u;

function omitted(count: number): OrderedMessage {
  const fault = `a response may order ${maxMessages} messages: ${count} more were omitted`;
  return { target: { kind: 'xmpp', from: undefined, to: '', fault }, text: '' };
}
