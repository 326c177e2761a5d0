import type { Packet } from '../model/packet.ts';

/** How far a chat server's feed has been taken in. One per attachment, host and server node. */
export interface Mark {
  readonly attachment: string;
  readonly host: string;
  readonly node: string;
  readonly epoch: string;
  /** The last sequence number on disk. */
  readonly h: number;
}

/** Travels beside a packet, so that its source learns when it may acknowledge. */
export interface Receipt {
  /** Packets of one stream are committed in the order in which they were handed over. */
  readonly stream: string;
  /** Written in the transaction of the packet's deliveries, also when there are none. */
  readonly mark: Mark | undefined;
  /** Called once, when all the packet leaves behind is on disk. */
  committed(): void;
}

/** Where sources hand packets over. Without a packet only the mark is written: something was skipped, in its turn. */
export type Accept = (packet: Packet | undefined, receipt: Receipt) => void;
