import { isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { ownCopy } from '../kit/own-copy.ts';
import type { Jid } from '../model/packet.ts';
import { createProfiles, type Profile, type Profiles } from './stringprep.ts';

/** A parsed JID. If `prepared` is false, its parts are unchanged; the caller counts it and passes it on. */
export interface ReadJid {
  readonly jid: Jid;
  readonly prepared: boolean;
}

export type JidReader = (text: string) => ReadJid;

/** Limit of each part in bytes of UTF-8 (RFC 7622 §3.1). */
const MAX_PART_BYTES = 1023;
/** Longest part that is prepared. Preparation may shorten a part; normalisation takes more than linear time. */
const MAX_RAW_LENGTH = 3 * MAX_PART_BYTES;

/**
 * Creates a parser of JIDs. It splits a text at the first `/`, then at the first `@` (RFC 7622 §3.2), and prepares the parts by
 * nodeprep, nameprep and resourceprep (RFC 6122). It never throws: a JID with a prohibited character, mixed direction, an empty part or
 * a part of more than 1023 bytes is returned unchanged. Between `size` and twice as many recent results are cached, because most packets
 * belong to a conversation in progress.
 */
export function createJidReader({ size = 4096 }: { readonly size?: number } = {}): JidReader {
  const profiles = once(createProfiles);
  let recent = new Map<string, ReadJid>();
  let older = recent;

  return (text) => {
    const known = recent.get(text);
    if (known !== undefined) return known;

    // The copy differs from the text only by a lone surrogate, which cannot be prepared: such a text is returned unchanged, and not cached.
    const own = ownCopy(text);
    const parsed = older.get(own) ?? prepare(own === text ? own : text, profiles);
    if (parsed.prepared) remember(own, parsed);
    return parsed;
  };

  function remember(text: string, parsed: ReadJid): void {
    if (recent.size >= size) {
      older = recent;
      recent = new Map();
    }
    recent.set(text, parsed);
  }
}

/** Builds a JID from prepared parts; absent parts are empty. */
export function makeJid(user: string, server: string, resource: string): Jid {
  const bare = user === '' ? server : `${user}@${server}`;
  return Object.freeze({ user, server, resource, bare, full: resource === '' ? bare : `${bare}/${resource}` });
}

/** The JID without its resource. */
export function bareJid(jid: Jid): Jid {
  return jid.resource === '' ? jid : makeJid(jid.user, jid.server, '');
}

interface Parts {
  readonly user: string;
  readonly server: string;
  readonly resource: string;
}

function prepare(text: string, profiles: () => Profiles): ReadJid {
  const parts = split(text);
  const jid = parts === undefined ? undefined : prepareParts(parts, profiles);
  return jid === undefined ? { jid: unprepared(text), prepared: false } : { jid, prepared: true };
}

/** Undefined if a part is empty despite its separator. */
function split(text: string): Parts | undefined {
  const parts = rawParts(text);
  if (parts.server === '' || (text.endsWith('/') && parts.resource === '')) return undefined;
  return parts.user === '' && text.startsWith('@') ? undefined : parts;
}

function rawParts(text: string): Parts {
  const slash = text.indexOf('/');
  const bare = slash === -1 ? text : text.slice(0, slash);
  const at = bare.indexOf('@');
  return {
    user: at === -1 ? '' : bare.slice(0, at),
    server: bare.slice(at + 1),
    resource: slash === -1 ? '' : text.slice(slash + 1),
  };
}

function unprepared(text: string): Jid {
  const slash = text.indexOf('/');
  return Object.freeze({ ...rawParts(text), bare: slash === -1 ? text : text.slice(0, slash), full: text });
}

function prepareParts({ user, server, resource }: Parts, profiles: () => Profiles): Jid | undefined {
  if (Math.max(user.length, server.length, resource.length) > MAX_RAW_LENGTH) return undefined;
  const prepared = {
    user: PLAIN_USER.test(user) ? user.toLowerCase() : profiles().nodeprep(user),
    server: isPlainDomain(server) ? server.toLowerCase() : prepareDomain(server, profiles().nameprep),
    resource: PLAIN_RESOURCE.test(resource) ? resource : profiles().resourceprep(resource),
  };
  if (!isValid(prepared.user, user) || !isValid(prepared.server, server) || !isValid(prepared.resource, resource)) return undefined;
  return makeJid(prepared.user, prepared.server, prepared.resource);
}

/** Plain ASCII, which each profile leaves unchanged except for case. */
const PLAIN_USER = /^[!#-%(-.0-9;=?A-~]*$/;
const PLAIN_DOMAIN = /^[-0-9a-z_]+(?:\.[-0-9a-z_]+)*$/i;
const PLAIN_RESOURCE = /^[ -~]*$/;

function isPlainDomain(server: string): boolean {
  return PLAIN_DOMAIN.test(server) && !/xn--/i.test(server);
}

/** Whether preparation succeeded: the result is not too long, and is empty only if the input was. */
function isValid(prepared: string | undefined, given: string): prepared is string {
  if (prepared === undefined || (prepared === '') !== (given === '')) return false;
  return prepared.length <= MAX_PART_BYTES / 3 || Buffer.byteLength(prepared) <= MAX_PART_BYTES;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/**
 * Prepares a domain for comparison: lower case, without a final dot, each label as its U-label. `xn--` labels are decoded by the
 * rules of IDNA2003 (RFC 3490 §4.2), and left unchanged if encoding the result does not give the same label. Undefined for an empty
 * label, a prohibited character, or an ASCII character that host names cannot contain.
 */
export function prepareDomain(domain: string, nameprep: Profile): string | undefined {
  if (domain.startsWith('[')) return isBracketed(domain) ? domain.toLowerCase() : undefined;

  const labels: string[] = [];
  for (const label of domain.replace(FINAL_DOT, '').split(DOT)) {
    const prepared = nameprep(label);
    if (prepared === undefined || prepared === '' || FORBIDDEN_ASCII.test(prepared)) return undefined;
    labels.push(prepared.startsWith('xn--') ? decoded(prepared, nameprep) : prepared);
  }
  return labels.join('.');
}

/** The characters that IDNA treats as a dot (RFC 3490 §3.1). */
const DOT = /[.\u3002\uff0e\uff61]/;
const FINAL_DOT = /[.\u3002\uff0e\uff61]$/;
/** Everything except letters, digits, hyphen, and the underscore that host names contain in practice. */
const FORBIDDEN_ASCII = /[^-0-9a-z_\u0080-\u{10ffff}]/u;

function isBracketed(domain: string): boolean {
  return domain.endsWith(']') && isIPv6(domain.slice(1, -1));
}

function decoded(label: string, nameprep: Profile): string {
  const unicode = domainToUnicode(label);
  const keeps = unicode !== '' && nameprep(unicode) === unicode && domainToASCII(unicode) === label;
  return keeps ? unicode : label;
}

/** The domain of an unprepared JID, in lower case: sufficient to recognise our own domain. */
export function domainOf(jid = ''): string {
  const slash = jid.indexOf('/');
  const bare = slash < 0 ? jid : jid.slice(0, slash);
  return bare.slice(bare.indexOf('@') + 1).toLowerCase();
}
