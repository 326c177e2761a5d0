import { asMap, asObject } from '../../kit/json.ts';
import type { HeaderPair } from '../../model/delivery.ts';

/** A request that an answer orders. */
export interface Order {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  /** Scheme, host and port; empty where there is a fault. */
  readonly origin: string;
  readonly body: string;
  /** Which rule of the format it breaks, so that it is kept and never sent. */
  readonly fault: string | undefined;
}

const methods = ['GET', 'POST', 'PUT'];

/**
 * Reads the `callback` of an answer (SMSSync, HTTP callbacks): `options` says where and how, `data` what. An object is sent as
 * JSON, text as it is, and on GET neither. Headers that the connection, the sender or another protocol owns are left out.
 */
export function readOrder(callback: unknown): Order {
  const { options, data } = asObject(callback) ?? {};
  const given = asObject(options) ?? {};
  const method = typeof given['method'] === 'string' ? given['method'].toUpperCase() : '';
  const path = given['path'] ?? '/';
  const place = originOf(given);
  const content = method === 'GET' ? { body: '' } : bodyOf(data);
  const headers = headersOf(given['headers']);

  const fault =
    (asObject(options) === undefined ? 'callback.options is missing' : undefined) ??
    (methods.includes(method) ? undefined : `callback.options.method must be ${methods.join(', ')}`) ??
    place.fault ??
    (typeof path === 'string' ? undefined : 'callback.options.path must be text') ??
    headers.fault ??
    content.fault;
  return {
    method: method === '' ? 'GET' : method,
    path: typeof path === 'string' ? path : '/',
    headers: headers.headers ?? [],
    origin: fault === undefined ? (place.origin ?? '') : '',
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
    return { fault: 'callback.options.host must be a host: its name or its address, alone' };
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
  return { fault: `callback.data must be text or an object, and is ${Array.isArray(data) ? 'an array' : `${data}`}` };
}

function headersOf(headers: unknown): Read<{ readonly headers: readonly HeaderPair[] }> {
  const given = asMap(headers ?? {});
  const pairs = Object.entries(given ?? {}).filter(([name]) => !isOurs(name.toLowerCase()));
  const wrong = pairs.find(([, value]) => typeof value !== 'string' && typeof value !== 'number');
  if (given === undefined) return { fault: 'callback.options.headers must be an object' };
  if (wrong !== undefined) return { fault: `callback.options.headers: ${JSON.stringify(wrong[0])} must be text or a number` };
  return { headers: pairs.map(([name, value]) => [name, String(value)]) };
}

function isOurs(name: string): boolean {
  return forbidden.has(name) || forbiddenFamilies.test(name);
}

/** Signatures and traces of ours, proxies' words, cookies' and browsers' own, and what would make a POST another method. */
const forbiddenFamilies = /^(webhook-|event-pusher-|proxy-|sec-|x-forwarded-|x-original-|x-rewrite-|x-aws-ec2-metadata-)/;

/** Those of the connection (RFC 9110 §7.6.1), those that the client computes, and those that others trust blindly. */
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
