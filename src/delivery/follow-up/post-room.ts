import type { Timers } from '../../kit/clock.ts';
import { createDeferred } from '../../kit/lifecycle.ts';
import type { OutgoingMessage } from '../../model/delivery.ts';
import type { Handed, Outbox } from './outbox.ts';

/** The way out through one attachment. */
export interface Exit {
  /** The virtual hosts that it serves. */
  readonly hosts: readonly string[];
  /** Tries for so long. `unconfirmed` and `unsent`: not in that time, but perhaps in the next. */
  send(message: OutgoingMessage, options: { readonly withinMs: number }): Promise<Handed | { readonly kind: 'unconfirmed' | 'unsent' }>;
}

export interface PostRoomOptions {
  /** Asked anew for each message. */
  readonly exits: () => readonly Exit[];
  readonly timers: Timers;
}

/** What an attachment is asked for at a time, so that a message that is called off is soon forgotten there. */
const withinMs = 5000;

/** An attachment may say at once that it cannot send now. */
const pauseMs = 1000;

/** Sends each message through the attachment that serves its receiver's host, or else through the first that can send, and waits for it. */
export function createPostRoom({ exits, timers }: PostRoomOptions): Outbox {
  async function send(message: OutgoingMessage, signal: AbortSignal): Promise<Handed> {
    while (!signal.aborted) {
      const exit = exitFor(message, exits());
      if (exit === undefined) return { kind: 'refused', reason: 'no attachment can send messages to users' };
      const sent = await exit.send(message, { withinMs });
      if (sent.kind === 'sent' || sent.kind === 'refused') return sent;
      await new Promise<void>((resolve) => timers.after(pauseMs, resolve));
    }
    throw signal.reason;
  }

  return {
    send: async (message, { signal }) => {
      const calledOff = createDeferred<never>();
      const callOff = (): void => calledOff.reject(signal.reason);
      signal.throwIfAborted();
      signal.addEventListener('abort', callOff);
      try {
        return await Promise.race([send(message, signal), calledOff.promise]);
      } finally {
        signal.removeEventListener('abort', callOff);
      }
    },
  };
}

function exitFor({ to }: OutgoingMessage, exits: readonly Exit[]): Exit | undefined {
  const [, host = ''] = /@([^/]+)/.exec(to) ?? [];
  return exits.find(({ hosts }) => hosts.includes(host.toLowerCase())) ?? exits[0];
}
