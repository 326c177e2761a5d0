import type { Outbox } from './outbox.ts';

/** The way out through one attachment. */
export interface Exit {
  /** The virtual hosts that it serves. */
  readonly hosts: readonly string[];
  readonly outbox: Outbox;
}

/** Sends each message through the attachment that serves its receiver's host, or else through the first that can send. */
export function createPostRoom(exits: () => readonly Exit[]): Outbox {
  return {
    send: async (message, options) => {
      const [, host = ''] = /@([^/]+)/.exec(message.to) ?? [];
      const known = exits();
      const exit = known.find(({ hosts }) => hosts.includes(host.toLowerCase())) ?? known[0];
      if (exit === undefined) return { kind: 'refused', reason: 'no attachment can send messages to users' };
      return await exit.outbox.send(message, options);
    },
  };
}
