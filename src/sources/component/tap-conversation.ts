import type { Mark } from '../../model/packet.ts';
import type { TapItem } from './tap-item.ts';
import { createTapLedger, type TapLedger } from './tap-ledger.ts';

/** The conversation with one virtual host; its states are described in `tap-feed.ts`. */
export interface HostConversation {
  readonly host: string;
  readonly ledger: TapLedger;
  /** The stream key that orders its packets: attachment, host and node. */
  stream: string;
  state: 'asking' | 'detached' | 'flowing' | 'refused' | 'renewing';
  unacked: number;
  callOffTimer: () => void;
  callOffAck: () => void;
}

/** A conversation that has not started, with the marks of its host. */
export function createConversation(attachment: string, host: string, marks: readonly Mark[]): HostConversation {
  const own = marks.filter((mark) => mark.attachment === attachment && mark.host === host);
  return {
    host,
    ledger: createTapLedger({ attachment, host, marks: own }),
    stream: '',
    state: 'detached',
    unacked: 0,
    callOffTimer: () => undefined,
    callOffAck: () => undefined,
  };
}

export function flows({ state }: HostConversation): boolean {
  return state === 'flowing' || state === 'renewing';
}

/** Whether an item comes from the tap that was resumed. Any user can send the same in a message to the component. */
export function isOf(conversation: HostConversation | undefined, { epoch }: TapItem): conversation is HostConversation {
  return conversation !== undefined && flows(conversation) && conversation.ledger.knows(epoch);
}
