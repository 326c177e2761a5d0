/** The part of @xmpp/client 0.14 that this source uses in addition to the demo; the package has no types of its own. */
declare module '@xmpp/client' {
  export interface Client {
    readonly reconnect: { stop(): void };
    readonly streamManagement: StreamManagement;
    /** Sends the bind request. */
    readonly iqCaller: { set(request: Element): Promise<Element | undefined> };
    /** The first transport that accepts a service's address is used. */
    transports: Transport[];
    /** Receives the bytes of the socket. */
    _onData: (data: Buffer) => void;
    readonly parser: { write(data: Buffer): void } | null;
    readonly jid: { toString(): string } | null;
    /** Limit for opening or closing a stream, ms. */
    timeout: number;
    connect(service: string): Promise<unknown>;
    open(options: { readonly domain: string }): Promise<unknown>;
    disconnect(): Promise<unknown>;
    on(event: 'disconnect' | 'online', listener: () => void): this;
  }

  export interface Transport {
    readonly prototype: { socketParameters(service: string): unknown };
  }

  /** XEP-0198. */
  export interface StreamManagement {
    /** Of the stream that can be resumed; empty if there is none. */
    readonly id: string;
    readonly enabled: boolean;
    readonly inbound: number;
    readonly outbound: number;
    /** Stanzas sent and not acknowledged. */
    outbound_q: readonly { readonly stanza: Element }[];
    timeout: number;
    requestAckInterval: number;
    on(event: 'ack' | 'fail', listener: (stanza: Element) => void): this;
    on(event: 'resumed', listener: () => void): this;
  }

  export function client(options: {
    readonly service: string;
    readonly domain: string;
    readonly username: string;
    readonly password: string;
    readonly resource?: string;
    readonly timeout?: number;
  }): Client;
}
