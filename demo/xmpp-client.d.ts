/** The part of @xmpp/client 0.14 that the demo uses; the package has no types of its own. */
declare module '@xmpp/client' {
  export interface Element {
    readonly name: string;
    readonly attrs: Readonly<Record<string, string | undefined>>;
    getChildText(name: string): string | null;
  }

  export interface Client {
    /** Resolves when logged in. */
    start(): Promise<unknown>;
    /** Ends the stream and reconnects no more. */
    stop(): Promise<unknown>;
    send(element: Element): Promise<void>;
    on(event: 'error', listener: (error: Error) => void): this;
    on(event: 'stanza', listener: (stanza: Element) => void): this;
  }

  export function client(options: {
    readonly service: string;
    readonly domain: string;
    readonly username: string;
    readonly password: string;
    readonly resource?: string;
  }): Client;

  export function xml(name: string, attrs?: Readonly<Record<string, string>>, ...children: readonly (Element | string)[]): Element;
}
