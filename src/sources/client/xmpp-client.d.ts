/** The part of @xmpp/client 0.14 that this source uses beside what the demo does; the package has no types of its own. */
declare module '@xmpp/client' {
  export interface Client {
    readonly reconnect: { stop(): void };
    readonly streamManagement: StreamManagement;
    /** Sends the bind request. */
    readonly iqCaller: { set(request: Element): Promise<Element | undefined> };
    /** Ways to reach a server; the first that takes a service's address is used. */
    transports: Transport[];
    /** Where the bytes of the socket arrive. */
    _onData: (data: Buffer) => void;
    readonly parser: { write(data: Buffer): void } | null;
    readonly jid: { toString(): string } | null;
    /** How long a stream may take to open or close, ms. */
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
    /** Of the stream that can be resumed; empty: none can. */
    readonly id: string;
    readonly enabled: boolean;
    readonly inbound: number;
    readonly outbound: number;
    /** Sent and not acknowledged. */
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
