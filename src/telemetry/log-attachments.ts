import type { Logger } from 'pino';
import type { AttachmentState, EventBus, Events } from './events.ts';

/** Logs the connections to chat servers. A repeated state is logged once, independent of the number of retries. */
export function logAttachments(events: EventBus, log: Logger): void {
  logStates(events, log);
  logSkipped(events, log);

  events.on('archive.gap', ({ attachment, host }) => {
    const text = `an archive on ${host} no longer contains the last message that was read; messages that it has since deleted were missed`;
    log.warn({ event: 'archive.gap', attachment, host }, text);
  });
  events.on('tap.mark-missing', (missing) => log.warn({ event: 'tap.mark-missing', ...missing }, markMissing(missing)));
  events.on('tap.taken-over', ({ attachment, host, items }) => {
    log.info(
      { event: 'tap.taken-over', attachment, host, items },
      `another pusher received ${items} packets of ${host} while this one stood by`,
    );
  });
  events.on('tap.hole', ({ attachment, host, missing }) => {
    const text =
      missing === undefined
        ? `chat server lost its queue for ${host}, as after a crash; any packets in it are lost`
        : `chat server lost ${missing} packets of ${host}: its queue was full or was lost in a restart`;
    log.warn({ event: 'tap.hole', attachment, host, missing }, text);
  });
}

/** A missing mark is normal for a new spool and a problem for a used one; only the operator knows which applies. */
function markMissing({ host, items }: Events['tap.mark-missing']): string {
  const cause = 'the spool is new or was lost, or another pusher received them';
  return `the spool has no mark of ${items} packets that the tap of ${host} sent before: ${cause}; packets that were not delivered may be lost`;
}

const levelOf = { attached: 'info', connecting: 'debug', offline: 'warn', refused: 'error', resuming: 'debug', standby: 'info' } as const;

function logStates(events: EventBus, log: Logger): void {
  const lastLogged = new Map<string, string>();

  events.on('attachment.state', (change) => {
    const { attachment, host, node, state, reason } = change;
    const level = levelOf[state];
    const subject = `${attachment} ${host} ${node ?? ''}`;
    const line = `${state} ${reason}`;
    const isNew = level !== 'debug' && lastLogged.get(subject) !== line;
    if (isNew) lastLogged.set(subject, line);
    log[isNew ? level : 'debug']({ event: 'attachment.state', attachment, host, node, state, reason }, textOf(change));
  });
}

const verbs: Readonly<Record<AttachmentState, string>> = {
  attached: 'is attached',
  connecting: 'is connecting',
  offline: 'is offline',
  refused: 'was refused by the chat server',
  resuming: 'is resuming its feed',
  standby: 'is standing by',
};

function textOf({ attachment, host, node, state, reason }: Events['attachment.state']): string {
  const connection = node === undefined ? `attachment ${attachment}` : `attachment ${attachment} at ${node}`;
  const subject = host === '' ? connection : `host ${host} of ${connection}`;
  return `${subject} ${verbs[state]}${reason === '' ? '' : `: ${reason}`}`;
}

/**
 * Unexpected stanzas are logged once for each attachment, host and reason, because a user can send any number of them. Other skipped
 * stanzas are normal in a feed.
 */
function logSkipped(events: EventBus, log: Logger): void {
  const logged = new Set<string>();
  events.on('packet.skipped', ({ attachment, host, reason }) => {
    const problem = suspicious.get(reason);
    const subject = `${attachment} ${host ?? ''} ${reason}`;
    if (problem === undefined || logged.has(subject)) {
      if (log.isLevelEnabled('debug')) log.debug({ event: 'packet.skipped', attachment, host, reason }, 'skipped a stanza');
      return;
    }
    logged.add(subject);
    const text = `skipped a stanza ${host === undefined ? '' : `of ${host} `}that ${problem}; more of these are only counted, in event_pusher_skipped_total`;
    log.warn({ event: 'packet.skipped', attachment, host, reason }, text);
  });
}

const suspicious: ReadonlyMap<string, string> = new Map([
  ['forged', 'claims to be from a tap but is not'],
  ['malformed', 'cannot be read'],
  ['too-large', 'exceeds max_stanza_bytes'],
  ['unknown-direction', 'has a direction that this version does not know'],
]);
