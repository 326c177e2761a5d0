import type { Credential, Descriptor, ExitsAttachment } from '../config/config.ts';
import { durationText, hostText, sizeText, type TomlSection, tomlKey } from './toml-text.ts';

/** An attachment with descriptors, as the tables of a file that says everything. */
export function exitsSections(attachment: ExitsAttachment): readonly TomlSection[] {
  const { rateLimit } = attachment;
  const title = `attach.${tomlKey(attachment.name)}`;
  const main: TomlSection = {
    title: `[${title}]`,
    entries: {
      type: 'http',
      listen: Object.fromEntries(attachment.listeners.map(({ name, host, port }) => [name, `${hostText(host)}:${port}`])),
      origins: attachment.origins,
      hosts: attachment.hosts,
      send_through: attachment.sendThrough,
      max_body_bytes: sizeText(attachment.maxBodyBytes),
      max_headers: attachment.maxHeaders,
      request_timeout: durationText(attachment.requestTimeoutMs),
      max_uncommitted_bytes: sizeText(attachment.maxUncommittedBytes),
      max_connections: attachment.maxConnections,
      rate_limit: rateLimit && { requests: rateLimit.requests, per: durationText(rateLimit.perMs), burst: rateLimit.burst },
    },
  };
  const users: TomlSection = { title: `[${title}.users]`, entries: Object.fromEntries(attachment.users.map(userEntry)) };
  const tacs: TomlSection = { title: `[${title}.tacs]`, entries: Object.fromEntries(attachment.descriptors.flatMap(tacEntries)) };
  const tables = [tacs, users].filter(({ entries }) => Object.keys(entries).length > 0);
  return [main, ...tables, ...attachment.descriptors.map((descriptor) => descriptorSection(`[[${title}.descriptors]]`, descriptor))];
}

/** A built-in unit needs no TAC but its name. */
function tacEntries({ tac, unit }: Descriptor): readonly (readonly [string, string])[] {
  return tac === unit.name ? [] : [[tac, unit.name]];
}

function userEntry({ user }: Credential): readonly [string, string] {
  return [user, '[redacted]'];
}

function descriptorSection(title: string, { name, path, tac, exit, convertText, userAuth, listener }: Descriptor): TomlSection {
  const entries = {
    name,
    path,
    tac,
    http_exit: exit.kind === 'module' ? exit.name : `*${exit.kind.toUpperCase()}`,
    convert_text: convertText,
    user_auth: `*${userAuth.toUpperCase()}`,
    bcamappl: listener ?? '*ALL',
  };
  return { title, entries };
}
